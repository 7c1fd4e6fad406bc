// Base-(k+1) graphs: exact after a period, for any number of peers.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/topology/spectrum.h"
#include "tests/unit/topology/matrix.h"

namespace parley {
namespace {

TEST(Base, OnePeriodIsTheMean) {
  for (int64_t k = 1; k <= 4; ++k) {
    for (int64_t peers = 2; peers <= 40; ++peers) {
      SCOPED_TRACE(absl::StrCat(peers, " peers, k = ", k));
      const auto schedule = Make({.kind = "base", .k = k}, peers);
      EXPECT_LE((ProductOf(*schedule, schedule->period()) - MeanMatrix(peers))
                    .cwiseAbs()
                    .maxCoeff(),
                1e-15);
      ASSERT_OK_AND_ASSIGN(const Spectrum spectrum, SpectrumOf(*schedule));
      EXPECT_LE(spectrum.exact_after, schedule->period());
      EXPECT_GE(spectrum.exact_after, 1);
      EXPECT_LE(spectrum.max_degree, k);
      // Theorem 1 of the paper.
      EXPECT_LE(static_cast<double>(schedule->period()),
                2 * std::log(peers) / std::log(k + 1) + 2 + 1e-9);
    }
  }
}

TEST(Base, PeriodsOfThePaperAndOfHypercubes) {
  struct {
    int64_t peers, k, period;
  } const kTable[] = {
      {1, 1, 1},
      {2, 1, 1},
      {4, 1, 2},
      {5, 1, 5},
      {16, 1, 4},
      // Figure 4: 6 = 4 + 2 takes 5 rounds, 2 beside each other of 3 take 4.
      {3, 1, 3},
      {6, 1, 4},
      // One clique; 3 x 3; 2 x 3.
      {9, 8, 1},
      {9, 2, 2},
      {6, 2, 2},
  };
  for (const auto& row : kTable) {
    EXPECT_EQ(Make({.kind = "base", .k = row.k}, row.peers)->period(),
              row.period)
        << row.peers << " peers, k = " << row.k;
  }
}

TEST(Base, OfManyPeersAndOfMoreNeighboursThanPeers) {
  for (auto [peers, k] : {std::pair{1000, 1}, {1023, 3}, {997, 6}}) {
    const auto schedule = Make({.kind = "base", .k = k}, peers);
    ASSERT_OK_AND_ASSIGN(const Spectrum spectrum, SpectrumOf(*schedule));
    EXPECT_GE(spectrum.exact_after, 1);
    EXPECT_LE(spectrum.max_degree, k);
  }
  const auto clique = Make({.kind = "base", .k = 1000}, 7);
  EXPECT_EQ(clique->period(), 1);
}

}  // namespace
}  // namespace parley
