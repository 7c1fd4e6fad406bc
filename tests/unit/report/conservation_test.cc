#include "common/report/conservation.h"

#include <gtest/gtest.h>

#include "common/report/evaluations.h"

namespace parley {
namespace {

// Three peers: 0 and 1 agree on 3, 1 and 2 are off by 0.5.
std::vector<PeerBooks> Books() {
  return {{.peer = 0, .omega = 0.5, .edges = {{1, 3, 0.25}}},
          {.peer = 1, .omega = 1, .edges = {{0, -3, -0.25}, {2, 4, 0.5}}},
          {.peer = 2, .omega = 1.5, .edges = {{1, -3.5, -0.5}}}};
}

TEST(Conservation, IsTheLargestSumOfAnEdgesTwoEnds) {
  auto found = AuditConservation(Books(), 0.75);
  EXPECT_DOUBLE_EQ(found.at(kMass), 3);
  EXPECT_DOUBLE_EQ(found.at(kConservationError), 0.5 / (3 + 3 + 4 + 3.5));
  EXPECT_EQ(found.at(kInDoubt), 0);
  EXPECT_EQ(found.at(kWrittenOff), 0.75);
}

TEST(Conservation, TakesOmegaWhereThatIsFurtherOff) {
  std::vector<PeerBooks> books = Books();
  books[0].edges[0].flow_omega = 0.75;
  EXPECT_DOUBLE_EQ(AuditConservation(books, 0).at(kConservationError),
                   0.5 / (0.75 + 0.25 + 0.5 + 0.5));
}

TEST(Conservation, AnEdgeThatOneEndDoesNotKnowIsOff) {
  std::vector<PeerBooks> books = Books();
  books[2].edges.clear();
  EXPECT_DOUBLE_EQ(AuditConservation(books, 0).at(kConservationError),
                   0.5 / (0.25 + 0.25 + 0.5));  // ω; of x 4 / 10
}

TEST(Conservation, LeavesOutWhatCannotBeChecked) {
  // In doubt at one end is in doubt, once.
  std::vector<PeerBooks> books = Books();
  books[2].edges[0].in_doubt = true;
  auto found = AuditConservation(books, 0);
  EXPECT_EQ(found.at(kInDoubt), 1);
  EXPECT_EQ(found.at(kConservationError), 0);
  books[1].edges[1].in_doubt = true;
  EXPECT_EQ(AuditConservation(books, 0).at(kInDoubt), 1);
  // Another epoch counts from 0.
  books = Books();
  books[2].epoch = 1;
  EXPECT_EQ(AuditConservation(books, 0).at(kConservationError), 0);
  // The other end told nothing.
  books = Books();
  books.pop_back();
  found = AuditConservation(books, 0);
  EXPECT_EQ(found.at(kConservationError), 0);
  EXPECT_EQ(found.at(kInDoubt), 0);
  EXPECT_DOUBLE_EQ(found.at(kMass), 1.5);
  EXPECT_EQ(AuditConservation({}, 0).at(kConservationError), 0);
}

TEST(Evaluations, MeansAreOfThoseThatHaveTheNumber) {
  const EvaluationReport mean =
      MeanOf({{.client = "a", .examples = 1, .loss = 2, .accuracy = 0.5},
              {.client = "b", .examples = 3, .loss = 4}});
  EXPECT_DOUBLE_EQ(*mean.loss, 3.5);
  EXPECT_DOUBLE_EQ(*mean.accuracy, 0.5);
  EXPECT_FALSE(MeanOf({}).loss);
}

}  // namespace
}  // namespace parley
