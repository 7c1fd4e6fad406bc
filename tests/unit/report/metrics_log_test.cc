#include "common/report/metrics_log.h"

#include <cmath>
#include <fstream>

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

RoundReport Example() {
  RoundReport report;
  report.round = 3;
  report.asked = {"client-b", "client-a", "c\"\n"};
  report.counted = {"client-b"};
  report.refused = {{"client-a", "weight -1 is not > 0"}, {"c\"\n", "lost"}};
  report.train_loss = 0.1;
  report.metrics = {{"gradient_norm", 1e-300}, {"steps", 7}};
  report.central = {0.25, 0.9};
  report.federated = {1.0 / 3, std::nullopt};
  report.evaluations = {{"client-b", 12, 0.5, std::nullopt}};
  report.bytes_up = uint64_t{1} << 40;
  report.bytes_down = 12;
  report.seconds = {{"train", 1.5}, {"aggregate", 0.001}, {"evaluate", 0}};
  report.model_hash = 0xfedcba9876543210;
  report.clients = 3;
  report.elapsed_seconds = 2.75;
  return report;
}

std::string NewPath(const char* name) {
  const std::string path = testing::TempDir() + "/" + name;
  std::remove(path.c_str());
  return path;
}

TEST(MetricsLogTest, ALineHasWhatWasSaid) {
  EXPECT_EQ(
      ToJsonLine(Example()),
      R"({"round":3,"elapsed_seconds":2.75,"train_loss":0.1,)"
      R"("central":{"loss":0.25,"accuracy":0.9},)"
      R"("federated":{"loss":0.3333333333333333,"accuracy":null},)"
      R"("metrics":{"gradient_norm":1e-300,"steps":7},"clients":3,)"
      R"("asked":["client-b","client-a","c\"\n"],"counted":["client-b"],)"
      R"("refused":[{"client":"client-a","reason":"weight -1 is not > 0"},)"
      R"({"client":"c\"\n","reason":"lost"}],)"
      R"("evaluations":[{"client":"client-b","examples":12,"loss":0.5,)"
      R"("accuracy":null}],)"
      R"("bytes_up":1099511627776,"bytes_down":12,)"
      R"("seconds":{"train":1.5,"aggregate":0.001,"evaluate":0},)"
      R"("model_hash":"fedcba9876543210"})");
}

TEST(MetricsLogTest, ALineReadsBack) {
  ASSERT_OK_AND_ASSIGN(const RoundReport back,
                       FromJsonLine(ToJsonLine(Example())));
  EXPECT_EQ(back, Example());
  ASSERT_OK_AND_ASSIGN(const RoundReport empty,
                       FromJsonLine(ToJsonLine(RoundReport())));
  EXPECT_EQ(empty, RoundReport());
}

TEST(MetricsLogTest, TheFlowsOfAPeerReadBack) {
  RoundReport report = Example();
  report.flows = {{1, -0.5, 0.25}, {4, 1e-300, 0, true, 2, 0.5}};
  const std::string line = ToJsonLine(report);
  EXPECT_THAT(line, testing::HasSubstr(
                        R"("flows":[[1,-0.5,0.25],[4,1e-300,0,2,0.5]])"));
  ASSERT_OK_AND_ASSIGN(const RoundReport back, FromJsonLine(line));
  EXPECT_EQ(back, report);
  for (const char* wrong :
       {"[1]", "[-1,0,0]", "[1,0,0,0]", "7", "[1e99,0,0]"}) {
    std::string bad = line;
    bad.replace(bad.find("[1,-0.5,0.25]"), 13, wrong);
    EXPECT_EQ(FromJsonLine(bad).status().code(),
              absl::StatusCode::kInvalidArgument)
        << wrong;
  }
}

TEST(MetricsLogTest, TheTrafficOfGossipReadsBack) {
  EXPECT_THAT(ToJsonLine(Example()), testing::Not(testing::HasSubstr("edges")));
  RoundReport report = Example();
  report.edges = {{0, 3, uint64_t{1} << 40}, {3, 0, 0}};
  const std::string line = ToJsonLine(report);
  EXPECT_THAT(line,
              testing::HasSubstr(R"("edges":[[0,3,1099511627776],[3,0,0]])"));
  ASSERT_OK_AND_ASSIGN(const RoundReport back, FromJsonLine(line));
  EXPECT_EQ(back, report);
  for (const char* wrong : {"[0,3]", "[0,-3,1]", "[0,4294967296,1]", "7"}) {
    std::string bad = line;
    bad.replace(bad.find("[3,0,0]"), 7, wrong);
    EXPECT_EQ(FromJsonLine(bad).status().code(),
              absl::StatusCode::kInvalidArgument)
        << wrong;
  }
}

TEST(MetricsLogTest, DirectionsStandWhereTheyWereMeasured) {
  EXPECT_THAT(ToJsonLine(Example()),
              testing::Not(testing::HasSubstr("direction")));
  RoundReport report = Example();
  report.direction = {{"gap", 0.125}, {"log_loss", -1800.5}, {"margin", NAN}};
  const std::string line = ToJsonLine(report);
  EXPECT_THAT(
      line, testing::HasSubstr(R"("direction":{"gap":0.125,"log_loss":-1800.5,)"
                               R"("margin":null},"bytes_up")"));
  ASSERT_OK_AND_ASSIGN(RoundReport back, FromJsonLine(line));
  EXPECT_TRUE(std::isnan(back.direction.at("margin")));
  back.direction.erase("margin");
  report.direction.erase("margin");
  EXPECT_EQ(back, report);
  EXPECT_THAT(
      FromJsonLine(std::string(line).replace(line.find("0.125"), 5, "\"x\"")),
      StatusIs(absl::StatusCode::kInvalidArgument, "\"direction\""));
}

TEST(MetricsLogTest, WhatIsNoNumberIsNull) {
  RoundReport report;
  report.train_loss = std::nan("");
  report.metrics["x"] = INFINITY;
  const std::string line = ToJsonLine(report);
  EXPECT_THAT(line, testing::HasSubstr("\"train_loss\":null"));
  EXPECT_THAT(line, testing::HasSubstr("\"x\":null"));
  ASSERT_OK_AND_ASSIGN(const RoundReport back, FromJsonLine(line));
  EXPECT_EQ(back.train_loss, std::nullopt);
  EXPECT_TRUE(std::isnan(back.metrics.at("x")));
}

TEST(MetricsLogTest, RefusesOtherLines) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(FromJsonLine("{"), StatusIs(invalid, "JSON"));
  EXPECT_THAT(FromJsonLine("[]"), StatusIs(invalid, "\"round\""));
  const auto with = [](const std::string& from, const std::string& to) {
    std::string line = ToJsonLine(Example());
    line.replace(line.find(from), from.size(), to);
    return FromJsonLine(line);
  };
  EXPECT_OK(with("\"round\":3", "\"round\":4"));
  EXPECT_THAT(with("\"round\":3", "\"round\":\"3\""),
              StatusIs(invalid, "\"round\""));
  EXPECT_THAT(with("\"clients\":3", "\"clients\":3000000000"),
              StatusIs(invalid, "\"clients\""));
  EXPECT_THAT(with("\"bytes_down\":12", "\"bytes_down\":-12"),
              StatusIs(invalid, "\"bytes_down\""));
  EXPECT_THAT(with("[\"client-b\"]", "[1]"), StatusIs(invalid, "\"counted\""));
  EXPECT_THAT(with("fedc", "xedc"), StatusIs(invalid, "\"model_hash\""));
  EXPECT_THAT(with("\"accuracy\":0.9", "\"accuracy\":[]"),
              StatusIs(invalid, "\"accuracy\""));
}

TEST(MetricsLogTest, AppendsAndReads) {
  const std::string path = NewPath("metrics.jsonl");
  RoundReport second = Example();
  second.round = 4;
  {
    ASSERT_OK_AND_ASSIGN(auto log, MetricsLog::Open(path));
    ASSERT_OK(log->Append(Example()));
    // Readable while the log is still open.
    ASSERT_OK_AND_ASSIGN(const auto reports, ReadMetrics(path));
    EXPECT_THAT(reports, testing::ElementsAre(Example()));
  }
  ASSERT_OK_AND_ASSIGN(auto log, MetricsLog::Open(path));
  ASSERT_OK(log->Append(second));
  ASSERT_OK_AND_ASSIGN(const auto reports, ReadMetrics(path));
  EXPECT_THAT(reports, testing::ElementsAre(Example(), second));
}

TEST(MetricsLogTest, AHalfLineIsPassedOverThenCutOff) {
  const std::string path = NewPath("half.jsonl");
  const std::string line = ToJsonLine(Example());
  std::ofstream(path) << line << "\n" << std::string(9000, 'x');
  ASSERT_OK_AND_ASSIGN(auto reports, ReadMetrics(path));
  EXPECT_THAT(reports, testing::ElementsAre(Example()));
  ASSERT_OK_AND_ASSIGN(auto log, MetricsLog::Open(path));
  ASSERT_OK(log->Append(Example()));
  ASSERT_OK_AND_ASSIGN(reports, ReadMetrics(path));
  EXPECT_THAT(reports, testing::ElementsAre(Example(), Example()));
}

TEST(MetricsLogTest, ReadsOnWhereItStopped) {
  const std::string path = NewPath("growing.jsonl");
  const std::string line = ToJsonLine(Example());
  std::ofstream file(path);
  MetricsPosition position;
  std::vector<int64_t> begins;
  const auto read = [&] {
    return ForEachNewRound(path, &position,
                           [&](const RoundReport& report, int64_t begin) {
                             EXPECT_EQ(report, Example());
                             begins.push_back(begin);
                           });
  };
  file << line << "\n" << line.substr(0, 9) << std::flush;
  ASSERT_OK(read());
  EXPECT_THAT(begins, testing::ElementsAre(0));
  ASSERT_OK(read());
  file << line.substr(9) << "\n" << line << "\n" << std::flush;
  ASSERT_OK(read());
  const int64_t size = static_cast<int64_t>(line.size()) + 1;
  EXPECT_THAT(begins, testing::ElementsAre(0, size, 2 * size));
  EXPECT_EQ(position.bytes, 3 * size);
  file << "nonsense\n" << std::flush;
  EXPECT_THAT(read(), StatusIs(absl::StatusCode::kInvalidArgument, "line 4"));
}

TEST(MetricsLogTest, SaysWhichLineIsWrong) {
  const std::string path = NewPath("wrong.jsonl");
  std::ofstream(path) << ToJsonLine(Example()) << "\nnonsense\n";
  EXPECT_THAT(ReadMetrics(path),
              StatusIs(absl::StatusCode::kInvalidArgument, "line 2"));
  EXPECT_THAT(ReadMetrics(NewPath("none.jsonl")),
              StatusIs(absl::StatusCode::kNotFound, "none.jsonl"));
}

}  // namespace
}  // namespace parley
