#include "common/base/nearest.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace parley {
namespace {

TEST(NearestTest, FindsTheMostAlike) {
  const std::vector<std::string> names = {"fraction", "quorum", "Target"};
  EXPECT_EQ(Nearest("quorm", names), "quorum");
  EXPECT_EQ(Nearest("QUORUM", names), "quorum");
  EXPECT_EQ(Nearest("taget", names), "Target");
  EXPECT_EQ(Nearest("fratcion", names), "fraction");
  EXPECT_EQ(Nearest("frac", names), "fraction");
  EXPECT_EQ(Nearest("quo", {"run", "quorum"}), "quorum");
  EXPECT_EQ(Nearest("deadline", names), "");
  EXPECT_EQ(Nearest("x", {"y"}), "");
  EXPECT_EQ(Nearest("quorum", {}), "");
  EXPECT_EQ(Nearest(std::string(65, 'x'), {std::string(65, 'x')}), "");
}

TEST(NearestTest, SaysWhatThereIs) {
  EXPECT_EQ(NoSuch("A", "field", "tow", std::vector<std::string>{"one", "two"}),
            "A has no field tow; did you mean two? It has one, two");
  EXPECT_EQ(NoSuch("A", "field", "ten", std::vector<std::string>{"eleven"}),
            "A has no field ten; it has eleven");
  EXPECT_EQ(NoSuch("A", "field", "x", {}), "A has no field x; it has none");
  std::vector<std::string> many;
  for (int i = 0; i < 103; ++i) many.push_back(absl::StrCat("column", i));
  const std::string text = NoSuch("A", "column", "x", many);
  EXPECT_EQ(text.substr(text.size() - 19), "column99 and 3 more") << text;
}

}  // namespace
}  // namespace parley
