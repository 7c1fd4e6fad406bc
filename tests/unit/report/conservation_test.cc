#include "common/report/conservation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/report/evaluations.h"

namespace parley {
namespace {

// Three peers: 0 and 1 agree on 3, 1 and 2 are off by 0.5.
std::vector<PeerBooks> Books() {
  return {{.peer = 0, .has = {0, 0.5}, .edges = {{1, {3, 0.25}}}},
          {.peer = 1, .edges = {{0, {-3, -0.25}}, {2, {4, 0.5}}}},
          {.peer = 2, .has = {0, 1.5}, .edges = {{1, {-3.5, -0.5}}}}};
}

TEST(Conservation, IsTheLargestSumOfAnEdgesTwoEnds) {
  auto found = AuditConservation(Books(), {});
  EXPECT_DOUBLE_EQ(found.at(kMass), 3);
  EXPECT_DOUBLE_EQ(found.at(kConservationError), 0.5 / (3 + 3 + 4 + 3.5));
  EXPECT_EQ(found.at(kInDoubt), 0);
  EXPECT_EQ(found.at(kWrittenOff), 0);
  EXPECT_FALSE(found.contains(kBalanceError)) << "nobody tells what it added";
}

TEST(Conservation, TakesOmegaWhereThatIsFurtherOff) {
  std::vector<PeerBooks> books = Books();
  books[0].edges[0].flow.omega = 0.75;
  EXPECT_DOUBLE_EQ(AuditConservation(books, {}).at(kConservationError),
                   0.5 / (0.75 + 0.25 + 0.5 + 0.5));
}

TEST(Conservation, AnEdgeThatOneEndDoesNotKnowIsOff) {
  std::vector<PeerBooks> books = Books();
  books[2].edges.clear();
  EXPECT_DOUBLE_EQ(AuditConservation(books, {}).at(kConservationError),
                   0.5 / (0.25 + 0.25 + 0.5));  // ω; of x 4 / 10
}

TEST(Conservation, WhatIsInDoubtMayBeOff) {
  // In doubt at one end is in doubt, once.
  std::vector<PeerBooks> books = Books();
  PeerBooks::Edge& edge = books[2].edges[0];
  edge.in_doubt = true;
  edge.doubt.sum = 0.5;
  auto found = AuditConservation(books, {});
  EXPECT_EQ(found.at(kInDoubt), 1);
  EXPECT_EQ(found.at(kConservationError), 0);
  EXPECT_EQ(found.at(kSumInFlight), -0.5);
  books[1].edges[1].in_doubt = true;
  EXPECT_EQ(AuditConservation(books, {}).at(kInDoubt), 1);
  // But by no more than that.
  edge.doubt.sum = 0.25;
  found = AuditConservation(books, {});
  EXPECT_DOUBLE_EQ(found.at(kConservationError), 0.25 / (3 + 3 + 4 + 3.5));
  EXPECT_EQ(found.at(kSumInFlight), -0.25);
}

TEST(Conservation, LeavesOutEdgesOfWhichOneEndTellsNothing) {
  std::vector<PeerBooks> books = Books();
  books.pop_back();
  auto found = AuditConservation(books, {});
  EXPECT_EQ(found.at(kConservationError), 0);
  EXPECT_EQ(found.at(kInDoubt), 0);
  EXPECT_DOUBLE_EQ(found.at(kMass), 1.5);
  EXPECT_DOUBLE_EQ(found.at(kWrittenOff), -0.5);  // what came from it
  EXPECT_DOUBLE_EQ(found.at(kSumWrittenOff), -4);
  EXPECT_EQ(AuditConservation({}, {}).at(kConservationError), 0);
  // Nor are they compared where they are not of the same round.
  found = AuditConservation(Books(), {}, /*in_step=*/false);
  EXPECT_EQ(found.at(kConservationError), 0);
  EXPECT_EQ(found.at(kSumInFlight), -0.5);
}

// Peer 0 began with 10 and gave 3 to peer 1, which began with 20 and trained 1;
// and has given 2 to peer 2, which began with 5, told that 1 of it came, and
// died.
class Deaths : public testing::Test {
 protected:
  Deaths() {
    dead_.Add({.peer = 2,
               .has = {6, 1},
               .added = Balance{5, 1},
               .edges = {{1, {1, 0}}}});
  }
  double Error() const {
    return AuditConservation(live_, dead_).at(kBalanceError);
  }
  std::vector<PeerBooks> live_ = {{.peer = 0,
                                   .has = {7, 1},
                                   .added = Balance{10, 1},
                                   .edges = {{1, {-3, 0}}}},
                                  {.peer = 1,
                                   .has = {22, 1},
                                   .added = Balance{21, 1},
                                   .edges = {{0, {3, 0}}, {2, {-2, 0}}}}};
  WrittenOffBooks dead_;
};

TEST_F(Deaths, TheLivingAndTheWrittenOffAreWhatWasAdded) {
  const auto found = AuditConservation(live_, dead_);
  EXPECT_EQ(found.at(kSum), 29);
  EXPECT_EQ(found.at(kSumWrittenOff), 5 + 2);
  EXPECT_EQ(found.at(kSumAdded), 36);
  EXPECT_EQ(found.at(kMass), 2);
  EXPECT_EQ(found.at(kWrittenOff), 1);
  EXPECT_EQ(found.at(kMassAdded), 3);
  EXPECT_EQ(found.at(kBalanceError), 0);
  // An epoch later peer 1 knows it no more.
  live_[1].edges.pop_back();
  live_[1].gone.sum = -2;
  EXPECT_EQ(AuditConservation(live_, dead_), found);
}

TEST_F(Deaths, FindsWhatIsMissing) {
  EXPECT_EQ(Error(), 0);
  auto good = live_;
  live_[0].has.sum += 1;
  EXPECT_GT(Error(), 0.005);
  EXPECT_GT(OwnBalanceError(live_[0]), 0.01);
  live_ = good;
  live_[1].has.omega -= 0.25;
  EXPECT_GT(Error(), 0.01);
  EXPECT_GT(OwnBalanceError(live_[1]), 0.05);
  live_ = good;
  live_[1].added->sum += 1;
  EXPECT_GT(Error(), 0.005);
  live_ = good;
  live_[1].edges[0].flow.sum += 1;  // an exchange that one end counted
  live_[1].has.sum += 1;
  EXPECT_EQ(OwnBalanceError(live_[1]), 0);
  EXPECT_GT(Error(), 0.005);
  // As long as one end does not know, it is on its way.
  live_[0].edges[0].in_doubt = true;
  live_[0].edges[0].doubt.sum = 1;
  EXPECT_EQ(Error(), 0);
}

// As of softmax, whose gradients add up to nothing: all that is left of Σx is
// rounding.
TEST(Conservation, RoundingIsSmallBesideTheNumbersNotBesideTheirSum) {
  const std::vector<PeerBooks> books = {
      {.peer = 0, .has = {3e-8, 1}, .norm = 10, .added = Balance{-1e-8, 1}}};
  EXPECT_DOUBLE_EQ(AuditConservation(books, {}).at(kBalanceError),
                   4e-8 / (3e-8 + 10 + 1e-8));
  EXPECT_DOUBLE_EQ(OwnBalanceError(books[0]), 4e-8 / (3e-8 + 10 + 1e-8));
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
