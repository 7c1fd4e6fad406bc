#include "common/data/partitioned.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/executor.h"
#include "common/base/random.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/data/temp_files.h"

namespace parley {
namespace {

template <typename T>
void ExpectSame(const Dataset<T>& a, const Dataset<T>& b) {
  ASSERT_EQ(a.rows(), b.rows());
  ASSERT_EQ(a.features(), b.features());
  ASSERT_EQ(a.sparse(), b.sparse());
  EXPECT_EQ(a.targets(), b.targets());
  const Batch<T> x = a.All(), y = b.All();
  for (int64_t r = 0; r < x.rows; ++r) {
    if (!x.sparse()) {
      for (int64_t k = r * x.features; k < (r + 1) * x.features; ++k) {
        ASSERT_EQ(x.dense[k], y.dense[k]);
      }
      continue;
    }
    const int64_t n = x.row_begin[r + 1] - x.row_begin[r];
    ASSERT_EQ(n, y.row_begin[r + 1] - y.row_begin[r]);
    for (int64_t k = 0; k < n; ++k) {
      ASSERT_EQ(x.column[x.row_begin[r] + k], y.column[y.row_begin[r] + k]);
      ASSERT_EQ(x.value[x.row_begin[r] + k], y.value[y.row_begin[r] + k]);
    }
  }
}

class PartitionedTest : public testing::Test {
 protected:
  // Labels 1 and 2, sparse, with rows of which only some show feature 9.
  std::string LibsvmFile() {
    Rng rng(2, "file");
    std::string text;
    for (int i = 0; i < 300; ++i) {
      absl::StrAppend(&text, 1 + rng.Below(2), " ", 1 + rng.Below(4), ":", i);
      if (i % 50 == 0) absl::StrAppend(&text, " 9:1");
      text += "\n";
    }
    return files_.Write("train.svm", text);
  }
  TempFiles files_;
};

TEST_F(PartitionedTest, OnePartAloneIsTheSliceOfAll) {
  const std::string path = LibsvmFile();
  std::vector<DataPlan> plans(4);
  plans[0].source.kind = LibsvmOptions{.path = path};
  plans[1].source.kind = LibsvmOptions{.path = path, .dense = true};
  plans[2].source.kind = SeparableOptions{.rows = 300, .features = 4};
  plans[3].source.kind = LibsvmOptions{.path = path};
  plans[3].held_out = 0;
  for (DataPlan& plan : plans) {
    plan.partition = {12, DirichletPartition{.alpha = 0.1}};
    if (&plan != &plans[3]) plan.held_out = 0.3;
    plan.seed = 5;
    ASSERT_OK_AND_ASSIGN(const PlannedData planned,
                         PlanData(plan, TargetKind::kSign));
    ASSERT_OK_AND_ASSIGN(const auto all, LoadAllParts<float>(plan, planned));
    ASSERT_EQ(all.parts(), 12);
    int64_t rows = 0, held = 0, trained = 0;
    const Dataset<float> training = all.Training();
    for (int64_t part = 0; part < 12; ++part) {
      ASSERT_OK_AND_ASSIGN(const auto alone,
                           LoadPart<float>(plan, planned, part));
      ExpectSame(alone.train, all.train(part));
      ExpectSame(alone.held_out, all.held_out(part));
      const int64_t next = trained + alone.train.rows();
      ASSERT_LE(next, training.rows());
      ExpectSame(training.Slice(trained, next), alone.train);
      trained = next;
      EXPECT_EQ(alone.train.features(), planned.features);
      rows += alone.train.rows() + alone.held_out.rows();
      held += alone.held_out.rows();
    }
    EXPECT_EQ(rows, 300);
    EXPECT_EQ(trained, training.rows());
    EXPECT_NEAR(held, plan.held_out * 300, 6);
  }
}

TEST_F(PartitionedTest, RowsAreDealtByTheirPlaces) {
  DataPlan plan;
  plan.partition = {5, FeatureShiftPartition{}};
  plan.seed = 7;
  for (const DataSource& source :
       {DataSource{LibsvmOptions{.path = LibsvmFile()}, 1, "train"},
        DataSource{SeparableOptions{.rows = 300, .features = 4}, 1, "train"}}) {
    plan.source = source;
    ASSERT_OK_AND_ASSIGN(const PlannedData planned,
                         PlanData(plan, TargetKind::kSign));
    ASSERT_OK_AND_ASSIGN(const auto all, LoadAllParts<double>(plan, planned));
    double highest = -INFINITY;
    for (int64_t part = 0; part < 5; ++part) {
      ASSERT_OK_AND_ASSIGN(const auto alone,
                           LoadPart<double>(plan, planned, part));
      ExpectSame(alone.train, all.train(part));
      const std::vector<double> places = PlacesOf(alone.train.All(), 7);
      ASSERT_EQ(places.size(), 60);
      EXPECT_GE(*std::min_element(places.begin(), places.end()), highest);
      highest = *std::max_element(places.begin(), places.end());
    }
  }
}

TEST_F(PartitionedTest, ThreadsDrawTheSameRows) {
  const std::vector<decltype(DataSource::kind)> kinds = {
      SeparableOptions{.rows = 1000, .features = 7},
      MixtureOptions{.rows = 1000, .features = 7, .classes = 3},
      RegressionOptions{.rows = 1000, .features = 7}};
  ThreadPool pool(3);
  for (const auto& kind : kinds) {
    DataPlan plan;
    plan.source.kind = kind;
    plan.held_out = 0.3;
    ASSERT_OK_AND_ASSIGN(const PlannedData planned,
                         PlanData(plan, TargetKind::kReal));
    ASSERT_OK_AND_ASSIGN(const auto one, LoadAllParts<float>(plan, planned));
    ASSERT_OK_AND_ASSIGN(const auto three,
                         LoadAllParts<float>(plan, planned, &pool));
    for (int64_t part = 0; part < 10; ++part) {
      ExpectSame(three.train(part), one.train(part));
      ExpectSame(three.held_out(part), one.held_out(part));
    }
  }
}

TEST_F(PartitionedTest, PartsOfOneLabelKeepItsSign) {
  DataPlan plan;
  plan.source.kind = LibsvmOptions{.path = LibsvmFile()};
  plan.partition = {2, ShardPartition{.per_part = 1}};
  ASSERT_OK_AND_ASSIGN(const PlannedData planned,
                       PlanData(plan, TargetKind::kSign));
  EXPECT_EQ(planned.classes.classes(), 2);
  for (int64_t part = 0; part < 2; ++part) {
    ASSERT_OK_AND_ASSIGN(const auto data,
                         LoadPart<double>(plan, planned, part));
    for (int64_t r = 0; r < data.train.rows(); ++r) {
      const double source = planned.targets[planned.partition[part][r]];
      EXPECT_EQ(data.train.targets()[r], source == 1 ? -1 : 1);
    }
  }
}

TEST_F(PartitionedTest, RowsLieInTheirOrder) {
  // Feature 0 is the row's number.
  Examples<double> e;
  e.rows = 100;
  e.features = 1;
  for (int i = 0; i < 100; ++i) {
    e.dense.push_back(i);
    e.target.push_back(-i);
  }
  const Dataset<double> set(std::move(e));
  ASSERT_OK_AND_ASSIGN(
      const Partition partition,
      MakePartition({7, PowerLawPartition{}}, std::vector<double>(100), 3));
  const Partitioned<double> parts(set, partition, 0.4, 9);
  for (int64_t part = 0; part < 7; ++part) {
    const auto [train, held] = SplitHeldOut(partition[part], 0.4, 9, part);
    ExpectSame(parts.train(part), set.Select(train));
    ExpectSame(parts.held_out(part), set.Select(held));
  }
}

TEST_F(PartitionedTest, RefusesBadPlans) {
  DataPlan plan;
  plan.source.kind = RegressionOptions{.rows = 100, .features = 3};
  for (const double share : {-0.1, 1.0, std::nan("")}) {
    plan.held_out = share;
    EXPECT_THAT(PlanData(plan, TargetKind::kReal),
                StatusIs(absl::StatusCode::kInvalidArgument, "held_out is"));
  }
  plan.held_out = 0;
  EXPECT_THAT(PlanData(plan, TargetKind::kClass),
              StatusIs(absl::StatusCode::kInvalidArgument, "no integer"));
  ASSERT_OK_AND_ASSIGN(const PlannedData planned,
                       PlanData(plan, TargetKind::kReal));
  for (const int64_t part : {-1, 10}) {
    EXPECT_THAT(
        LoadPart<float>(plan, planned, part),
        StatusIs(absl::StatusCode::kInvalidArgument, "the parts are 0 to 9"));
  }
}

TEST_F(PartitionedTest, TheColumnOfACsvFileTellsTheParts) {
  std::string text = "x,ward,kind\n";
  for (int i = 0; i < 60; ++i) {
    absl::StrAppend(&text, i, ",", 8 + i % 4, ",", i % 3 ? "ill" : "well",
                    "\n");
  }
  DataPlan plan;
  plan.source.kind = CsvOptions{
      .path = files_.Write("a.csv", text), .target = "kind", .group = "ward"};
  plan.partition.kind = GroupPartition{};
  plan.held_out = 0.2;
  ASSERT_OK_AND_ASSIGN(const PlannedData planned,
                       PlanData(plan, TargetKind::kClass));
  EXPECT_EQ(planned.features, 1);
  EXPECT_EQ(planned.classes.classes(), 2);
  ASSERT_EQ(planned.partition.size(), 4u);
  ASSERT_OK_AND_ASSIGN(const auto all, LoadAllParts<float>(plan, planned));
  for (int64_t part = 0; part < 4; ++part) {
    ASSERT_OK_AND_ASSIGN(const auto alone,
                         LoadPart<float>(plan, planned, part));
    ExpectSame(alone.train, all.train(part));
    ExpectSame(alone.held_out, all.held_out(part));
    EXPECT_EQ(alone.train.rows(), 12);
    EXPECT_EQ(alone.held_out.rows(), 3);
    for (int64_t r = 0; r < alone.train.rows(); ++r) {
      const auto i = static_cast<int>(alone.train.All().dense[r]);
      EXPECT_EQ(i % 4, part) << "wards 8, 9, 10, 11, by number";
      EXPECT_EQ(alone.train.targets()[r], i % 3 ? 0 : 1);
    }
  }
  EXPECT_THAT(PlanData(plan, TargetKind::kReal),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "the targets are text, such as \"ill\", but the model "
                       "wants numbers"));
}

TEST_F(PartitionedTest, TestSetsTakeTheTrainingSetsShapeAndClasses) {
  ASSERT_OK_AND_ASSIGN(const auto map,
                       TargetMap::Create(TargetKind::kSign, {1, 2}));
  DataSource source;
  source.kind = LibsvmOptions{.path = files_.Write("t", "2 1:1\n2 3:1\n")};
  const SourceTargets train = {.features = 9};
  ASSERT_OK_AND_ASSIGN(const auto set, LoadTestSet<float>(source, train, map));
  EXPECT_EQ(set.features(), 9);
  EXPECT_THAT(set.targets(), testing::ElementsAre(1, 1));
  EXPECT_THAT(LoadTestSet<float>(source, {.features = 2}, map),
              StatusIs(absl::StatusCode::kInvalidArgument, "within 1 to 2"));

  source.kind = LibsvmOptions{.path = files_.Write("t", "3 1:1\n")};
  EXPECT_THAT(LoadTestSet<float>(source, train, map),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "the test set: the target 3 of row 0"));

  source.kind = SeparableOptions{.rows = 10, .features = 4};
  EXPECT_THAT(LoadTestSet<float>(source, train, map),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "has 4 features, the training set 9"));
}

TEST_F(PartitionedTest, TestSetsTakeTheTrainingSetsColumnsLabelsAndAlphabet) {
  DataSource train, test;
  train.kind = CsvOptions{
      .path = files_.Write("train.csv", "a,b,kind\n1,2,p\n3,4,q\n5,6,r\n"),
      .target = "kind"};
  test.kind = CsvOptions{
      .path = files_.Write("test.csv", "kind,ward,b,a\nr,x,2,1\np,y,4,3\n"),
      .target = "kind"};
  ASSERT_OK_AND_ASSIGN(SourceTargets told, LoadTargets(train));
  ASSERT_OK_AND_ASSIGN(TargetMap map,
                       TargetMap::CreateFor(TargetKind::kClass, told));
  ASSERT_OK_AND_ASSIGN(auto set, LoadTestSet<float>(test, told, map));
  EXPECT_THAT(set.targets(), testing::ElementsAre(2, 0));
  EXPECT_EQ(std::vector<float>(set.All().dense, set.All().dense + 4),
            (std::vector<float>{1, 2, 3, 4}));
  files_.Write("test.csv", "kind,b,a\ns,2,1\n");
  EXPECT_THAT(LoadTestSet<float>(test, told, map),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "test.csv:2: column kind: 's' is a label that the "
                       "training set does not have"));
  files_.Write("test.csv", "kind,b,a\n1,2,1\n");
  EXPECT_THAT(LoadTestSet<float>(test, told, map),
              StatusIs(absl::StatusCode::kInvalidArgument, "'1' is a label"));
  // Text labels mean nothing next to a training set that has numbers.
  files_.Write("train.csv", "a,b,kind\n1,2,0\n3,4,1\n");
  files_.Write("test.csv", "kind,b,a\np,2,1\n");
  ASSERT_OK_AND_ASSIGN(told, LoadTargets(train));
  EXPECT_THAT(LoadTestSet<float>(test, told, map),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "test.csv:2: column kind: 'p' is not a number"));

  train.kind = TextOptions{files_.Write("train.txt", "acegi"), 2};
  test.kind = TextOptions{files_.Write("test.txt", "gia"), 2};
  ASSERT_OK_AND_ASSIGN(told, LoadTargets(train));
  ASSERT_OK_AND_ASSIGN(map, TargetMap::CreateFor(TargetKind::kClass, told));
  EXPECT_EQ(map.classes(), 5);
  // No training example has the target a, but its number is known.
  ASSERT_OK_AND_ASSIGN(set, LoadTestSet<float>(test, told, map));
  EXPECT_THAT(set.targets(), testing::ElementsAre(0));
  EXPECT_EQ(set.All().dense[0], 3);
  files_.Write("test.txt", "gib");
  EXPECT_THAT(LoadTestSet<float>(test, told, map),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "test.txt:1: the character \"b\""));
}

}  // namespace
}  // namespace parley
