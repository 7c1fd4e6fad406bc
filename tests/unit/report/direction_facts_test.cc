#include "common/report/direction_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/str_join.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

DirectionFacts Separable() {
  DirectionFacts facts;
  facts.rows = 60;
  facts.features = 100;
  facts.clients = 5;
  facts.clients_alike = true;
  facts.verdict = "separable with margin 0.25";
  facts.reference = "max-margin";
  facts.margin = 0.25;
  facts.margin_bound = 0.2500001;
  facts.heterogeneity_mean = 0.5;
  facts.heterogeneity_max = 1.25;
  facts.clients_separable = 3;
  facts.clients_not_separable = 1;
  facts.clients_undecided = 1;
  facts.centralized = true;
  facts.local_steps = 20;
  facts.start_hash = 0xfedcba9876543210;
  return facts;
}

std::string Words(const DirectionFacts& facts) {
  return absl::StrJoin(SentencesOf(facts), "\n");
}

TEST(DirectionFactsTest, ReadBackAsWritten) {
  ASSERT_OK_AND_ASSIGN(const DirectionFacts back,
                       DirectionFactsFromJson(ToJsonText(Separable())));
  EXPECT_EQ(back, Separable());
  DirectionFacts none;
  none.reference = "none";
  none.without = "it is \"undecided\"";
  none.margin_bound = 1e-12;
  ASSERT_OK_AND_ASSIGN(const DirectionFacts none_back,
                       DirectionFactsFromJson(ToJsonText(none)));
  EXPECT_EQ(none_back, none);
}

TEST(DirectionFactsTest, RefusesWhatIsDamaged) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = ToJsonText(Separable());
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return DirectionFactsFromJson(text.replace(at, from.size(), to)).status();
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EXPECT_OK(with("\"rows\":60", "\"rows\":61"));
  EXPECT_THAT(with("\"rows\":60", "\"rows\":6.5"), StatusIs(invalid, "rows"));
  EXPECT_THAT(with("\"rows\":60", "\"bows\":60"), StatusIs(invalid, "rows"));
  EXPECT_THAT(with("true", "1"), StatusIs(invalid, "clients_alike"));
  EXPECT_THAT(with("0.25,", "\"x\","), StatusIs(invalid, "margin"));
  EXPECT_THAT(with("fedc", "xedc"), StatusIs(invalid, "start_hash"));
  EXPECT_THAT(DirectionFactsFromJson("{"), StatusIs(invalid, "JSON"));
}

TEST(DirectionFactsTest, AFolderWithoutThemHasNone) {
  const std::string folder = testing::TempDir();
  const std::string path = folder + "/" + kDirectionFile;
  std::remove(path.c_str());
  ASSERT_OK_AND_ASSIGN(const auto none, ReadDirectionWords(folder));
  EXPECT_TRUE(none.empty());
  std::ofstream(path) << ToJsonText(Separable());
  ASSERT_OK_AND_ASSIGN(const auto words, ReadDirectionWords(folder));
  EXPECT_EQ(words, SentencesOf(Separable()));
  std::ofstream(path) << "{";
  EXPECT_THAT(ReadDirectionWords(folder),
              StatusIs(absl::StatusCode::kInvalidArgument, "JSON"));
  std::remove(path.c_str());
}

TEST(DirectionFactsTest, SaysInWordsWhatIsHeldAgainstWhat) {
  const std::string words = Words(Separable());
  EXPECT_THAT(words, HasSubstr("60 rows × 100 features of 5 clients are "
                               "separable with margin 0.25."));
  EXPECT_THAT(words, HasSubstr("largest margin"));
  // √(2·(1 − 0.25/0.2500001))
  EXPECT_THAT(words, HasSubstr("It is known to within 8.9e-04."));
  EXPECT_THAT(words, HasSubstr("0.5 from that of all rows on average, 1.25 at "
                               "most"));
  EXPECT_THAT(words,
              HasSubstr("(2 would be opposite). Left out: 1 client whose own "
                        "rows are not separable, 1 client of which that was "
                        "not found out."));
  EXPECT_THAT(words, HasSubstr("each client weighing the same"));

  DirectionFacts none = Separable();
  none.reference = "none";
  none.without = "the loss has no minimum";
  none.heterogeneity_mean = none.heterogeneity_max = std::nullopt;
  none.clients_not_separable = none.clients_undecided = 0;
  none.centralized = false;
  EXPECT_THAT(Words(none),
              HasSubstr("There is no reference to measure against: the loss "
                        "has no minimum; numbers that need one are left out."));
  EXPECT_THAT(Words(none), Not(HasSubstr("largest margin")));
  EXPECT_THAT(Words(none), Not(HasSubstr("centralized descent")));
}

}  // namespace
}  // namespace parley
