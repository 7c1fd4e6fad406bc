// What a study finds, against what is known of its data.
#include "tools/study/study_results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/base/random.h"
#include "common/files/file_io.h"
#include "tests/support/status_matchers.h"
#include "tools/study/cell_folder.h"
#include "tools/study/study_report.h"
#include "tools/study/study_runner.h"

namespace parley {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A study that was run, and what came out.
class Ran {
 public:
  Ran(const std::string& name, const std::string& data,
      const std::string& parts, int rounds, const std::string& sweep) {
    const std::string folder = absl::StrCat(testing::TempDir(), "/", name);
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    EXPECT_OK(ReplaceFile(folder + "/data.svm", data));
    EXPECT_OK(ReplaceFile(folder + "/parts", parts));
    auto loaded = LoadStudyText(
        absl::StrCat("run { data { train { libsvm { path: 'data.svm' dense: "
                     "true } } partition { index_file { path: 'parts' } } } "
                     "stop { rounds: ",
                     rounds, " } } implicit_bias { ", sweep, " }"),
        folder + "/s.textproto");
    EXPECT_OK(loaded);
    study_ = *std::move(loaded);
    EXPECT_OK(StateDataFacts(absl::MakeSpan(study_.cells.cells)));
    folder_ = folder + "/out";
    Read();
  }
  Ran(const Ran&) = delete;

  // Runs what is not done yet, and reads all.
  void Read() {
    StudyRunner::Options options;
    options.folder = folder_;
    options.threads = 2;
    StudyRunner runner(study_.cells.cells, options);
    runner.Run();
    auto read = ReadStudyResults(study_, options.folder, runner.states());
    EXPECT_OK(read);
    results_ = *std::move(read);
    EXPECT_OK(WriteStudyReport(results_, options.folder));
  }
  const std::string& folder() const { return folder_; }

  const StudyResults* operator->() const { return &results_; }
  const CellResult& Of(const std::string& name) const {
    for (size_t i = 0; i < results_.cells.size(); ++i) {
      if (study_.cells.cells[i].name == name) return results_.cells[i];
    }
    ADD_FAILURE() << "no cell " << name;
    return results_.cells[0];
  }
  std::string verdict() const { return absl::StrJoin(results_.verdict, "\n"); }

 private:
  std::string folder_;
  Study study_;
  StudyResults results_;
};

// The support vectors (2, 1) and (0.5, −1): ŵ = (0.8, −0.6), so γ = 1, with
// duals 0.2 and 0.8. Two clients, each with one of them and a row beyond.
constexpr char kPlane[] =
    "+1 1:2 2:1\n+1 1:3 2:-2\n-1 1:-0.5 2:1\n-1 1:-2 2:2\n";
constexpr char kPlaneParts[] = "0\n0\n1\n1\n";

// The three acceptance checks of Local-GD's implicit bias.
TEST(StudyResultsTest, LocalGdGoesWhereTheoryPutsIt) {
  const Ran ran("acceptance", kPlane, kPlaneParts, 3000,
                "algorithm { local_gd {} } local_steps: [1, 16] step_size { "
                "fixed: 0.4 }");
  ASSERT_TRUE(ran->sets[0].facts.has_value());
  EXPECT_NEAR(*ran->sets[0].facts->margin, 1, 1e-6);
  // ηLk goes to 19,200.
  const CellResult& cell = ran.Of("local_gd-L16-fixed0.4");
  ASSERT_TRUE(cell.fits.has_value());
  // (derived) f·ηLk·γ² tends to 1.
  EXPECT_NEAR(cell.fits->loss_last, 1, 0.01);
  EXPECT_GT(cell.fits->loss_least, 0.97);
  EXPECT_LT(cell.fits->loss_most, 1.03);
  // (derived) ‖w‖ grows by 1/γ a factor e.
  EXPECT_NEAR(cell.fits->norm.slope, 1, 0.03);
  EXPECT_LT(cell.fits->norm.slope_within, 0.03);
  // (paper) 1/gap is linear in ln(ηLk).
  EXPECT_GT(cell.fits->inverse_gap.r_squared, 0.999);
  // (derived) Its slope: z·w̃ = ln(c/α) with c = 1/4, solved by hand.
  const double a = std::log(0.25 / 0.2), b = std::log(0.25 / 0.8);
  const double x = (-a - b) / -2.5, y = (2 * b - 0.5 * a) / -2.5;
  const double across = std::abs(0.6 * x + 0.8 * y);
  ASSERT_TRUE(ran->sets[0].offset.has_value());
  EXPECT_TRUE(ran->sets[0].offset->spans_rows);
  EXPECT_NEAR(ran->sets[0].offset->inverse_gap_slope, 1 / across, 1e-5);
  EXPECT_NEAR(cell.fits->inverse_gap.slope * across, 1, 0.03);
  EXPECT_THAT(ran.verdict(), HasSubstr("(derived) ln 10/γ = 2.3"));
  EXPECT_THAT(ran.verdict(), HasSubstr("separable with margin 1"));
  EXPECT_EQ(ran->sets[0].plane.size(), 4);
  EXPECT_EQ(cell.Last("round"), 3000);
  EXPECT_EQ(cell.Last("steps"), 48000);
  EXPECT_NEAR(cell.Last("t"), 19200, 1e-6);
  // Two clients, two numbers of 8 bytes, both ways.
  EXPECT_EQ(cell.Last("bytes"), 3000 * 2 * 2 * 2 * 8);
  EXPECT_NEAR(cell.Last("w0") / cell.Last("w1"), -0.8 / 0.6, 0.3);
}

TEST(StudyResultsTest, ModifiedLocalGdHasAFloorThatFallsWithLambda) {
  const Ran ran("floor", kPlane, kPlaneParts, 400,
                "algorithm { modified_local_gd { log_lambda: [-10, -30, -100, "
                "-300] } } algorithm { ppm {} } algorithm { local_gd {} } "
                "step_size { fixed: 0.4 }");
  ASSERT_EQ(ran->floors.size(), 1);
  const LambdaFloor& floor = ran->floors[0];
  ASSERT_EQ(floor.x.size(), 4);
  EXPECT_NEAR(floor.x[0], 1.0 / 300, 1e-15);
  for (int i = 1; i < 4; ++i) EXPECT_GT(floor.gap[i], floor.gap[i - 1]);
  EXPECT_THAT(ran.verdict(), HasSubstr("/|ln λ|, R² 0.9"));
  EXPECT_THAT(ran.verdict(), HasSubstr("times less than the best of local_gd"));
  EXPECT_THAT(ran.verdict(), HasSubstr("not to the one of the largest margin"));
}

TEST(StudyResultsTest, ExactnessDoesNotHoldWhereNothingSeparates) {
  std::string data, parts;
  Rng rng(5, "noise");
  for (int i = 0; i < 60; ++i) {
    absl::StrAppend(&data, rng.Below(2) == 0 ? "-1" : "+1", " 1:", rng.Normal(),
                    " 2:", rng.Normal() + 0.4 * (i % 3), " 3:", rng.Normal(),
                    "\n");
    absl::StrAppend(&parts, i % 3, "\n");
  }
  const Ran ran("noise", data, parts, 4000,
                "algorithm { local_gd {} } local_steps: [1, 4, 8] step_size { "
                "fixed: 0.02 }");
  const auto bias = [&](int steps) {
    const auto& found = ran.Of(absl::StrCat("local_gd-L", steps, "-fixed0.02"));
    EXPECT_TRUE(found.bias.has_value());
    return found.bias.value_or(BiasResult());
  };
  EXPECT_LT(bias(1).measured, 1e-6);
  EXPECT_EQ(bias(1).predicted, 0);
  for (const int steps : {4, 8}) {
    EXPECT_GT(bias(steps).measured, 1e-4);
    EXPECT_NEAR(bias(steps).measured / bias(steps).predicted, 1, 0.1);
    EXPECT_GT(bias(steps).cosine, 0.99);
  }
  EXPECT_THAT(ran.verdict(),
              HasSubstr("it does not end at the centralized minimum"));
  EXPECT_THAT(ran.verdict(), HasSubstr("not separable"));
  EXPECT_THAT(ran.verdict(), Not(HasSubstr("gap to the max-margin")));
}

// As another release may have written it.
TEST(StudyResultsTest, ACurveThatLacksANumberIsReadWithoutIt) {
  Ran ran("lacks", kPlane, kPlaneParts, 30,
          "algorithm { local_gd {} } step_size { fixed: 0.4 }");
  const std::string cell = "local_gd-L1-fixed0.4";
  ASSERT_NE(ran.Of(cell).Find("norm"), nullptr);
  const std::string path =
      absl::StrCat(ran.folder(), "/cells/", cell, "/metrics.jsonl");
  ASSERT_OK_AND_ASSIGN(const auto file, FileReader::Open(path));
  ASSERT_OK_AND_ASSIGN(const std::string text, file->Read(0, file->size()));
  ASSERT_OK(ReplaceFile(
      path, absl::StrReplaceAll(text, {{"\"norm\":", "\"other\":"}})));
  ran.Read();
  EXPECT_EQ(ran.Of(cell).Find("norm"), nullptr);
  EXPECT_FALSE(ran.Of(cell).fits.has_value());
  EXPECT_GT(ran.Of(cell).Last("gap"), 0);
}

// Each gives numbers or says why not.
TEST(StudyResultsTest, OddDataIsSaidSo) {
  constexpr char kSweep[] =
      "algorithm { local_gd {} } algorithm { modified_local_gd {} } "
      "local_steps: [1, 4] step_size { over_steps: 0.5 }";
  const Ran one("single", kPlane, "0\n0\n0\n0\n", 30, kSweep);
  EXPECT_GT(one.Of("local_gd-L4-over_steps0.5").Last("gap"), 0);
  EXPECT_THAT(one.verdict(), HasSubstr("of 1 client are separable"));
  // The same row twice, one label on each client, a column of zeros.
  const Ran twice("twice",
                  "+1 1:1 3:1\n+1 1:1 3:1\n-1 1:-1 3:-2\n-1 1:-1 3:-2\n",
                  kPlaneParts, 30, kSweep);
  EXPECT_GT(twice.Of("local_gd-L4-over_steps0.5").Last("margin_share"), 0);
  // A row of zeros: nothing separates it.
  const Ran zero("zero", "+1 1:1 2:1\n+1 2:0\n-1 1:-1\n-1 1:-2\n", kPlaneParts,
                 30, kSweep);
  EXPECT_THAT(zero.verdict(), Not(HasSubstr("are separable with margin")));
}

// Two rows alike with opposite labels on the first client.
constexpr char kOpposite[] =
    "+1 1:1 2:1\n-1 1:1 2:1\n+1 1:2\n-1 1:1\n+1 2:2\n-1 2:1\n";
constexpr char kOppositeParts[] = "0\n0\n1\n1\n1\n1\n";

TEST(StudyResultsTest, SaysOfExactSolutionsThatNothingSeparatesTheRows) {
  const Ran ran("exact", kOpposite, kOppositeParts, 20,
                "algorithm { modified_local_gd { log_lambda: [-4, -100] } } "
                "algorithm { ppm { log_lambda: -100 } } "
                "algorithm { local_gd {} } step_size { fixed: 0.1 }");
  EXPECT_THAT(ran.verdict(),
              HasSubstr("modified_local_gd-lnlambda-4: (measured) after 20 "
                        "rounds ln f is -0.0"));
  EXPECT_THAT(ran.verdict(), HasSubstr("no hyperplane is known to separate"));
  // Though only local_gd's loss has a minimum that is known.
  EXPECT_THAT(ran.verdict(), HasSubstr("does not end at the centralized min"));
  EXPECT_THAT(ran.verdict(), HasSubstr("L = 1: (measured) ‖w − w*‖ = "));
  // One sentence for both.
  EXPECT_THAT(ran->verdict[0],
              HasSubstr("Failed: modified_local_gd-lnlambda-100, "
                        "ppm-lnlambda-100 (round 1: too few clients answered"));
  EXPECT_THAT(ran->verdict[0], HasSubstr("a log_lambda nearer to 0"));
  EXPECT_THAT(ran->verdict[0], Not(HasSubstr("0.0e")));
}

TEST(StudyResultsTest, SaysOfWhatIsNotComparedHowFarItIs) {
  const Ran ran("far", kOpposite, kOppositeParts, 20,
                "algorithm { loss_normalised { step_size: 0.05 } } "
                "local_steps: [1, 4]");
  EXPECT_THAT(ran.verdict(), HasSubstr("(measured) ‖w − w*‖/‖w*‖ is 0."));
  EXPECT_THAT(ran.verdict(), HasSubstr("is not predicted here but for"));
}

// Both are in the max-margin direction from the first round on.
TEST(StudyResultsTest, DividesByNoGapThatIsNone) {
  const Ran ran("one_row", "+1 1:1 2:1\n", "0\n", 20,
                "algorithm { local_gd {} } algorithm { modified_local_gd {} } "
                "local_steps: [1, 4] step_size { fixed: 0.1 }");
  EXPECT_THAT(ran.verdict(), HasSubstr("of 1 client are separable"));
  EXPECT_THAT(ran.verdict(), HasSubstr("of the best local_gd"));
  EXPECT_THAT(ran.verdict(), Not(HasSubstr("nan")));
  EXPECT_THAT(ran.verdict(), Not(HasSubstr("inf ")));
  EXPECT_THAT(ran.verdict(), Not(HasSubstr(" 0 times")));
}

TEST(StudyResultsTest, TellsStepsThatAreTooLargeFromTooFew) {
  const auto verdict = [](const std::string& name, const std::string& scale) {
    const std::string one = "1e" + scale, two = "2e" + scale;
    return Ran(name,
               absl::StrCat("+1 1:", one, " 2:", one, "\n+1 1:", two,
                            "\n-1 1:-", two, " 2:", one, "\n-1 2:-", one, "\n"),
               kPlaneParts, 100,
               "algorithm { local_gd {} } local_steps: [8] step_size { fixed: "
               "0.1 }")
        .verdict();
  };
  EXPECT_THAT(verdict("huge", "2"), HasSubstr("steps of this η leap"));
  const std::string tiny = verdict("tiny", "-6");
  EXPECT_THAT(tiny, HasSubstr("ηLk is still too small"));
}

}  // namespace
}  // namespace parley
