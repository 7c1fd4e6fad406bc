#include "server/rendezvous/round_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/report/conservation.h"

namespace parley {
namespace {

const std::vector<std::string> kNames = {"a", "b"};

RoundLedger::Awaited For(std::vector<std::string> names) {
  return [names = std::move(names)](int64_t) { return names; };
}

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
  // Which no number says.
  const v1::PeerReport tiny = Sketches({1e-160}, {1e150});
  const v1::PeerReport zero = Sketches({0}, {0});
  const auto grown = MeasureMixing({&tiny, &zero});
  ASSERT_TRUE(grown);
  EXPECT_FALSE(grown->contraction);
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
  ledger.Add("a", Books(1, 0.5, 1, 3), &kNames);
  ledger.Add("b", Books(1, 1.5, 0, -2), &kNames);
  auto report = ledger.Next(For({"a", "b"}));
  ASSERT_TRUE(report);
  EXPECT_DOUBLE_EQ(report->metrics.at(kMass), 2);
  EXPECT_DOUBLE_EQ(report->metrics.at(kConservationError), 0.2);
  EXPECT_EQ(report->metrics.at(kWrittenOff), 0);
  EXPECT_TRUE(report->edges.empty()) << "nothing was sent";
  ledger.Add("a", Books(2, 0.25, 1, 3), &kNames);
  report = ledger.Next(For({"a"}));
  ASSERT_TRUE(report);
  EXPECT_DOUBLE_EQ(report->metrics.at(kMass), 0.25);
  EXPECT_DOUBLE_EQ(report->metrics.at(kWrittenOff), 1.5);
  EXPECT_EQ(report->metrics.at(kConservationError), 0);
}

TEST(RoundLedgerTest, WritesOffWhatTheDeadWereGivenAfterTheyToldLast) {
  RoundLedger ledger({"a", "b"}, 10, 0);
  const auto tell = [&](const char* peer, int64_t round, double omega,
                        double flow) {
    v1::PeerReport report = Books(round, omega, *peer == 'a' ? 1 : 0, 0);
    report.mutable_sent(0)->set_flow_omega(flow);
    report.set_added(0);
    report.set_added_omega(1);
    ledger.Add(peer, report, &kNames);
  };
  tell("a", 1, 0.75, -0.25);
  tell("b", 1, 1.25, 0.25);
  EXPECT_EQ(ledger.Next(For({"a", "b"}))->metrics.at(kWrittenOff), 0);
  // b dies with what it has just been given.
  tell("a", 2, 0.5, -0.5);
  EXPECT_EQ(ledger.Next(For({"a"}))->metrics.at(kWrittenOff), 1.5);
  v1::PeerReport later = Report(3);  // an epoch without it
  later.set_epoch(1);
  later.set_omega(0.5);
  later.set_added(0);
  later.set_added_omega(1);
  later.set_gone_flow_omega(-0.5);
  ledger.Add("a", later, &kNames);
  const auto report = ledger.Next(For({"a"}));
  EXPECT_EQ(report->metrics.at(kWrittenOff), 1.5);
  EXPECT_EQ(report->metrics.at(kMassAdded), 2);
  EXPECT_EQ(report->metrics.at(kBalanceError), 0);
}

TEST(RoundLedgerTest, DoesNotAuditTheBalanceOfWhoDoesNotTellIt) {
  RoundLedger ledger({"a", "b"}, 10, 0);
  v1::PeerReport report = Books(1, 1, 1, 0);
  report.set_added(0);
  report.set_added_omega(1);
  ledger.Add("a", report, &kNames);
  ledger.Add("b", Books(1, 1, 0, 0), &kNames);
  EXPECT_FALSE(ledger.Next(For({"a", "b"}))->metrics.contains(kBalanceError));
  report.set_round(2);
  ledger.Add("a", report, nullptr);  // of an epoch that is forgotten
  EXPECT_FALSE(ledger.Next(For({"a"}))->metrics.contains(kBalanceError));
  report.set_round(3);
  ledger.Add("a", report, &kNames);
  EXPECT_EQ(ledger.Next(For({"a"}))->metrics.at(kBalanceError), 0);
}

TEST(RoundLedgerTest, APeerCannotTellWhatTheAuditFinds) {
  RoundLedger ledger({"a", "b"}, 10, 0);
  v1::PeerReport liar = Books(1, 1, 1, 3);
  (*liar.mutable_scalars())[kConservationError] = 0;
  (*liar.mutable_scalars())[kMass] = 2;
  (*liar.mutable_scalars())[kBalanceError] = 0;
  ledger.Add("a", liar, &kNames);
  ledger.Add("b", Books(1, 1.5, 0, -2), &kNames);
  const auto report = ledger.Next(For({"a", "b"}));
  ASSERT_TRUE(report);
  EXPECT_DOUBLE_EQ(report->metrics.at(kMass), 2.5);
  EXPECT_FALSE(report->metrics.contains(kBalanceError));
  EXPECT_DOUBLE_EQ(report->metrics.at(kConservationError), 0.2);
}

TEST(RoundLedgerTest, WritesOffWhatAPeerHadBeforeItWasStartedAnew) {
  RoundLedger ledger({"a", "b"}, 10, 0);
  int64_t epoch = 0;
  // a has given b so much; `gone` to the one that it was before.
  const auto tell = [&](int64_t round, double a, double b, double given,
                        double gone) {
    v1::PeerReport report = Books(round, a, 1, -4 * given);
    report.set_epoch(epoch);
    report.mutable_sent(0)->set_flow_omega(-given);
    report.set_added(0);
    report.set_added_omega(1);
    report.set_sum(-4 * (given + gone));
    report.set_gone_flow(-4 * gone);
    report.set_gone_flow_omega(-gone);
    ledger.Add("a", report, &kNames);
    report.set_omega(b);
    report.set_sum(4 * given);
    report.set_added_omega(epoch == 0 ? 1 : 0);
    report.set_gone_flow(0);
    report.set_gone_flow_omega(0);
    report.mutable_sent(0)->set_peer(0);
    report.mutable_sent(0)->set_flow(4 * given);
    report.mutable_sent(0)->set_flow_omega(given);
    ledger.Add("b", report, &kNames);
    const auto told = ledger.Next(For({"a", "b"}));
    EXPECT_TRUE(told);
    EXPECT_EQ(told->metrics.at(kBalanceError), 0);
    EXPECT_EQ(told->metrics.at(kConservationError), 0);
    EXPECT_DOUBLE_EQ(told->metrics.at(kMassAdded), 2);
    EXPECT_DOUBLE_EQ(told->metrics.at(kSum) + told->metrics.at(kSumWrittenOff),
                     0);
    return told->metrics.at(kWrittenOff);
  };
  EXPECT_EQ(tell(1, 0.5, 1.5, 0.5, 0), 0);
  ledger.WriteOff("b", 1);
  // The process that it was tells of one more round.
  EXPECT_EQ(tell(2, 0.75, 1.25, 0.25, 0), 0);
  epoch = 1;
  EXPECT_DOUBLE_EQ(tell(3, 0.75, 0, 0, 0.25), 1.25);
  EXPECT_DOUBLE_EQ(tell(4, 0.5, 0.25, 0.25, 0.25), 1.25);
}

TEST(RoundLedgerTest, TellsWhatPeersFoundAndTheMean) {
  RoundLedger ledger({"a", "b", "c"}, 10, 0);
  for (int i = 0; i < 3; ++i) {
    v1::PeerReport report = Report(1);
    if (i < 2) (*report.mutable_evaluation())["loss"] = i + 1;
    if (i < 2) (*report.mutable_evaluation())["accuracy"] = 0.5 + 0.25 * i;
    ledger.Add(std::string(1, "abc"[i]), report, nullptr);
  }
  const auto report = ledger.Next(For({"a", "b", "c"}));
  ASSERT_TRUE(report);
  ASSERT_EQ(report->evaluations.size(), 2);
  EXPECT_EQ(report->evaluations[1].client, "b");
  EXPECT_DOUBLE_EQ(*report->evaluations[1].accuracy, 0.75);
  EXPECT_DOUBLE_EQ(*report->federated.loss, 1.5);
  EXPECT_DOUBLE_EQ(*report->federated.accuracy, 0.625);
}

TEST(RoundLedgerTest, RoundsComeInOrderAndOnce) {
  RoundLedger ledger({"a", "b"}, 10, 0);
  ledger.Add("a", Report(2), &kNames);
  ledger.Add("a", Report(1), &kNames);
  ledger.Add("b", Report(1), &kNames);
  EXPECT_EQ(ledger.Next(For({"a", "b"}))->round, 1);
  EXPECT_FALSE(ledger.Next(For({"a", "b"})));
  EXPECT_EQ(ledger.Next(For({"a"}))->round, 2);  // b is lost
  ledger.Add("b", Report(2), &kNames);           // too late
  EXPECT_FALSE(ledger.Next(For({"a", "b"})));
  EXPECT_EQ(ledger.told(), 2);
}

TEST(RoundLedgerTest, APeerThatSkippedARoundDoesNotHoldItUp) {
  RoundLedger ledger({"a", "b"}, 10, 0);
  ledger.Add("a", Report(1), &kNames);
  ledger.Add("b", Report(3), &kNames);
  const auto report = ledger.Next(For({"a", "b"}));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->counted, std::vector<std::string>{"a"});
}

TEST(RoundLedgerTest, ASilentPeerHoldsUpABoundedNumberOfRounds) {
  RoundLedger ledger({"a", "b"}, 100000, 0);
  const auto most = static_cast<int64_t>(RoundLedger::kMaxOpen);
  for (int64_t round = 1; round <= most; ++round)
    ledger.Add("a", Report(round), &kNames);
  EXPECT_FALSE(ledger.Next(For({"a", "b"})));
  ledger.Add("a", Report(most + 1), &kNames);
  EXPECT_EQ(ledger.Next(For({"a", "b"}))->round, 1);
  EXPECT_FALSE(ledger.Next(For({"a", "b"})));
}

TEST(RoundLedgerTest, TrafficIsAddedUpByEdge) {
  RoundLedger ledger({"a", "b"}, 1, 0);
  v1::PeerReport report = Report(1);
  report.add_sent()->set_peer(1);
  report.mutable_sent(0)->set_bytes(30);
  ledger.Add("a", report, &kNames);
  report.set_round(2);  // the average
  ledger.Add("a", report, &kNames);
  const auto last = ledger.TakeLast();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->edges, (std::vector<EdgeTraffic>{{0, 1, 60}}));
  EXPECT_FALSE(ledger.TakeLast());
}

TEST(RoundLedgerTest, PeersKeepTheirNumbersOverEpochs) {
  RoundLedger ledger({"a", "b", "c"}, 9, 0);
  // The second epoch is without a, and has d.
  const std::vector<std::string> later = {"d", "b", "c"};
  v1::PeerReport report = Report(5);
  report.add_sent()->set_peer(0);  // c to d
  report.mutable_sent(0)->set_bytes(30);
  ledger.Add("c", report, &later);
  report.mutable_sent(0)->set_peer(2);  // d to c
  ledger.Add("d", report, &later);
  ledger.Add("b", report, nullptr);  // of an epoch that is forgotten
  EXPECT_EQ(ledger.latest("d"), 5);
  EXPECT_EQ(ledger.latest("a"), 0);
  EXPECT_FALSE(ledger.Next(For({"a"})));
  const auto told = ledger.Next(For({"b", "c", "d"}));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->counted, (std::vector<std::string>{"b", "c", "d"}));
  EXPECT_EQ(told->edges, (std::vector<EdgeTraffic>{{2, 3, 30}, {3, 2, 30}}));
}

TEST(RoundLedgerTest, WhomARoundWaitsForMayDifferFromRoundToRound) {
  RoundLedger ledger({"a"}, 9, 0);
  for (int64_t round : {1, 2, 3}) ledger.Add("a", Report(round), &kNames);
  const auto joins = [](int64_t round) {  // b comes in with round 3
    return round < 3 ? std::vector<std::string>{"a"}
                     : std::vector<std::string>{"a", "b"};
  };
  EXPECT_EQ(ledger.Next(joins)->round, 1);
  EXPECT_EQ(ledger.Next(joins)->round, 2);
  EXPECT_FALSE(ledger.Next(joins));
  ledger.Add("b", Report(3), &kNames);
  EXPECT_EQ(ledger.Next(joins)->round, 3);
}

}  // namespace
}  // namespace parley
