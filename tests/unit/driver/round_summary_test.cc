#include "server/round/round_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/run/run_files.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using ::testing::ElementsAre;

v1::TaskOutcome& Add(effect::ReportRound& round, const char* client,
                     v1::TaskKind kind, double weight, bool counted) {
  v1::TaskOutcome& outcome = *round.round.add_outcomes();
  outcome.set_client(client);
  outcome.set_kind(kind);
  outcome.set_weight(weight);
  outcome.set_counted(counted);
  if (!counted) outcome.set_reason("slow");
  return outcome;
}

TEST(RoundSummary, WeighsMeansOverThoseThatCounted) {
  effect::ReportRound round;
  round.round.set_round(4);
  round.opened.add_cohort()->set_client("a");
  round.opened.add_cohort()->set_client("b");
  auto& a = *Add(round, "a", v1::TRAIN, 1, true).mutable_scalars();
  a["loss"] = 2;
  a["norm"] = 10;
  (*Add(round, "b", v1::TRAIN, 100, false).mutable_scalars())["loss"] = 1e9;
  (*Add(round, "c", v1::TRAIN, 3, true).mutable_scalars())["loss"] = 6;
  auto& e = *Add(round, "a", v1::EVALUATE, 1, true).mutable_scalars();
  e["loss"] = 8;
  e["accuracy"] = 0.5;
  round.central = {{"loss", 7.0}};
  (*round.round.mutable_direction())["gap"] = 0.25;

  const RoundReport report = Summarize(round, 12.5);
  EXPECT_EQ(report.round, 4);
  EXPECT_THAT(report.asked, ElementsAre("a", "b", "c"));
  EXPECT_THAT(report.counted, ElementsAre("a", "c"));
  EXPECT_THAT(report.refused, ElementsAre(Refusal{"b", "slow"}));
  EXPECT_EQ(report.train_loss, (1 * 2 + 3 * 6) / 4.0);
  EXPECT_THAT(report.metrics, ElementsAre(std::pair("norm", 10.0)));
  EXPECT_EQ(report.federated.loss, 8);
  EXPECT_EQ(report.federated.accuracy, 0.5);
  EXPECT_THAT(report.evaluations,
              ElementsAre(ClientEvaluation{"a", 1, 8.0, 0.5}));
  EXPECT_EQ(report.central.loss, 7);
  EXPECT_FALSE(report.central.accuracy.has_value());
  EXPECT_THAT(report.direction, ElementsAre(std::pair("gap", 0.25)));
  EXPECT_EQ(report.elapsed_seconds, 12.5);
}

TEST(RoundSummary, TheLogLossIsThatOfTheMean) {
  effect::ReportRound round;
  const auto tell = [&round](double weight, double log_loss, bool counted) {
    (*Add(round, "c", v1::TRAIN, weight, counted)
          .mutable_scalars())["log_loss"] = log_loss;
  };
  tell(1, -2000, true);
  tell(3, -2000 + std::log(2), true);
  tell(9, 50, false);
  EXPECT_NEAR(Summarize(round, 0).metrics.at("log_loss"),
              -2000 + std::log((1 + 3 * 2) / 4.0), 1e-12);
}

TEST(RoundSummary, OfManyEvaluationsTheSpreadIsKept) {
  effect::ReportRound round;
  for (int i = 0; i < 1000; ++i) {
    auto& scalars = *Add(round, "c", v1::EVALUATE, 1, true).mutable_scalars();
    scalars["accuracy"] = (i * 7 % 1000) / 1000.0;
  }
  // None of these count.
  (*Add(round, "d", v1::EVALUATE, 1, false).mutable_scalars())["accuracy"] = -1;
  (*Add(round, "d", v1::TRAIN, 1, true).mutable_scalars())["accuracy"] = 2;
  const auto evaluations = Summarize(round, 1).evaluations;
  ASSERT_EQ(evaluations.size(), kMaxEvaluations);
  EXPECT_EQ(evaluations.front().accuracy, 0);
  EXPECT_EQ(evaluations.back().accuracy, 0.999);
  EXPECT_NEAR(*evaluations[kMaxEvaluations / 2].accuracy, 0.5, 0.01);
}

TEST(RoundSummary, StatusSaysNothingWhereThereIsNothing) {
  v1::RunStatus status;
  status.set_run("x");
  status.set_state(v1::STOPPED);
  status.set_loss(0.5);
  EXPECT_EQ(StatusJson(status),
            R"({"run":"x","state":"stopped","reason":"","round":0,"rounds":0,)"
            R"("loss":0.5,"accuracy":null,"seconds":0,"bytes_up":0,)"
            R"("bytes_down":0})"
            "\n");
}

TEST(RoundSummary, AStatusIsReadAsItWasWritten) {
  v1::RunStatus status;
  status.set_run("x");
  status.set_state(v1::FAILED);
  status.set_detail("the \"disk\" is full");
  status.set_round(3);
  status.set_rounds(10);
  status.set_accuracy(0.1);
  status.set_seconds(1.25);
  status.set_bytes_up(7);
  status.set_bytes_down(uint64_t{1} << 40);
  ASSERT_OK_AND_ASSIGN(const v1::RunStatus read,
                       ReadStatusJson(StatusJson(status)));
  EXPECT_EQ(read.ShortDebugString(), status.ShortDebugString());
  EXPECT_FALSE(ReadStatusJson("").ok());
  EXPECT_FALSE(ReadStatusJson("{}").ok());
  EXPECT_FALSE(ReadStatusJson(R"({"state":"asleep"})").ok());
}

}  // namespace
}  // namespace parley
