// Over-selection, deadlines, quorum, and what is done when too few answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "server/round/phase.h"
#include "tests/unit/round_machine/round_world.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::RunConfig Policy(v1::Cohort::TooFew too_few, double quorum,
                     double deadline) {
  v1::RunConfig config = SmallRun(4, 2);
  config.mutable_cohort()->set_too_few(too_few);
  config.mutable_cohort()->set_quorum(quorum);
  config.mutable_cohort()->set_deadline_seconds(deadline);
  config.mutable_limits()->set_lease_seconds(1000);
  return config;
}

void JoinAll(RoundWorld& world) {
  for (const std::string name : {"a", "b", "c", "d"}) world.Join(name);
}

TEST(Policies, UnderOverSelectionTheFirstAnswersCount) {
  v1::RunConfig config = SmallRun(4, 1);
  config.mutable_cohort()->set_max(2);
  config.mutable_cohort()->set_over_selection(1);
  RoundWorld world(config);
  JoinAll(world);
  std::vector<std::string> order;
  for (const auto& m : world.records[0].round_opened().cohort()) {
    order.push_back(m.client());
  }
  ASSERT_EQ(order.size(), 4u);
  world.Ready(order[0]);
  const TransferId slow = world.OpenUpload(order[0]);
  world.Answer(order[3]);
  world.Answer(order[2]);
  ASSERT_TRUE(world.end);
  EXPECT_FALSE(world.runs(slow));
  EXPECT_THAT(world.folded[0], ElementsAre(order[2], order[3]));
  EXPECT_THAT(world.Outcomes()[order[0]], HasSubstr("others answered first"));
  EXPECT_THAT(world.Outcomes()[order[1]], HasSubstr("others answered first"));
  EXPECT_FALSE(world.client(order[0]).overs.back().counted());
}

TEST(Policies, OverSelectionMakesUpForFailures) {
  v1::RunConfig config = SmallRun(4, 1);
  config.mutable_cohort()->set_max(2);
  config.mutable_cohort()->set_over_selection(1);
  config.mutable_cohort()->set_too_few(v1::Cohort::FAIL);
  RoundWorld world(config);
  JoinAll(world);
  world.Fail("a", "x");
  world.Fail("b", "x");
  EXPECT_FALSE(world.end);
  world.Answer("c");
  world.Answer("d");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FINISHED);
}

TEST(Policies, TheDeadlineCutsOffTheSlowWhereAQuorumAnswered) {
  RoundWorld world(Policy(v1::Cohort::WAIT, 0.5, 30));
  JoinAll(world);
  EXPECT_EQ(world.client("a").task->deadline_ms(), 30000);
  world.Advance(absl::Seconds(10));
  world.Answer("a");
  world.Answer("b");
  world.Break("c");
  world.Join("c");
  EXPECT_EQ(world.client("c").task->deadline_ms(), 20000);
  world.Advance(absl::Seconds(19));
  EXPECT_TRUE(world.folded.empty());
  const v1::UpdateReady late = world.Update("c");
  world.Advance(absl::Seconds(2));
  EXPECT_EQ(world.folded.size(), 1u);
  EXPECT_THAT(world.Outcomes()["c"], HasSubstr("deadline"));
  EXPECT_EQ(world.client("c").task->task().round(), 2);
  world.Ready("c", late);
  EXPECT_FALSE(world.client("c").verdict->accepted());
  EXPECT_THAT(world.client("c").overs.back().reason(), HasSubstr("deadline"));
}

TEST(Policies, WaitGoesOnBeyondTheDeadline) {
  RoundWorld world(Policy(v1::Cohort::WAIT, 0.75, 30));
  JoinAll(world);
  world.Answer("a");
  world.Answer("b");
  world.Advance(absl::Seconds(100));
  EXPECT_TRUE(world.folded.empty());
  EXPECT_TRUE(world.Said("waiting for"));
  world.Break("c");
  world.Join("c");
  EXPECT_EQ(world.client("c").task->deadline_ms(), 0);
  world.Answer("c");
  EXPECT_EQ(world.folded.size(), 1u);
  EXPECT_EQ(world.folded[0].size(), 3u);
}

TEST(Policies, SkipLeavesTheModelAndGoesOn) {
  v1::RunConfig config = Policy(v1::Cohort::SKIP, 1, 30);
  config.mutable_evaluation()->set_central(true);
  RoundWorld world(config);
  world.central = [](int64_t) { return std::map<std::string, double>(); };
  JoinAll(world);
  world.Answer("a");
  world.Advance(absl::Seconds(31));
  EXPECT_EQ(world.discards, 1);
  ASSERT_EQ(world.reports.size(), 1u);
  EXPECT_TRUE(world.reports[0].skipped);
  EXPECT_FALSE(world.reports[0].central);
  EXPECT_FALSE(world.client("a").overs.back().counted());
  EXPECT_EQ(world.client("a").task->task().round(), 2);
  EXPECT_EQ(world.client("a").task->model_version(), 1);
  world.Fail("b", "x");  // skips at once: four are needed
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FINISHED);
  EXPECT_TRUE(world.reports[1].skipped);
  EXPECT_TRUE(world.reports[1].central);  // always after the last
}

TEST(Policies, SkippingDoesNotSpin) {
  v1::RunConfig config = Policy(v1::Cohort::SKIP, 1, 0);
  config.mutable_stop()->set_rounds(10);
  RoundWorld world(config);
  JoinAll(world);
  world.on_message = [](const std::string&, const v1::ServerMessage&) {};
  int tasks = 0;
  for (int i = 0; i < 10000 && !world.end; ++i) {
    if (world.client("b").tasks > tasks) {
      tasks = world.client("b").tasks;
      world.Fail("b", "always");
    }
    world.Advance(absl::Milliseconds(100));
  }
  ASSERT_TRUE(world.end);
  // 1 + 2 + 4 + 8 + 16 + 30 ... seconds of back-off
  EXPECT_GT(world.now() - absl::UnixEpoch(), absl::Seconds(100));
}

TEST(Policies, FailEndsTheRun) {
  RoundWorld world(Policy(v1::Cohort::FAIL, 0.75, 0));
  JoinAll(world);
  world.Answer("a");
  world.Fail("b", "x");
  EXPECT_FALSE(world.end);
  world.Fail("c", "x");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FAILED);
  EXPECT_THAT(world.end->reason, HasSubstr("too few"));
  EXPECT_FALSE(world.client("a").goodbye->run_over());
}

TEST(Policies, WithAQuorumTheRoundEndsWhenNobodyElseCanAnswer) {
  RoundWorld world(Policy(v1::Cohort::FAIL, 0.75, 0));
  JoinAll(world);
  world.Answer("a");
  world.Fail("b", "x");
  world.Answer("c");
  EXPECT_TRUE(world.folded.empty());
  world.Answer("d");
  EXPECT_EQ(world.folded.size(), 1u);
}

TEST(Policies, FoldingBeginsBeforeAllHaveAnswered) {
  RoundWorld world(Policy(v1::Cohort::SKIP, 0.5, 0));
  JoinAll(world);
  std::vector<std::string> order;
  for (const auto& m : world.records[0].round_opened().cohort()) {
    order.push_back(m.client());
  }
  world.keep_log = true;
  const auto folds = [&](auto&& act) {
    world.log.clear();
    act();
    int count = 0;
    const std::string fold =
        absl::StrCat(RoundEffect(effect::Fold{}).index(), " ");
    for (size_t at = 0; at < world.log.size();
         at = world.log.find('\n', at) + 1) {
      count += world.log.compare(at, fold.size(), fold) == 0;
    }
    return count;
  };
  EXPECT_EQ(folds([&] { world.Answer(order[1]); }), 0);
  EXPECT_EQ(folds([&] { world.Answer(order[0]); }), 2);
  EXPECT_EQ(folds([&] { world.Answer(order[3]); }), 0);
  EXPECT_EQ(folds([&] { world.Fail(order[2], "x"); }), 1);
  EXPECT_THAT(world.folded,
              ElementsAre(ElementsAre(order[0], order[1], order[3])));
}

TEST(Policies, EvaluationFollowsThePolicyToo) {
  v1::RunConfig config = Policy(v1::Cohort::SKIP, 1, 0);
  config.mutable_evaluation()->set_federated(true);
  RoundWorld world(config);
  JoinAll(world);
  for (const std::string name : {"a", "b", "c", "d"}) world.Answer(name);
  ASSERT_EQ(world.client("a").task->kind(), v1::EVALUATE);
  world.Answer("a");
  world.Fail("b", "no data");
  ASSERT_EQ(world.reports.size(), 1u);
  EXPECT_FALSE(world.reports[0].skipped);  // the model was trained
  EXPECT_EQ(world.Outcomes(v1::TRAIN)["a"], "");
  EXPECT_NE(world.Outcomes(v1::EVALUATE)["a"], "");
  EXPECT_FALSE(world.status->has_loss());
}

TEST(Policies, WaitAsksTheOnlyClientsAgain) {
  v1::RunConfig config = Policy(v1::Cohort::WAIT, 1, 0);
  config.mutable_evaluation()->set_federated(true);
  RoundWorld world(config);
  JoinAll(world);
  for (const std::string name : {"a", "b", "c", "d"}) world.Answer(name);
  for (const std::string name : {"a", "c", "d"}) world.Answer(name);
  world.Fail("b", "once");
  world.Advance(absl::Seconds(2));
  EXPECT_EQ(world.client("b").task->task().attempt(), 2);
  world.Answer("b");
  EXPECT_EQ(world.reports.size(), 1u);
  EXPECT_EQ(world.Outcomes(v1::EVALUATE)["b"], "");
}

// Fails all that is asked of them, until the run ends; returns how often.
int FailAll(RoundWorld& world,
            const std::vector<std::string>& names = {"a", "b", "c", "d"}) {
  std::map<std::string, int> failed;
  int sum = 0;
  for (int i = 0; i < 100; ++i, world.Advance(absl::Seconds(30))) {
    for (const std::string name : {"a", "b", "c", "d"}) world.Beat(name);
    for (const std::string& name : names) {
      if (world.end) return sum;
      if (std::exchange(failed[name], world.client(name).tasks) ==
          world.client(name).tasks) {
        continue;
      }
      world.Fail(name, "no memory left");
      ++sum;
    }
  }
  return sum;
}

TEST(Policies, WaitGivesUpWhereEveryAnswerFails) {
  RoundWorld world(Policy(v1::Cohort::WAIT, 1, 0));
  JoinAll(world);
  EXPECT_EQ(FailAll(world), 4 * Phase::kMaxFailures);
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FAILED);
  EXPECT_THAT(world.end->reason, HasSubstr("no memory left"));
}

TEST(Policies, WaitGoesOnWhileOneIsAtWork) {
  RoundWorld world(Policy(v1::Cohort::WAIT, 1, 0));
  JoinAll(world);
  EXPECT_GT(FailAll(world, {"a", "b", "c"}), 4 * Phase::kMaxFailures);
  EXPECT_FALSE(world.end);
}

// One that works is enough to wait for the others.
TEST(Policies, WaitGoesOnWhereOneAnswers) {
  RoundWorld world(Policy(v1::Cohort::WAIT, 1, 0));
  JoinAll(world);
  world.Answer("a");
  FailAll(world);
  EXPECT_FALSE(world.end);
  EXPECT_TRUE(world.Said("waiting for"));
}

TEST(Policies, EvaluationGivesUpWhereEveryAnswerFails) {
  v1::RunConfig config = Policy(v1::Cohort::WAIT, 1, 0);
  config.mutable_evaluation()->set_federated(true);
  RoundWorld world(config);
  JoinAll(world);
  for (const std::string name : {"a", "b", "c", "d"}) world.Answer(name);
  FailAll(world);
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FAILED);
  EXPECT_THAT(world.end->reason, HasSubstr("no memory left"));
}

}  // namespace
}  // namespace parley
