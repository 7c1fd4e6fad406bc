// The real thing, from the Debian package dataset-fashion-mnist.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/data/partitioned.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using testing::Each;

IdxOptions Files(const std::string& split) {
  const std::string stem = "/usr/share/datasets/fashion-mnist/" + split;
  return {stem + "-images-idx3-ubyte.gz", stem + "-labels-idx1-ubyte.gz"};
}

std::vector<int64_t> CountClasses(absl::Span<const float> labels) {
  std::vector<int64_t> counts(10);
  for (const float y : labels) ++counts[static_cast<int>(y)];
  return counts;
}

TEST(FashionMnistTest, LoadsWhole) {
  ASSERT_OK_AND_ASSIGN(const auto train, LoadIdx<float>(Files("train")));
  EXPECT_EQ(train.rows, 60000);
  EXPECT_EQ(train.features, 784);
  EXPECT_THAT(CountClasses(train.target), Each(6000));
  // 0.2860: the mean pixel that is commonly given for this set.
  double sum = 0;
  for (const float x : train.dense) {
    ASSERT_TRUE(x >= 0 && x <= 1);
    sum += x;
  }
  EXPECT_NEAR(sum / train.dense.size(), 0.2860, 5e-5);

  ASSERT_OK_AND_ASSIGN(const auto test, LoadIdx<float>(Files("t10k")));
  EXPECT_EQ(test.rows, 10000);
  EXPECT_THAT(CountClasses(test.target), Each(1000));
}

TEST(FashionMnistTest, OnePartTakesItsShareOfMemoryOnly) {
  DataPlan plan;
  plan.source.kind = Files("train");
  plan.partition = {10, DirichletPartition{.alpha = 0.3}};
  ASSERT_OK_AND_ASSIGN(const PlannedData planned,
                       PlanData(plan, TargetKind::kClass));
  EXPECT_EQ(planned.classes.classes(), 10);
  ASSERT_OK_AND_ASSIGN(const auto part, LoadPart<float>(plan, planned, 3));
  const auto rows = static_cast<int64_t>(planned.partition[3].size());
  EXPECT_EQ(part.train.rows(), rows);
  EXPECT_EQ(part.train.memory_bytes(), rows * (784 + 1) * 4);
}

}  // namespace
}  // namespace parley
