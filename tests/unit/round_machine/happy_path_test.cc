#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "absl/strings/str_cat.h"
#include "tests/unit/round_machine/round_world.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void JoinAll(RoundWorld& world, int count) {
  for (int i = 0; i < count; ++i) world.Join(std::string(1, 'a' + i));
}

TEST(HappyPath, TwoRoundsFromRegistrationToTheEnd) {
  RoundWorld world(SmallRun());
  JoinAll(world, 3);
  EXPECT_FALSE(world.client("a").task);
  EXPECT_EQ(world.status->state(), v1::WAITING);
  EXPECT_THAT(world.status->detail(), HasSubstr("waiting for"));
  world.Join("d");

  const v1::Registered& welcome = *world.client("a").welcome;
  EXPECT_EQ(welcome.lease_ms(), 15000);
  EXPECT_EQ(welcome.heartbeat_ms(), 5000);
  EXPECT_EQ(welcome.token().size(), 32u);
  EXPECT_EQ(welcome.spec().tensors_size(), 3);

  for (int round = 1; round <= 2; ++round) {
    for (const std::string name : {"a", "b", "c", "d"}) {
      const v1::Task& task = *world.client(name).task;
      EXPECT_EQ(task.task().round(), round);
      EXPECT_EQ(task.task().client(), name);
      EXPECT_EQ(task.task().attempt(), 1);
      EXPECT_EQ(task.kind(), v1::TRAIN);
      EXPECT_EQ(task.model_version(), round - 1);
      EXPECT_EQ(task.payloads(0).elements(), 12u);  // the LOCAL one stays away
      const TransferId down = world.OpenDownload(name);
      EXPECT_TRUE(world.runs(down));
      world.End(down, absl::OkStatus());
      world.Answer(name, 2);
      EXPECT_TRUE(world.client(name).verdict->accepted());
    }
    for (const std::string name : {"a", "b", "c", "d"}) {
      const std::vector<v1::TaskOver>& overs = world.client(name).overs;
      ASSERT_EQ(overs.size(), static_cast<size_t>(round));
      EXPECT_TRUE(overs.back().counted());
      EXPECT_EQ(overs.back().task().round(), round);
    }
  }
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FINISHED);
  EXPECT_TRUE(world.client("a").goodbye->run_over());
  ASSERT_EQ(world.folded.size(), 2u);
  for (int round = 0; round < 2; ++round) {  // folded in the order drawn
    const v1::RoundOpened& opened = world.reports[round].opened;
    ASSERT_EQ(opened.cohort_size(), 4);
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(opened.cohort(i).client(), world.folded[round][i]);
    }
  }
  EXPECT_EQ(world.reports[0].bytes_up, 4 * 48u);
  EXPECT_EQ(world.reports[0].bytes_down, 4 * 48u);
  EXPECT_EQ(world.reports[1].round.model_hash(), 1002u);
  EXPECT_EQ(world.reports[0].round.outcomes(0).weight(), 2);
  EXPECT_THAT(world.checkpoints, ElementsAre("2 last"));
  EXPECT_TRUE(world.records.front().has_round_opened());
  EXPECT_TRUE(world.records.back().has_round_committed());
  EXPECT_EQ(world.status->state(), v1::FINISHED);
}

TEST(HappyPath, TheOrderOfArrivalChangesNothing) {
  std::vector<std::string> names = {"a", "b", "c", "d"};
  std::vector<std::vector<std::string>> first;
  do {
    RoundWorld world(SmallRun(4, 1));
    JoinAll(world, 4);
    for (const std::string& name : names) world.Answer(name);
    ASSERT_TRUE(world.end);
    if (first.empty()) first = world.folded;
    EXPECT_EQ(world.folded, first);
  } while (std::next_permutation(names.begin(), names.end()));

  // Nor does the order of registration.
  RoundWorld world(SmallRun(4, 1));
  for (const std::string name : {"d", "b", "a", "c"}) world.Join(name);
  for (const std::string name : {"a", "b", "c", "d"}) world.Answer(name);
  EXPECT_EQ(world.folded, first);
}

TEST(HappyPath, AFractionOfTheClientsIsDrawnAnewEachRound) {
  v1::RunConfig config = SmallRun(20, 30);
  config.mutable_cohort()->set_fraction(0.15);
  config.mutable_cohort()->set_min(20);
  RoundWorld world(config);
  std::deque<std::string> todo;
  world.on_message = [&](const std::string& name, const v1::ServerMessage& m) {
    if (m.has_task()) todo.push_back(name);
  };
  world.Join("a");
  world.Join("b");
  EXPECT_FALSE(world.client("a").task);
  for (int i = 2; i < 20; ++i) world.Join(std::string(1, 'a' + i));
  std::set<std::vector<std::string>> cohorts;
  while (!todo.empty()) {
    const std::string name = todo.front();
    todo.pop_front();
    world.Answer(name);
  }
  EXPECT_TRUE(world.end);
  for (const auto& round : world.folded) {
    EXPECT_EQ(round.size(), 3u);
    cohorts.insert(round);
  }
  EXPECT_GT(cohorts.size(), 20u);
}

TEST(HappyPath, ManyClientsAreNoMatter) {
  v1::RunConfig config = SmallRun(10000, 100);
  config.mutable_cohort()->set_min(10000);
  config.mutable_cohort()->set_max(10);
  config.mutable_limits()->set_clients(10000);
  RoundWorld world(config);
  std::deque<std::string> todo;
  world.on_message = [&](const std::string& name, const v1::ServerMessage& m) {
    if (m.has_task()) todo.push_back(name);
  };
  for (int i = 0; i < 10000; ++i) world.Join(absl::StrCat("client-", i));
  size_t effects = 0;
  for (SessionId id = 1; id <= 10000;
       ++id) {  // a heartbeat costs next to nothing
    v1::ClientMessage beat;
    beat.set_run("test");
    beat.set_term(7);
    beat.mutable_heartbeat();
    effects += world.Step(event::MessageReceived{id, std::move(beat)}).size();
  }
  EXPECT_EQ(effects, 0u);
  while (!todo.empty()) {
    const std::string name = todo.front();
    todo.pop_front();
    world.Answer(name);
  }
  EXPECT_TRUE(world.end);
  EXPECT_EQ(world.folded.size(), 100u);
}

TEST(HappyPath, EvaluatesCentrallyAndOnClients) {
  v1::RunConfig config = SmallRun(2, 3);
  config.mutable_evaluation()->set_every(2);
  config.mutable_evaluation()->set_central(true);
  config.mutable_evaluation()->set_federated(true);
  RoundWorld world(config);
  world.central = [](int64_t round) {
    return std::map<std::string, double>{{"loss", 1.0 / round},
                                         {"accuracy", 0.5}};
  };
  v1::Register no_evaluation = world.Hello("b");
  no_evaluation.mutable_kinds()->Truncate(1);
  world.Join("a");
  world.Join("b", no_evaluation);
  for (int round = 1; round <= 3; ++round) {
    world.Answer("a");
    world.Answer("b");
    if (round == 1) continue;  // evaluates every 2, and after the last
    ASSERT_EQ(world.client("a").task->kind(), v1::EVALUATE);
    EXPECT_EQ(world.client("a").task->model_version(), round);
    EXPECT_EQ(world.client("a").task->task().phase(), 1);
    EXPECT_EQ(world.client("b").task->kind(), v1::TRAIN);
    world.Answer("a");
  }
  ASSERT_TRUE(world.end);
  EXPECT_FALSE(world.reports[0].central);
  EXPECT_EQ(world.reports[1].central->at("loss"), 0.5);
  EXPECT_EQ(world.reports[2].round.central().at("accuracy"), 0.5);
  EXPECT_EQ(world.Outcomes(v1::EVALUATE),
            (std::map<std::string, std::string>{{"a", ""}}));
  EXPECT_EQ(world.status->accuracy(), 0.5);
}

TEST(HappyPath, StopsAtTheTargetOfTheClientsEvaluation) {
  v1::RunConfig config = SmallRun(2, 50);
  config.mutable_evaluation()->set_federated(true);
  config.mutable_stop()->set_accuracy(0.9);
  RoundWorld world(config);
  JoinAll(world, 2);
  for (int round = 1; round <= 2; ++round) {
    world.Answer("a");
    world.Answer("b");
    // By weight: round 1 (3·0.5 + 1·1)/4 = 0.625, round 2 0.9.
    v1::UpdateReady a = world.Update("a", 3), b = world.Update("b", 1);
    (*a.mutable_scalars())["accuracy"] = round == 1 ? 0.5 : 0.9;
    (*b.mutable_scalars())["accuracy"] = round == 1 ? 1.0 : 0.9;
    world.Ready("a", a);
    world.Ready("b", b);
    EXPECT_NEAR(world.status->accuracy(), round == 1 ? 0.625 : 0.9, 1e-12);
  }
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FINISHED);
  EXPECT_THAT(world.end->reason, HasSubstr("accuracy"));
  EXPECT_EQ(world.folded.size(), 2u);
}

TEST(HappyPath, CentralFiguresDecideBeforeTheClients) {
  v1::RunConfig config = SmallRun(1, 50);
  config.mutable_evaluation()->set_central(true);
  config.mutable_stop()->set_loss(0.3);
  RoundWorld world(config);
  world.central = [](int64_t round) {
    return std::map<std::string, double>{{"loss", 1.0 / round}};
  };
  world.Join("a");
  while (!world.end) world.Answer("a");
  EXPECT_EQ(world.folded.size(), 4u);  // 1/4 <= 0.3
}

TEST(HappyPath, WritesCheckpointsAndGoesOnFromOne) {
  v1::RunConfig config = SmallRun(1, 5);
  config.mutable_checkpoints()->set_every(2);
  RoundWorld world(config, {}, 1);
  world.Join("a");
  EXPECT_EQ(world.client("a").task->task().round(), 2);
  while (!world.end) world.Answer("a");
  EXPECT_THAT(world.checkpoints, ElementsAre("2", "4", "5 last"));

  RoundWorld done(config, {}, 5);
  EXPECT_EQ(done.end->state, v1::FINISHED);
}

TEST(HappyPath, RoundValuesFollowTheirFactor) {
  v1::RunConfig config = SmallRun(1, 3);
  v1::RoundValue& value = *config.add_round_values();
  value.set_name("step_size");
  value.set_initial(8);
  value.set_factor(0.5);
  RoundWorld world(config);
  world.Join("a");
  for (const double expected : {8, 4, 2}) {
    EXPECT_EQ(world.client("a").task->values().at("step_size"), expected);
    world.Answer("a");
  }
}

TEST(Replay, AsksWhoCountedAndWaitsForAll) {
  std::vector<v1::RoundOpened> script(3);
  script[0].set_round(1);
  for (const std::string name : {"c", "a"}) {
    v1::CohortMember& member = *script[0].add_cohort();
    member.set_client(name);
    member.set_part(name == "c" ? 3 : 1);
  }
  script[1].set_round(2);  // was skipped
  script[2].set_round(3);
  script[2].add_cohort()->set_client("b");

  v1::RunConfig config = SmallRun(4, 1);
  config.mutable_evaluation()->set_federated(true);
  config.mutable_cohort()->set_too_few(v1::Cohort::FAIL);
  config.mutable_cohort()->set_deadline_seconds(5);
  config.mutable_stop()->set_wall_seconds(1);
  RoundWorld world(config, script);
  v1::Register hello = world.Hello("a");
  hello.set_wants_part(true);
  world.Join("a", hello);
  EXPECT_EQ(world.client("a").welcome->part(), 1);  // as recorded
  world.Answer("a");
  world.Join("b");
  world.Advance(absl::Seconds(14));
  EXPECT_FALSE(world.client("b").task);
  world.Join("c");
  world.Answer("c");
  ASSERT_TRUE(world.client("b").task);
  EXPECT_EQ(world.client("b").task->task().round(), 3);
  EXPECT_EQ(world.client("b").task->model_version(), 2);
  world.Answer("b");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FINISHED);
  EXPECT_THAT(world.folded, ElementsAre(ElementsAre("c", "a"), ElementsAre(),
                                        ElementsAre("b")));
}

}  // namespace
}  // namespace parley
