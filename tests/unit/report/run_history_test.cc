#include "common/report/run_history.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/json.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// Round `number` in which client-1.. were asked and the first counted.
RoundReport Round(int64_t number, int clients = 2) {
  RoundReport report;
  report.round = number;
  for (int i = 1; i <= clients; ++i) {
    report.asked.push_back(absl::StrCat("client-", i));
  }
  report.counted = {"client-1"};
  report.elapsed_seconds = static_cast<double>(number);
  report.bytes_up = 10;
  report.bytes_down = 1;
  return report;
}

Json Written(const RunHistory& history) {
  absl::StatusOr<Json> json =
      Json::Parse(absl::StrCat("{", history.ToJsonMembers(), "}"));
  EXPECT_OK(json);
  return *json;
}

std::string Text(const Json& json, const char* key) {
  const Json* value = json.Find(key);
  return value == nullptr ? "missing" : value->ToString();
}

TEST(RunHistoryTest, ARunWithoutRoundsHasEmptyColumns) {
  const Json json = Written(RunHistory());
  EXPECT_EQ(Text(json, "rounds_run"), "0");
  EXPECT_EQ(Text(json, "round"), "[]");
  EXPECT_EQ(Text(json, "central_loss"), "[]");
  EXPECT_EQ(Text(json, "seconds"), "{}");
  EXPECT_EQ(Text(json, "cells"), "[]");
}

TEST(RunHistoryTest, MeasuredRoundsStayWhateverTheOthersDo) {
  RunHistory history({.rounds = 4});
  for (int64_t number = 1; number <= 100; ++number) {
    RoundReport report = Round(number);
    if (number == 3 || number == 7 || number == 100) {
      report.direction["gap"] = 1.0 / static_cast<double>(number);
      if (number > 3) report.direction["log_loss"] = -1800.25;
    }
    history.Add(report);
  }
  const Json json = Written(history);
  const Json& measured = *json.Find("measured");
  EXPECT_EQ(Text(measured, "round"), "[3,7,100]");
  EXPECT_EQ(Text(measured, "elapsed"), "[3,7,100]");
  EXPECT_EQ(Text(measured, "bytes_up"), "[30,70,1000]");
  EXPECT_EQ(Text(measured, "bytes_down"), "[3,7,100]");
  EXPECT_EQ(Text(measured, "numbers"),
            R"({"gap":[0.3333333,0.1428571,0.01],)"
            R"("log_loss":[null,-1800.25,-1800.25]})");
}

TEST(RunHistoryTest, OfManyMeasuredRoundsEverySecondStaysAndTheLast) {
  RunHistory history({.measured = 4});
  const auto add = [&history](int64_t number) {
    RoundReport report = Round(number);
    report.direction["gap"] = 1;
    history.Add(report);
    return Text(*Written(history).Find("measured"), "round");
  };
  for (int64_t number = 1; number < 4; ++number) add(number);
  EXPECT_EQ(add(4), "[1,2,3,4]");
  EXPECT_EQ(add(5), "[1,3,5]");
  EXPECT_EQ(add(6), "[1,3,5,6]");
  EXPECT_EQ(add(7), "[1,5,7]");
  EXPECT_EQ(Text(*Written(RunHistory()).Find("measured"), "round"), "[]");
}

TEST(RunHistoryTest, WhatIsMissingInARoundIsNull) {
  RunHistory history;
  RoundReport report = Round(1);
  report.central = {0.5, 0.25};
  report.seconds = {{"train", 2}};
  history.Add(report);
  report = Round(2);
  report.seconds = {{"train", 3}, {"evaluate", 0.5}};
  report.metrics = {{"a \"norm\"", 1e-300}};
  history.Add(report);
  const Json json = Written(history);
  EXPECT_EQ(Text(json, "central_accuracy"), "[0.25,null]");
  EXPECT_EQ(Text(json, "seconds"), R"({"train":[2,3],"evaluate":[null,0.5]})");
  EXPECT_EQ(Text(json, "metrics"), R"({"a \"norm\"":[null,1e-300]})");
  EXPECT_EQ(Text(json, "bytes_up"), "[10,20]");
  EXPECT_EQ(Text(json, "spread_50"), "[null,null]");
}

TEST(RunHistoryTest, TellsWhoCountedAndWhyOthersDidNot) {
  RunHistory history;
  for (int64_t number : {1, 2, 3}) {
    RoundReport report = Round(number, 3);
    if (number < 3) report.refused = {{"client-2", "late"}};
    // Counted in training, refused in the evaluation: it did count.
    if (number == 2) report.refused.push_back({"client-1", "lost"});
    report.evaluations = {{"client-1", 5, 2.0, 0.75}};
    history.Add(report);
  }
  const Json json = Written(history);
  EXPECT_EQ(Text(json, "cells"),
            "[[[0,1,2],[1,3,2],[0.75,null,null]],"
            "[[0,1,2],[1,3,2],[0.75,null,null]],"
            "[[0,1,2],[1,2,2],[0.75,null,null]]]");
  EXPECT_EQ(Text(json, "refusals"),
            R"([{"reason":"late","times":2,"first":1,"last":2,)"
            R"("clients":["client-2"],"more_clients":false},)"
            R"({"reason":"lost","times":1,"first":2,"last":2,)"
            R"("clients":["client-1"],"more_clients":false}])");
  EXPECT_EQ(Text(json, "clients"),
            R"([{"name":"client-1","asked":3,"counted":3},)"
            R"({"name":"client-2","asked":3,"counted":0},)"
            R"({"name":"client-3","asked":3,"counted":0}])");
  EXPECT_EQ(Text(json, "quality"), "\"accuracy\"");
}

TEST(RunHistoryTest, SpreadIsOverTheClientsAndOfLossWithoutAccuracy) {
  RunHistory history;
  RoundReport report = Round(1);
  for (int i = 10; i >= 0; --i) {
    report.evaluations.push_back({absl::StrCat("c", i), 1, i, std::nullopt});
  }
  history.Add(report);
  const Json json = Written(history);
  EXPECT_EQ(Text(json, "quality"), "\"loss\"");
  EXPECT_EQ(Text(json, "spread_0"), "[0]");
  EXPECT_EQ(Text(json, "spread_10"), "[1]");
  EXPECT_EQ(Text(json, "spread_50"), "[5]");
  EXPECT_EQ(Text(json, "spread_90"), "[9]");
  EXPECT_EQ(Text(json, "spread_100"), "[10]");
}

TEST(RunHistoryTest, TimeGoesOnWhereARunWasTakenUpAgain) {
  RunHistory history;
  for (double elapsed : {1.0, 4.0, 0.5, 2.0}) {
    RoundReport report = Round(1);
    report.elapsed_seconds = elapsed;
    history.Add(report);
  }
  EXPECT_EQ(Text(Written(history), "elapsed"), "[1,4,4.5,6]");
}

TEST(RunHistoryTest, ThinsRoundsEvenlyAndKeepsTheLatestAndTheTotals) {
  RunHistory history({.rounds = 4});
  for (int64_t number = 1; number <= 12; ++number) history.Add(Round(number));
  const Json json = Written(history);
  EXPECT_EQ(Text(json, "rounds_run"), "12");
  EXPECT_EQ(Text(json, "stride"), "4");
  EXPECT_EQ(Text(json, "round"), "[1,5,9,12]");
  EXPECT_EQ(Text(json, "bytes_up"), "[10,50,90,120]");
  EXPECT_THAT(json.Find("cells")->items(), SizeIs(4));
  EXPECT_EQ(json.Find("clients")->items()[0].Find("asked")->AsInt64(), 12);
}

TEST(RunHistoryTest, UpdatesMakeWhatTheWholeIs) {
  // A reader that looks at every third round, through several thinnings.
  RunHistory history({.rounds = 5});
  std::vector<std::string> rounds, cells;
  RunHistory::Seen seen;
  int64_t sent = 0;
  for (int64_t number = 1; number <= 60; ++number) {
    history.Add(Round(number));
    if (number % 3 != 0) continue;
    ASSERT_OK_AND_ASSIGN(
        const Json update,
        Json::Parse(absl::StrCat("{", history.ToJsonMembers(seen), "}")));
    seen = history.seen();
    const int64_t from = *update.Find("from")->AsInt64();
    ASSERT_LE(from, rounds.size());
    rounds.resize(from);
    cells.resize(from);
    for (const Json& one : update.Find("round")->items()) {
      rounds.push_back(one.ToString());
      ++sent;
    }
    for (const Json& one : update.Find("cells")->items()) {
      cells.push_back(one.ToString());
    }
    EXPECT_EQ(absl::StrCat("[", absl::StrJoin(rounds, ","), "]"),
              Text(Written(history), "round"));
    EXPECT_EQ(absl::StrCat("[", absl::StrJoin(cells, ","), "]"),
              Text(Written(history), "cells"));
  }
  EXPECT_LT(sent, 60);
  ASSERT_OK_AND_ASSIGN(
      const Json nothing,
      Json::Parse(absl::StrCat(
          "{", RunHistory().ToJsonMembers(RunHistory().seen()), "}")));
  EXPECT_EQ(Text(nothing, "round"), "[]");
}

TEST(RunHistoryTest, AnUpdateHasOnlyWhatIsNew) {
  RunHistory history;
  for (int64_t number = 1; number <= 3; ++number) history.Add(Round(number));
  const RunHistory::Seen seen = history.seen();
  RoundReport fourth = Round(4);
  fourth.seconds = {{"train", 2}};
  history.Add(fourth);
  ASSERT_OK_AND_ASSIGN(
      const Json update,
      Json::Parse(absl::StrCat("{", history.ToJsonMembers(seen), "}")));
  EXPECT_EQ(Text(update, "from"), "3");
  EXPECT_EQ(Text(update, "round"), "[4]");
  EXPECT_EQ(Text(update, "bytes_up"), "[40]");
  EXPECT_EQ(Text(update, "seconds"), R"({"train":[2]})");
  EXPECT_EQ(Text(update, "rounds_run"), "4");
}

TEST(RunHistoryTest, IsBoundedInCellsClientsReasonsAndNames) {
  RunHistory history(
      {.rounds = 1000, .cells = 60, .clients = 3, .reasons = 2, .names = 1});
  for (int64_t number = 1; number <= 100; ++number) {
    RoundReport report = Round(number, 50);
    for (int i = 2; i <= 9; ++i) {
      report.refused.push_back(
          {absl::StrCat("client-", i), absl::StrCat("reason ", number, i)});
    }
    report.metrics = {{"a", 1}, {"b", 2}};
    history.Add(report);
  }
  const Json json = Written(history);
  size_t cells = 0;
  for (const Json& round : json.Find("cells")->items()) {
    cells += round.items()[0].items().size();
  }
  EXPECT_LE(cells, 60);
  EXPECT_GE(cells, 30);
  EXPECT_EQ(json.Find("round")->items().back().AsInt64(), 100);
  EXPECT_THAT(json.Find("clients")->items(), SizeIs(3));
  EXPECT_EQ(Text(json, "more_clients"), "true");
  ASSERT_THAT(json.Find("refusals")->items(), SizeIs(2));
  EXPECT_EQ(json.Find("refusals")->items()[1].Find("times")->AsInt64(), 799);
  EXPECT_THAT(json.Find("metrics")->members(), SizeIs(1));
  EXPECT_EQ(Text(json, "metrics_left_out"), "true");
  // Counts are over all clients.
  EXPECT_EQ(json.Find("asked")->items()[0].AsInt64(), 50);
}

TEST(RunHistoryTest, TrafficIsAddedUpByEdgeWithinItsLimit) {
  EXPECT_EQ(Text(Written(RunHistory()), "traffic"), "[]");
  RunHistory history({.edges = 2});
  RoundReport report = Round(1);
  report.edges = {{0, 1, 5}, {1, 0, 7}};
  history.Add(report);
  report = Round(2);
  report.edges = {{1, 2, 9}, {0, 1, 1}};
  history.Add(report);
  EXPECT_EQ(Text(Written(history), "traffic"), "[[0,1,6],[1,0,7]]");
}

}  // namespace
}  // namespace parley
