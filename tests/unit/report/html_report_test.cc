#include "common/report/html_report.h"

#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/json.h"
#include "common/config/load.h"
#include "common/report/metrics_log.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kHostile[] = "</script><b>& \xe2\x80\xa8\xff <!-- \" \\ \n";

ReportRun Hostile() {
  ReportRun run;
  run.name = run.state = run.reason = run.run_file = run.labels_why = kHostile;
  RoundReport round;
  round.round = 1;
  round.asked = {kHostile};
  round.refused = {{kHostile, kHostile}};
  round.metrics = {{kHostile, 1}};
  round.seconds = {{kHostile, 1}};
  run.history.Add(round);
  return run;
}

v1::RunConfig Config(const std::string& more) {
  const auto config = LoadRunText(
      absl::StrCat(
          "model { softmax {} features: 2 classes: 3 } "
          "local { gd {} step_size { initial: 1 } } stop { rounds: 7 } ",
          more),
      "small.textproto");
  EXPECT_OK(config);
  return config.value_or(v1::RunConfig());
}

TEST(HtmlReportTest, NothingInTheDataMeansAnythingToHtml) {
  const std::string json = ReportJson({Hostile()});
  EXPECT_EQ(json.find_first_of("<>&"), std::string::npos);
  // And it is the same text still.
  ASSERT_OK_AND_ASSIGN(const Json read, Json::Parse(json));
  const Json& run = read.Find("runs")->items()[0];
  const std::string name = *run.Find("name")->AsString();
  EXPECT_THAT(name, testing::StartsWith("</script><b>& "));
  EXPECT_THAT(name, testing::EndsWith(" <!-- \" \\ \n"));
  EXPECT_EQ(*run.Find("clients")->items()[0].Find("name")->AsString(), name);
  EXPECT_EQ(run.Find("metrics")->members()[0].first, name);
}

TEST(HtmlReportTest, ThePageIsWholeAndNamesItsLibrarysLicence) {
  const std::string path = testing::TempDir() + "/html_report_test.html";
  ASSERT_OK(WriteHtmlReport({Hostile(), Hostile()}, path));
  std::ifstream file(path, std::ios::binary);
  const std::string page((std::istreambuf_iterator<char>(file)),
                         std::istreambuf_iterator<char>());
  EXPECT_THAT(page, testing::StartsWith("<!DOCTYPE html>"));
  EXPECT_THAT(page, testing::EndsWith("</html>\n"));
  EXPECT_THAT(page, HasSubstr(ReportJson({Hostile(), Hostile()})));
  EXPECT_THAT(page, HasSubstr("Permission is hereby granted, free of charge"));
  EXPECT_THAT(page, HasSubstr("Chart.js v"));
  for (const char* marker :
       {"/* report.css */", "<!-- data -->", "/* chart */", "/* own */"}) {
    EXPECT_THAT(page, Not(HasSubstr(marker)));
  }
}

TEST(ReportRunTest, CountsLabelsWhereTheRunFileNamesTheData) {
  ASSERT_OK_AND_ASSIGN(
      const ReportRun run,
      ReadReportRun("no such folder",
                    Config("data { train { mixture { rows: 90 features: 2 "
                           "classes: 3 } } partition { parts: 4 } }")));
  EXPECT_EQ(run.name, "small");
  EXPECT_EQ(run.planned_rounds, 7);
  EXPECT_THAT(run.run_file, HasSubstr("rounds: 7"));
  EXPECT_EQ(run.parts, 4);
  ASSERT_EQ(run.labels.labels.size(), 3);
  int64_t rows = 0;
  for (const auto& part : run.labels.counts) {
    for (const int64_t count : part) rows += count;
  }
  EXPECT_EQ(rows, 90);
  EXPECT_EQ(run.labels_why, "");
}

TEST(ReportRunTest, SaysWhyThereAreNoLabels) {
  ASSERT_OK_AND_ASSIGN(
      ReportRun run,
      ReadReportRun("no such folder", Config("cohort { min: 1 }")));
  EXPECT_THAT(run.labels_why, HasSubstr("brought data of their own"));
  ASSERT_OK_AND_ASSIGN(
      run,
      ReadReportRun("no such folder", Config("data { train { libsvm { path: "
                                             "'/no/such/file' } } }")));
  EXPECT_THAT(run.labels_why, HasSubstr("/no/such/file"));
  EXPECT_TRUE(run.labels.counts.empty());
}

TEST(ReportRunTest, ManyPartsAreCutOff) {
  ASSERT_OK_AND_ASSIGN(
      const ReportRun run,
      ReadReportRun("no such folder",
                    Config("data { train { mixture { rows: 20000 features: 2 "
                           "classes: 3 } } partition { parts: 20000 } }")));
  EXPECT_EQ(run.parts, 20000);
  EXPECT_EQ(run.labels.counts.size(), kMaxLabelCells / 3);
}

TEST(ReportRunTest, AWrongLineOfMetricsIsAnError) {
  const std::string path = testing::TempDir() + "/" + kMetricsFile;
  std::ofstream(path) << "nonsense\n";
  EXPECT_THAT(ReadReportRun(testing::TempDir(), Config("cohort { min: 1 }")),
              StatusIs(absl::StatusCode::kInvalidArgument, "line 1"));
  std::remove(path.c_str());
}

}  // namespace
}  // namespace parley
