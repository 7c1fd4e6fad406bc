#include "server/rendezvous/round_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/report/conservation.h"

namespace parley {
namespace {

v1::PeerReport Report(int64_t round) {
  v1::PeerReport report;
  report.set_round(round);
  return report;
}

v1::PeerReport Sketches(std::vector<double> sent, std::vector<double> mixed) {
  v1::PeerReport report = Report(1);
  report.mutable_sent_sketch()->Add(sent.begin(), sent.end());
  report.mutable_mixed_sketch()->Add(mixed.begin(), mixed.end());
  return report;
}

TEST(RoundLedgerTest, MeasuresHowMixingShrinksTheSpread) {
  // Sent 0, 4 and 2, 2 around (2, 1): Σ‖·‖² = 2·(4 + 1) = 10. Half of it after.
  const v1::PeerReport a = Sketches({0, 2}, {1, 1.5});
  const v1::PeerReport b = Sketches({4, 0}, {3, 0.5});
  const auto measure = MeasureMixing({&a, &b});
  ASSERT_TRUE(measure);
  EXPECT_DOUBLE_EQ(measure->distance, 5);
  EXPECT_DOUBLE_EQ(*measure->contraction, 0.5);
  EXPECT_FALSE(MeasureMixing({&a}));
  const v1::PeerReport none = Report(1);
  EXPECT_FALSE(MeasureMixing({&a, &none}));
  const v1::PeerReport other = Sketches({1}, {1});
  EXPECT_FALSE(MeasureMixing({&a, &other}));
  const auto equal = MeasureMixing({&a, &a});
  ASSERT_TRUE(equal);
  EXPECT_EQ(equal->distance, 0);
  EXPECT_FALSE(equal->contraction);
}

v1::PeerReport Books(int64_t round, double omega, int other, double flow) {
  v1::PeerReport report = Report(round);
  report.set_omega(omega);
  v1::PeerReport::EdgeTraffic& edge = *report.add_sent();
  edge.set_peer(other);
  edge.set_flow(flow);
  return report;
}

TEST(RoundLedgerTest, AuditsEdgesAndWritesOffWhoTellsNoMore) {
  RoundLedger ledger({"a", "b"}, 10, 0);
  ledger.Add(0, Books(1, 0.5, 1, 3));
  ledger.Add(1, Books(1, 1.5, 0, -2));
  auto report = ledger.Next({true, true});
  ASSERT_TRUE(report);
  EXPECT_DOUBLE_EQ(report->metrics.at(kMass), 2);
  EXPECT_DOUBLE_EQ(report->metrics.at(kConservationError), 0.2);
  EXPECT_EQ(report->metrics.at(kWrittenOff), 0);
  EXPECT_TRUE(report->edges.empty()) << "nothing was sent";
  ledger.Add(0, Books(2, 0.25, 1, 3));
  report = ledger.Next({true, false});
  ASSERT_TRUE(report);
  EXPECT_DOUBLE_EQ(report->metrics.at(kMass), 0.25);
  EXPECT_DOUBLE_EQ(report->metrics.at(kWrittenOff), 1.5);
  EXPECT_EQ(report->metrics.at(kConservationError), 0);
}

TEST(RoundLedgerTest, TellsWhatPeersFoundAndTheMean) {
  RoundLedger ledger({"a", "b", "c"}, 10, 0);
  for (int i = 0; i < 3; ++i) {
    v1::PeerReport report = Report(1);
    if (i < 2) (*report.mutable_evaluation())["loss"] = i + 1;
    if (i < 2) (*report.mutable_evaluation())["accuracy"] = 0.5 + 0.25 * i;
    ledger.Add(i, report);
  }
  const auto report = ledger.Next({true, true, true});
  ASSERT_TRUE(report);
  ASSERT_EQ(report->evaluations.size(), 2);
  EXPECT_EQ(report->evaluations[1].client, "b");
  EXPECT_DOUBLE_EQ(*report->evaluations[1].accuracy, 0.75);
  EXPECT_DOUBLE_EQ(*report->federated.loss, 1.5);
  EXPECT_DOUBLE_EQ(*report->federated.accuracy, 0.625);
}

TEST(RoundLedgerTest, RoundsComeInOrderAndOnce) {
  RoundLedger ledger({"a", "b"}, 10, 0);
  ledger.Add(0, Report(2));
  ledger.Add(0, Report(1));
  ledger.Add(1, Report(1));
  EXPECT_EQ(ledger.Next({true, true})->round, 1);
  EXPECT_FALSE(ledger.Next({true, true}));
  EXPECT_EQ(ledger.Next({true, false})->round, 2);  // b is lost
  ledger.Add(1, Report(2));                         // too late
  EXPECT_FALSE(ledger.Next({true, true}));
  EXPECT_EQ(ledger.told(), 2);
}

TEST(RoundLedgerTest, APeerThatSkippedARoundDoesNotHoldItUp) {
  RoundLedger ledger({"a", "b"}, 10, 0);
  ledger.Add(0, Report(1));
  ledger.Add(1, Report(3));
  const auto report = ledger.Next({true, true});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->counted, std::vector<std::string>{"a"});
}

TEST(RoundLedgerTest, ASilentPeerHoldsUpABoundedNumberOfRounds) {
  RoundLedger ledger({"a", "b"}, 100000, 0);
  const auto most = static_cast<int64_t>(RoundLedger::kMaxOpen);
  for (int64_t round = 1; round <= most; ++round) ledger.Add(0, Report(round));
  EXPECT_FALSE(ledger.Next({true, true}));
  ledger.Add(0, Report(most + 1));
  EXPECT_EQ(ledger.Next({true, true})->round, 1);
  EXPECT_FALSE(ledger.Next({true, true}));
}

TEST(RoundLedgerTest, TrafficIsAddedUpByEdge) {
  RoundLedger ledger({"a", "b"}, 1, 0);
  v1::PeerReport report = Report(1);
  report.add_sent()->set_peer(1);
  report.mutable_sent(0)->set_bytes(30);
  ledger.Add(0, report);
  report.set_round(2);  // the average
  ledger.Add(0, report);
  const auto last = ledger.TakeLast();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->edges, (std::vector<EdgeTraffic>{{0, 1, 60}}));
  EXPECT_FALSE(ledger.TakeLast());
}

}  // namespace
}  // namespace parley
