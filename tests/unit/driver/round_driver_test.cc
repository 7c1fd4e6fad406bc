#include "server/round/round_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/unit/driver/driver_bench.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(RoundDriver, IsANaiveAverageInAnyOrderOfArrival) {
  std::vector<std::string> order = {"a", "b", "c"};
  do {
    Bench bench({.config = Config()});
    Turnstile turnstile(order);
    for (const char* name : {"a", "b", "c"}) bench.Join(name, &turnstile);
    bench.Run();
    ASSERT_TRUE(bench.end.has_value());
    EXPECT_EQ(bench.end->state(), v1::FINISHED) << bench.end->detail();
    ASSERT_EQ(bench.reports.size(), 3);
    EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
    EXPECT_EQ(bench.reports.back().model_hash, bench.driver->model().Hash());
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(RoundDriver, ThreadsDoNotChangeABit) {
  for (int threads : {1, 4}) {
    for (bool reverse : {false, true}) {
      const std::unique_ptr<Clock> clock = MakeRealClock();
      ThreadPool control(2), work(threads), transport(threads);
      std::vector<std::vector<std::string>> cohorts;
      RoundDriverOptions options{.config = Config(5)};
      options.clock = clock.get();
      options.control = &control;
      options.work = options.parallel = &work;
      options.on_round = [&](const RoundReport& report) {
        cohorts.push_back(report.counted);
      };
      options.say = [](LogLevel, const std::string&) {};
      ASSERT_OK_AND_ASSIGN(const auto driver,
                           RoundDriver::Create(std::move(options)));
      std::vector<std::string> order = {"a", "b", "c"};
      if (reverse) std::reverse(order.begin(), order.end());
      Turnstile turnstile(order);
      std::vector<std::shared_ptr<FakeClient>> clients;
      for (const char* name : {"a", "b", "c"}) {
        clients.push_back(FakeClient::Join(
            {.name = name,
             .weight = kClients.at(name),
             .train =
                 [name](int64_t round, const std::vector<float>& w) {
                   return Train(name, round, w);
                 },
             .turnstile = &turnstile,
             .executor = &transport},
            driver.get()));
      }
      driver->Start();
      const v1::RunStatus status = driver->Wait();
      EXPECT_EQ(status.state(), v1::FINISHED) << status.detail();
      EXPECT_EQ(cohorts.size(), 5);
      EXPECT_EQ(Numbers(driver->model()), Naive(cohorts));
    }
  }
}

TEST(RoundDriver, SaysWhatARoundWas) {
  Bench bench({.config = Config(1)});
  const auto a = bench.Join("a"), b = bench.Join("b"), c = bench.Join("c");
  bench.Run();
  ASSERT_EQ(bench.reports.size(), 1);
  const RoundReport& report = bench.reports[0];
  EXPECT_EQ(report.round, 1);
  EXPECT_EQ(report.asked, report.counted);
  EXPECT_THAT(report.counted, ::testing::UnorderedElementsAre("a", "b", "c"));
  EXPECT_THAT(report.refused, IsEmpty());
  EXPECT_EQ(report.train_loss, (10 * 5 + 3 * 1.5 + 7 * 3.5) / 20);
  EXPECT_EQ(report.bytes_up, 3 * 4 * (kWeights + 1));
  EXPECT_EQ(report.bytes_down, 3 * 4 * (kWeights + 1));
  EXPECT_EQ(report.clients, 3);
  EXPECT_EQ(bench.driver->spec().tensors().size(), 2);  // LOCAL stays away
  for (const auto& client : {a, b, c}) {
    EXPECT_EQ(client->counted(), 1);
    EXPECT_TRUE(client->closed());
  }
}

// Both are of one step, and may be one packet.
TEST(RoundDriver, SendsARoundsEndAheadOfTheNextTask) {
  Bench bench({.config = Config(3)});
  const auto a = bench.Join("a"), b = bench.Join("b"), c = bench.Join("c");
  bench.Run();
  for (const auto& client : {a, b, c}) {
    EXPECT_EQ(client->counted(), 3);
    auto ahead = client->ahead();
    if (client == c) {  // the last to join is asked at once
      ASSERT_FALSE(ahead.empty());
      EXPECT_THAT(ahead[0], Pair(v1::ServerMessage::kRegistered,
                                 v1::ServerMessage::kTask));
      ahead.erase(ahead.begin());
    }
    const auto before_task =
        Pair(v1::ServerMessage::kTaskOver, v1::ServerMessage::kTask);
    EXPECT_THAT(ahead, ElementsAre(before_task, before_task,
                                   Pair(v1::ServerMessage::kTaskOver,
                                        v1::ServerMessage::kGoodbye)));
    EXPECT_FALSE(client->kept_waiting());
  }
}

TEST(RoundDriver, ShortPayloadsTravelWithinMessages) {
  Bench bench({.config = Config(3)});
  std::vector<std::shared_ptr<FakeClient>> clients;
  for (const char* name : {"a", "b", "c"}) {  // c is of another release
    clients.push_back(
        bench.Join(name, nullptr, false, nullptr, false, name[0] != 'c'));
  }
  bench.Run();
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(bench.end->state(), v1::FINISHED) << bench.end->detail();
  EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
  for (const auto& client : clients) {
    const int transfers = client == clients[2] ? 3 : 0;
    EXPECT_EQ(client->counted(), 3);
    EXPECT_EQ(client->downloads(), transfers);
    EXPECT_EQ(client->grants(), transfers);
  }
  for (const RoundReport& report : bench.reports) {  // counted all the same
    EXPECT_EQ(report.bytes_up, 3 * 4 * (kWeights + 1));
    EXPECT_EQ(report.bytes_down, 3 * 4 * (kWeights + 1));
  }
}

TEST(RoundDriver, WhatHasNoRoomWithinAMessageComesByUpload) {
  v1::RunConfig config = Config(2);
  // One update at a time.
  config.mutable_limits()->set_staging_bytes(6 * kWeights);
  config.mutable_limits()->set_staging_disk_bytes(0);
  Bench bench({.config = config});
  std::vector<std::shared_ptr<FakeClient>> clients;
  for (const char* name : {"a", "b", "c"}) {
    clients.push_back(bench.Join(name, nullptr, false, nullptr, false, true));
  }
  bench.Run();
  ASSERT_TRUE(bench.end.has_value())
      << ::testing::PrintToString(bench.said)
      << ::testing::PrintToString(clients[0]->refusals())
      << ::testing::PrintToString(clients[1]->refusals())
      << ::testing::PrintToString(clients[2]->refusals());
  EXPECT_EQ(bench.end->state(), v1::FINISHED) << bench.end->detail();
  EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
  int grants = 0;
  for (const auto& client : clients) {
    EXPECT_EQ(client->downloads(), 0);
    grants += client->grants();
  }
  EXPECT_GT(grants, 0);
}

TEST(RoundDriver, NumbersThatAreNotFiniteCostTheirClientOnly) {
  v1::RunConfig config = Config(1);
  config.mutable_cohort()->set_quorum(0.5);
  config.mutable_cohort()->set_deadline_seconds(60);
  Bench bench({.config = config});
  const auto bad = bench.Join("b", nullptr, false, [](int64_t, const auto& w) {
    std::vector<float> change(w.size(), 1);
    change[1234] = NAN;
    return change;
  });
  bench.Join("a");
  bench.Join("c");
  bench.Run();
  ASSERT_EQ(bad->refusals().size(), 1);
  EXPECT_THAT(bad->refusals()[0], ::testing::HasSubstr("NaN"));
  bench.Advance(absl::Seconds(61));
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(bench.end->state(), v1::FINISHED) << bench.end->detail();
  EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
  EXPECT_THAT(bench.reports[0].counted,
              ::testing::UnorderedElementsAre("a", "c"));
}

TEST(RoundDriver, FailsWhenTheModelOverflows) {
  Bench bench({.config = Config()});
  for (const char* name : {"a", "b", "c"}) {
    bench.Join(name, nullptr, false, [](int64_t, const auto& w) {
      return std::vector<float>(w.size(), 3e38f);
    });
  }
  bench.Run();  // the second round goes beyond float32
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(bench.end->state(), v1::FAILED);
  EXPECT_THAT(bench.end->detail(), ::testing::HasSubstr("diverged"));
}

TEST(RoundDriver, AStuckDownloadKeepsTheOldModelAndHoldsUpOnlyBriefly) {
  Bench bench({.config = Config(2)});
  const auto stuck = bench.Join("a", nullptr, true);
  bench.Join("b");
  bench.Join("c");
  bench.Run();
  EXPECT_EQ(bench.reports.size(), 0);
  bench.Advance(absl::Seconds(4));
  EXPECT_EQ(bench.reports.size(), 0);
  bench.Advance(absl::Seconds(2));
  EXPECT_EQ(bench.reports.size(), 1);
  // The model moved on; what is being sent did not.
  const std::string zeros(1000, '\0');
  ASSERT_FALSE(stuck->open_downloads().empty());
  EXPECT_EQ(stuck->open_downloads()[0].substr(0, 1000), zeros);
  stuck->DropDownloads();
  bench.Advance(absl::ZeroDuration());
  stuck->DropDownloads();
  bench.Advance(absl::Seconds(6));
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
  stuck->DropDownloads();
}

TEST(RoundDriver, ATransferThatStallsLosesItsPermit) {
  v1::RunConfig config = Config(1);
  config.mutable_limits()->set_transfers(1);
  Bench bench({.config = config});
  const std::vector<std::shared_ptr<FakeClient>> clients = {
      bench.Join("a", nullptr, false, nullptr, /*stall=*/true),
      bench.Join("b", nullptr, false, nullptr, /*stall=*/true),
      bench.Join("c", nullptr, true)};
  bench.Run();
  const auto broken_off = [&] {
    std::vector<absl::Status> all = clients[0]->broken_off();
    for (const absl::Status& s : clients[1]->broken_off()) all.push_back(s);
    return all;
  };
  // One permit each way: a download that is not read holds up the next ones,
  // and then one stalled upload the other.
  int seconds = 0;
  for (; !bench.end && seconds < 300; seconds += 5) {
    EXPECT_TRUE(seconds >= 30 || broken_off().empty());
    bench.Advance(absl::Seconds(5));
    for (const auto& client : clients) client->Beat();
  }
  EXPECT_GE(seconds, 60);
  const std::vector<absl::Status> told = broken_off();
  ASSERT_EQ(told.size(), 2);
  for (const absl::Status& why : told) {
    EXPECT_THAT(why, StatusIs(absl::StatusCode::kDeadlineExceeded,
                              "no chunk moved for 30s"));
  }
  ASSERT_EQ(bench.reports.size(), 1);
  EXPECT_EQ(bench.reports[0].counted.size(), 3);
  EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
  clients[2]->DropDownloads();
}

TEST(RoundDriver, UpdatesShareLittleStagingRoom) {
  v1::RunConfig config = Config(3);
  // Of three updates one fits; the others wait for its fold.
  config.mutable_limits()->set_staging_bytes(5 * kWeights);
  config.mutable_limits()->set_staging_disk_bytes(0);
  Bench bench({.config = config});
  for (const char* name : {"a", "b", "c"}) bench.Join(name);
  bench.Run();
  for (int i = 0; i < 300 && !bench.end.has_value(); ++i) {
    bench.Advance(absl::Seconds(1));
  }
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(bench.end->state(), v1::FINISHED) << bench.end->detail();
  EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
  EXPECT_EQ(bench.reports.back().counted.size(), 3);
}

TEST(RoundDriver, WatchersHearOfTheEndLast) {
  Bench bench({.config = Config(2)});
  std::vector<v1::RunStatus> heard;
  const uint64_t id = bench.driver->Watch(
      [&](const v1::RunStatus& status) { heard.push_back(status); });
  int others = 0;
  const uint64_t gone =
      bench.driver->Watch([&](const v1::RunStatus&) { ++others; });
  bench.driver->Unwatch(gone);
  for (const char* name : {"a", "b", "c"}) bench.Join(name);
  bench.Run();
  ASSERT_GE(heard.size(), 2);
  EXPECT_EQ(heard.front().state(), v1::WAITING);
  EXPECT_EQ(heard.back().state(), v1::FINISHED);
  EXPECT_EQ(heard.back().round(), 2);
  for (size_t i = 0; i + 1 < heard.size(); ++i) {
    EXPECT_NE(heard[i].state(), v1::FINISHED);
  }
  EXPECT_EQ(others, 0);
  bench.driver->Unwatch(id);

  std::vector<v1::RunStatus> late;
  bench.driver->Watch(
      [&](const v1::RunStatus& status) { late.push_back(status); });
  bench.Advance(absl::ZeroDuration());
  ASSERT_EQ(late.size(), 1);
  EXPECT_EQ(late[0].state(), v1::FINISHED);
}

TEST(RoundDriver, StopEndsTheRun) {
  Bench bench({.config = Config()});
  bench.Join("a");  // two are missing
  bench.Run();
  EXPECT_FALSE(bench.end.has_value());
  bench.driver->Stop("enough");
  bench.Advance(absl::ZeroDuration());
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(bench.end->state(), v1::STOPPED);
  EXPECT_EQ(bench.end->detail(), "enough");
}

}  // namespace
}  // namespace parley
