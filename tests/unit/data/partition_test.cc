#include "common/data/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/data/temp_files.h"

namespace parley {
namespace {

using testing::ElementsAre;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<double> RandomLabels(int64_t rows, int64_t classes) {
  Rng rng(1, "labels");
  std::vector<double> labels(rows);
  for (double& y : labels) y = static_cast<double>(rng.Below(classes));
  return labels;
}

void ExpectCoversOnce(const Partition& partition, int64_t rows) {
  std::vector<int> seen(rows);
  for (const auto& part : partition) {
    EXPECT_FALSE(part.empty());
    EXPECT_TRUE(std::is_sorted(part.begin(), part.end()));
    for (const int64_t row : part) {
      ASSERT_TRUE(row >= 0 && row < rows);
      ++seen[row];
    }
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), rows);
}

std::vector<int64_t> Sizes(const Partition& partition) {
  std::vector<int64_t> sizes;
  for (const auto& part : partition) sizes.push_back(part.size());
  return sizes;
}

// Mean over the parts of the largest label's share of the part.
double Purity(const Partition& partition, absl::Span<const double> labels) {
  const LabelHistogram h = CountLabels(partition, labels);
  double sum = 0;
  for (const auto& counts : h.counts) {
    sum += 1.0 * *std::max_element(counts.begin(), counts.end()) /
           std::accumulate(counts.begin(), counts.end(), int64_t{0});
  }
  return sum / partition.size();
}

TEST(PartitionTest, EveryKindCoversEachRowOnceAndBySeedAlone) {
  const std::vector<double> labels = RandomLabels(2003, 7);
  const std::vector<decltype(PartitionOptions::kind)> kinds = {
      IidPartition{},
      DirichletPartition{.alpha = 0.3},
      DirichletPartition{.alpha = 1e-6, .min_rows = 20},
      DirichletPartition{.alpha = 1e9},
      ShardPartition{},
      ShardPartition{.per_part = 5},
      PowerLawPartition{},
      PowerLawPartition{.exponent = 0},
      PowerLawPartition{.exponent = 1000},
      FeatureShiftPartition{.strength = 0, .places = labels},
      FeatureShiftPartition{.strength = 0.5, .places = labels},
      FeatureShiftPartition{.strength = 1, .places = labels}};
  for (size_t k = 0; k < kinds.size(); ++k) {
    for (const int64_t parts : {1, 2, 37, 100}) {
      const PartitionOptions options = {parts, kinds[k]};
      std::set<Partition> distinct;
      for (const uint64_t seed : {1, 2, 3}) {
        ASSERT_OK_AND_ASSIGN(const Partition p,
                             MakePartition(options, labels, seed));
        EXPECT_EQ(p.size(), static_cast<size_t>(parts));
        ExpectCoversOnce(p, 2003);
        EXPECT_EQ(p, *MakePartition(options, labels, seed));
        distinct.insert(p);
      }
      if (parts > 1) {
        EXPECT_EQ(distinct.size(), 3u) << k;
      }
    }
  }
}

TEST(PartitionTest, EveryKindTakesAsManyPartsAsRows) {
  const std::vector<double> labels = RandomLabels(50, 3);
  for (const PartitionOptions& options : std::vector<PartitionOptions>{
           {50, IidPartition{}},
           {50, DirichletPartition{.alpha = 0.1}},
           {50, ShardPartition{.per_part = 1}},
           {50, PowerLawPartition{.exponent = 3}},
           {50, FeatureShiftPartition{.places = labels}}}) {
    ASSERT_OK_AND_ASSIGN(const Partition p, MakePartition(options, labels, 1));
    ExpectCoversOnce(p, 50);
  }
}

TEST(PartitionTest, RefusesPartsOutOfRange) {
  const std::vector<double> labels = RandomLabels(50, 3);
  for (const int64_t parts : {-1, 0, 51}) {
    EXPECT_THAT(
        MakePartition({parts, IidPartition{}}, labels, 1),
        StatusIs(kInvalid, absl::StrCat("parts is ", parts,
                                        "; with 50 rows, allowed: 1 to 50")));
  }
  EXPECT_THAT(MakePartition({}, {}, 1), StatusIs(kInvalid, "no rows"));
}

TEST(IidPartitionTest, SizesDifferByOneAtMost) {
  ASSERT_OK_AND_ASSIGN(
      const Partition p,
      MakePartition({10, IidPartition{}}, std::vector<double>(1004), 1));
  EXPECT_THAT(Sizes(p),
              ElementsAre(101, 101, 101, 101, 100, 100, 100, 100, 100, 100));
}

TEST(IidPartitionTest, LabelsSpreadAsChanceHasIt) {
  const std::vector<double> labels = RandomLabels(10000, 10);
  for (const uint64_t seed : {1, 2, 3, 4, 5}) {
    ASSERT_OK_AND_ASSIGN(const Partition p,
                         MakePartition({20, IidPartition{}}, labels, seed));
    const LabelHistogram h = CountLabels(p, labels);
    double chi_square = 0;
    for (size_t label = 0; label < 10; ++label) {
      double total = 0;
      for (const auto& counts : h.counts) total += counts[label];
      for (const auto& counts : h.counts) {
        const double expected = total / 20;
        chi_square += std::pow(counts[label] - expected, 2) / expected;
      }
    }
    // 19 × 9 degrees of freedom; five standard deviations to each side.
    EXPECT_NEAR(chi_square, 171, 5 * std::sqrt(2 * 171.0)) << seed;
  }
}

TEST(DirichletPartitionTest, LabelsConcentrateAsAlphaFalls) {
  const std::vector<double> labels = RandomLabels(10000, 10);
  for (const uint64_t seed : {1, 2, 3}) {
    double last = 0;
    for (const double alpha : {1e6, 10.0, 1.0, 0.1, 1e-3}) {
      ASSERT_OK_AND_ASSIGN(
          const Partition p,
          MakePartition({20, DirichletPartition{.alpha = alpha}}, labels,
                        seed));
      const double purity = Purity(p, labels);
      EXPECT_GT(purity, last) << alpha;
      last = purity;
    }
    EXPECT_GT(last, 0.9);
  }
}

TEST(DirichletPartitionTest, SharesHaveTheVarianceOfTheDistribution) {
  // One class: the part sizes are n times one Dirichlet draw, whose entries
  // have the variance m(1 − m)/(k·alpha + 1), m = 1/k.
  const int64_t rows = 2000;
  const std::vector<double> labels(rows);
  const double parts = 5, m = 1 / parts;
  for (const double alpha : {0.5, 4.0}) {
    double square = 0;
    const int draws = 2000;
    for (int seed = 0; seed < draws; ++seed) {
      ASSERT_OK_AND_ASSIGN(
          const Partition p,
          MakePartition({5, DirichletPartition{.alpha = alpha}}, labels, seed));
      for (const int64_t size : Sizes(p)) {
        square += std::pow(1.0 * size / rows - m, 2);
      }
    }
    const double expected = m * (1 - m) / (parts * alpha + 1);
    EXPECT_NEAR(square / (draws * parts), expected, 0.08 * expected) << alpha;
  }
}

TEST(DirichletPartitionTest, FillsUpToMinRows) {
  const std::vector<double> labels = RandomLabels(1000, 3);
  ASSERT_OK_AND_ASSIGN(
      const Partition p,
      MakePartition({100, DirichletPartition{.alpha = 1e-4, .min_rows = 10}},
                    labels, 1));
  ExpectCoversOnce(p, 1000);
  for (const int64_t size : Sizes(p)) EXPECT_EQ(size, 10);
}

TEST(DirichletPartitionTest, RefusesTheImpossible) {
  const std::vector<double> labels = RandomLabels(1000, 3);
  const auto make = [&](double alpha, int64_t min_rows) {
    return MakePartition({100, DirichletPartition{alpha, min_rows}}, labels, 1);
  };
  EXPECT_THAT(make(1, 11), StatusIs(kInvalid,
                                    "min_rows is 11; with 1000 rows for 100 "
                                    "parts, allowed: 1 to 10"));
  EXPECT_THAT(make(1, 0), StatusIs(kInvalid, "min_rows is 0"));
  EXPECT_THAT(make(0, 1), StatusIs(kInvalid, "alpha is 0"));
  EXPECT_THAT(make(-1, 1), StatusIs(kInvalid, "alpha is -1"));
  EXPECT_THAT(make(std::nan(""), 1), StatusIs(kInvalid, "alpha is nan"));
  EXPECT_THAT(
      MakePartition({2, DirichletPartition{.alpha = 1}}, {0, 1, 0.5, 2}, 1),
      StatusIs(kInvalid, "the target of row 2 (from 0) is 0.5"));
}

TEST(FeatureShiftPartitionTest, StrengthSortsTheRowsByTheirPlaces) {
  constexpr int64_t kRows = 1000, kParts = 10;
  Rng rng(4, "places");
  std::vector<double> places(kRows);
  for (double& x : places) x = rng.Normal();
  const auto make = [&](double strength) {
    return *MakePartition(
        {kParts, FeatureShiftPartition{.strength = strength, .places = places}},
        std::vector<double>(kRows), 1);
  };
  // Fully: each part lies before the next.
  double highest = -INFINITY;
  for (const auto& part : make(1)) {
    EXPECT_EQ(part.size(), kRows / kParts);
    for (const int64_t row : part) EXPECT_GT(places[row], highest);
    for (const int64_t row : part) highest = std::max(highest, places[row]);
  }
  // The share of the places' variance that lies between the parts.
  const auto between = [&](const Partition& partition) {
    double variance = 0;
    for (const auto& part : partition) {
      double mean = 0;
      for (const int64_t row : part) mean += places[row] / part.size();
      variance += mean * mean / kParts;
    }
    return variance;
  };
  double last = between(make(0));
  // 9 degrees of freedom: at random it is 0.009, and seldom twice that.
  EXPECT_LT(last, 0.03);
  for (const double strength : {0.3, 0.5, 0.7, 1.0}) {
    const double now = between(make(strength));
    EXPECT_GT(now, last * 1.2) << strength;
    last = now;
  }
  EXPECT_GT(last, 0.8);
  // Not at all: a random deal, whatever the places are.
  const Partition random = make(0);
  std::reverse(places.begin(), places.end());
  const Partition other = make(0);
  EXPECT_NEAR(between(random), between(other), 0.03);

  for (const double strength : {-0.1, 1.1, std::nan("")}) {
    EXPECT_THAT(MakePartition({kParts, FeatureShiftPartition{strength, places}},
                              std::vector<double>(kRows), 1),
                StatusIs(kInvalid, "feature_shift.strength is"));
  }
}

TEST(FeatureShiftPartitionTest, PlacesAreProductsWithOneDirection) {
  const std::vector<double> dense = {1, 0, 0, 0, 2, 0, 1, 2, -3};
  const std::vector<double> values = {1, 2, 1, 2, -3};
  const std::vector<int32_t> columns = {0, 1, 0, 1, 2};
  const std::vector<int64_t> begins = {0, 1, 2, 5};
  const Batch<double> rows = {.rows = 3, .features = 3, .dense = dense.data()};
  const Batch<double> sparse = {.rows = 3,
                                .features = 3,
                                .row_begin = begins.data(),
                                .column = columns.data(),
                                .value = values.data()};
  const std::vector<double> places = PlacesOf(rows, 5);
  EXPECT_EQ(places, PlacesOf(sparse, 5));
  EXPECT_NE(places, PlacesOf(rows, 6));
  EXPECT_NE(places[0], 0);
  EXPECT_NE(places[2], places[0] + places[1]);  // there is a third number
}

TEST(ShardPartitionTest, PartsSeeFewLabels) {
  // Equal classes and shards that divide them: a shard has one label.
  std::vector<double> labels(6000);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = i % 10;
  ASSERT_OK_AND_ASSIGN(
      const Partition p,
      MakePartition({100, ShardPartition{.per_part = 2}}, labels, 3));
  int of_two = 0;
  for (const auto& part : p) {
    EXPECT_EQ(part.size(), 60u);
    std::set<double> seen;
    for (const int64_t row : part) seen.insert(labels[row]);
    EXPECT_LE(seen.size(), 2u);
    of_two += seen.size() == 2;
  }
  EXPECT_GT(of_two, 70);
}

TEST(ShardPartitionTest, RefusesMoreShardsThanRows) {
  EXPECT_THAT(MakePartition({10, ShardPartition{.per_part = 6}},
                            std::vector<double>(50), 1),
              StatusIs(kInvalid,
                       "per_part is 6; with 50 rows for 10 parts, "
                       "allowed: 1 to 5"));
  EXPECT_THAT(MakePartition({10, ShardPartition{.per_part = 0}},
                            std::vector<double>(50), 1),
              StatusIs(kInvalid, "per_part is 0"));
}

std::vector<int64_t> PowerLawSizesOf(int64_t rows, int64_t parts,
                                     double exponent) {
  return Sizes(*MakePartition({parts, PowerLawPartition{exponent}},
                              std::vector<double>(rows), 1));
}

TEST(PowerLawPartitionTest, SizesFollowTheLaw) {
  EXPECT_THAT(PowerLawSizesOf(2500, 4, 1), ElementsAre(1200, 600, 400, 300));
  EXPECT_THAT(PowerLawSizesOf(14, 3, 2), ElementsAre(10, 3, 1));
  EXPECT_THAT(PowerLawSizesOf(11, 3, 0), ElementsAre(4, 4, 3));
  // Parts under one row get one, the first the rest.
  EXPECT_THAT(PowerLawSizesOf(100, 5, 50), ElementsAre(96, 1, 1, 1, 1));
  for (const double exponent : {0.0, 0.5, 1.0, 1.7, 4.0, 1000.0}) {
    for (const auto& [rows, parts] : std::vector<std::pair<int64_t, int64_t>>{
             {1000, 1000}, {1001, 1000}, {100000, 777}, {7, 1}}) {
      const auto sizes = PowerLawSizesOf(rows, parts, exponent);
      EXPECT_EQ(std::accumulate(sizes.begin(), sizes.end(), int64_t{0}), rows);
      EXPECT_TRUE(std::is_sorted(sizes.rbegin(), sizes.rend()));
      EXPECT_GE(sizes.back(), 1);
    }
  }
}

TEST(PowerLawPartitionTest, RefusesABadExponent) {
  for (const double exponent : {-1.0, 1001.0, std::nan("")}) {
    EXPECT_THAT(MakePartition({2, PowerLawPartition{exponent}}, {0, 1}, 1),
                StatusIs(kInvalid, "exponent is"));
  }
}

class IndexFilePartitionTest : public testing::Test {
 protected:
  absl::StatusOr<Partition> Make(const std::string& text, int64_t rows) {
    const PartitionOptions options = {
        10, IndexFilePartition{files_.Write("parts", text)}};
    return MakePartition(options, std::vector<double>(rows), 1);
  }
  TempFiles files_;
};

TEST_F(IndexFilePartitionTest, DealsAsTheFileSays) {
  const Partition expected = {{1, 3}, {4}, {0, 2}};
  EXPECT_EQ(*Make("2\n0\n2\n0\n1\n", 5), expected);
  EXPECT_EQ(*Make("2\r\n0\r\n2\r\n0\r\n1", 5), expected);
  const PartitionOptions packed = {
      10, IndexFilePartition{files_.WriteGzip("a.gz", "2\n0\n2\n0\n1\n")}};
  EXPECT_EQ(*MakePartition(packed, std::vector<double>(5), 1), expected);
}

TEST_F(IndexFilePartitionTest, NamesWhatIsWrong) {
  EXPECT_THAT(Make("0\n-1\n", 2), StatusIs(kInvalid, "parts:2: '-1' is no"));
  EXPECT_THAT(Make("0\n1.5\n", 2), StatusIs(kInvalid, "parts:2: '1.5' is no"));
  EXPECT_THAT(Make("0\n\n1\n", 3), StatusIs(kInvalid, "parts:2: '' is no"));
  EXPECT_THAT(Make("0 1\n", 1), StatusIs(kInvalid, "parts:1: '0 1' is no"));
  EXPECT_THAT(Make("0\n99999999999999999999\n", 2),
              StatusIs(kInvalid, "parts:2: '999"));
  EXPECT_THAT(Make("0\n2147483648\n", 2),
              StatusIs(kInvalid, "parts:2: part 2147483648 cannot be"));
  EXPECT_THAT(
      Make("0\n2\n2\n", 3),
      StatusIs(kInvalid, "part 1 has no row, though there is a part 2"));
  EXPECT_THAT(Make("0\n0\n0\n", 2), StatusIs(kInvalid, "parts:3: more lines"));
  EXPECT_THAT(Make("0\n0\n", 3), StatusIs(kInvalid, "2 lines for the 3 rows"));
  EXPECT_THAT(Make("", 3), StatusIs(kInvalid, "0 lines for the 3 rows"));
  EXPECT_THAT(
      MakePartition({1, IndexFilePartition{files_.Path("none")}}, {1}, 1),
      StatusIs(absl::StatusCode::kNotFound, "none"));
}

TEST(GroupPartitionTest, DealsAsTheGroupsSay) {
  const auto make = [](const std::vector<int64_t>& groups, int64_t rows) {
    return MakePartition({10, GroupPartition{groups}},
                         std::vector<double>(rows), 1);
  };
  const Partition expected = {{1, 3}, {4}, {0, 2}};
  EXPECT_EQ(*make({2, 0, 2, 0, 1}, 5), expected);
  EXPECT_THAT(
      make({0, 2, 2}, 3),
      StatusIs(kInvalid, "part 1 has no row, though there is a part 2"));
  EXPECT_THAT(make({}, 3), StatusIs(kInvalid, "0 rows are told their part"));
  EXPECT_THAT(make({0, 1000000}, 2), StatusIs(kInvalid, "told 1000001 parts"));
}

TEST(SplitHeldOutTest, SplitsBySeedAndPart) {
  std::vector<int64_t> rows(100);
  std::iota(rows.begin(), rows.end(), 1000);
  const auto [train, held] = SplitHeldOut(rows, 0.25, 1, 7);
  EXPECT_EQ(train.size(), 75u);
  EXPECT_EQ(held.size(), 25u);
  EXPECT_TRUE(std::is_sorted(train.begin(), train.end()));
  EXPECT_TRUE(std::is_sorted(held.begin(), held.end()));
  std::vector<int64_t> both(100);
  std::merge(train.begin(), train.end(), held.begin(), held.end(),
             both.begin());
  EXPECT_EQ(both, rows);
  EXPECT_EQ(SplitHeldOut(rows, 0.25, 1, 7).second, held);
  EXPECT_NE(SplitHeldOut(rows, 0.25, 1, 8).second, held);
  EXPECT_NE(SplitHeldOut(rows, 0.25, 2, 7).second, held);
}

TEST(SplitHeldOutTest, LeavesARowToTrainOn) {
  const std::vector<int64_t> one = {5};
  EXPECT_EQ(SplitHeldOut(one, 0.9, 1, 0).first, one);
  const std::vector<int64_t> two = {5, 9};
  EXPECT_EQ(SplitHeldOut(two, 0.99, 1, 0).first.size(), 1u);
  EXPECT_EQ(SplitHeldOut(two, 0, 1, 0).first, two);
  EXPECT_TRUE(SplitHeldOut({}, 0.5, 1, 0).first.empty());
}

TEST(CountLabelsTest, CountsPerPart) {
  const LabelHistogram h = CountLabels({{0, 2}, {1, 3, 4}}, {7, -1, 7, 7, -1});
  EXPECT_THAT(h.labels, ElementsAre(-1, 7));
  EXPECT_THAT(h.counts, ElementsAre(ElementsAre(0, 2), ElementsAre(2, 1)));
}

TEST(CountLabelsTest, LeavesRealTargetsAlone) {
  std::vector<double> real(1001);
  std::iota(real.begin(), real.end(), 0.5);
  EXPECT_TRUE(CountLabels({{0, 1}}, real).labels.empty());
  EXPECT_TRUE(CountLabels({{0, 1}}, real).counts.empty());
}

}  // namespace
}  // namespace parley
