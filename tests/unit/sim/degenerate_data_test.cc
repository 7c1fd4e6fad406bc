// Local-GD and Modified Local-GD on data at the edge of what there is: a result
// that is right, or words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "common/analysis/direction.h"
#include "tests/unit/sim/runs.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

constexpr char kLocalGd[] = "gd { steps: 5 } step_size { initial: 0.1 }";
constexpr char kModified[] = "exact_prox { log_lambda: -1000 }";

class DegenerateDataTest : public testing::Test {
 protected:
  // data.train and its partition, each row at its part.
  std::string DataOf(const std::string& rows, const std::string& parts) {
    const std::string name = absl::StrCat(
        testing::TempDir(), "/",
        testing::UnitTest::GetInstance()->current_test_info()->name());
    std::ofstream(name + ".svm") << rows;
    std::ofstream(name + ".parts") << parts;
    return absl::StrCat("train { libsvm { path: \"", name,
                        ".svm\" dense: true features: 3 } } partition { "
                        "index_file { path: \"",
                        name, ".parts\" } }");
  }

  // Local-GD against plain loops over the rows, Modified Local-GD against the
  // support vector machine that is known.
  void Expect(const std::string& data, const std::vector<double>& svm) {
    const v1::RunConfig local_gd =
        RunOf("EXPONENTIAL", data, kLocalGd, "uniform {}", 20);
    const std::vector<double> w = ModelOf(local_gd);
    const std::vector<double> want = LocalGd(local_gd);
    ASSERT_EQ(w.size(), 3);
    for (int j = 0; j < 3; ++j) EXPECT_NEAR(w[j], want[j], 1e-13) << j;

    const std::vector<double> direction = ModelOf(
        RunOf("EXPONENTIAL", data, kModified, "uniform {} anchored {}", 500));
    EXPECT_LT(DirectionGap(direction, svm), 0.02);
  }

  // Rounds and steps as above.
  static std::vector<double> LocalGd(const v1::RunConfig& config) {
    const auto parts = PartsOf(config);
    std::vector<double> w(3);
    for (int round = 0; round < 20; ++round) {
      std::vector<double> mean(3);
      for (const Dataset<double>& part : parts) {
        const Batch<double> rows = part.All();
        std::vector<double> own = w;
        for (int step = 0; step < 5; ++step) {
          std::vector<double> change(3);
          for (int64_t n = 0; n < rows.rows; ++n) {
            double margin = 0;
            for (int j = 0; j < 3; ++j) {
              margin += rows.target[n] * rows.dense[3 * n + j] * own[j];
            }
            for (int j = 0; j < 3; ++j) {
              change[j] += 0.1 * std::exp(-margin) * rows.target[n] *
                           rows.dense[3 * n + j] / rows.rows;
            }
          }
          for (int j = 0; j < 3; ++j) own[j] += change[j];
        }
        for (int j = 0; j < 3; ++j) mean[j] += own[j] / parts.size();
      }
      w = mean;
    }
    return w;
  }
};

TEST_F(DegenerateDataTest, OneClassOnEveryClient) {
  Expect(DataOf("+1 1:1\n+1 1:2 2:1\n-1 1:-1\n-1 1:-2 3:1\n", "0\n0\n1\n1\n"),
         {1, 0, 0});
}

TEST_F(DegenerateDataTest, AFeatureOfZeros) {
  Expect(DataOf("+1 1:1 3:1\n-1 1:-1 3:1\n+1 1:1 3:-1\n-1 1:-1 3:-1\n",
                "0\n0\n1\n1\n"),
         {1, 0, 0});
}

// It has the loss of a margin of 0, for ever, and pulls nowhere.
TEST_F(DegenerateDataTest, ARowOfZeros) {
  Expect(DataOf("+1 1:1\n-1\n-1 1:-1\n+1 2:1\n", "0\n0\n1\n1\n"), {1, 1, 0});
}

TEST_F(DegenerateDataTest, AClientOfZerosAlone) {
  const std::string data = DataOf("+1 1:1\n-1 1:-1\n+1\n", "0\n0\n1\n");
  const v1::RunConfig config =
      RunOf("EXPONENTIAL", data, kLocalGd, "uniform {}", 20);
  const std::vector<double> w = ModelOf(config), want = LocalGd(config);
  for (int j = 0; j < 3; ++j) EXPECT_NEAR(w[j], want[j], 1e-13) << j;
  Expect(data, {1, 0, 0});
}

TEST_F(DegenerateDataTest, TheSameRowsTwice) {
  Expect(DataOf("+1 1:1 2:1\n+1 1:1 2:1\n-1 1:-1\n-1 1:-1\n-1 1:-1\n",
                "0\n0\n0\n1\n1\n"),
         {1, 0, 0});
}

TEST_F(DegenerateDataTest, OneRowOnEveryClient) {
  Expect(DataOf("+1 1:2\n-1 2:-2\n", "0\n1\n"), {1, 1, 0});
}

TEST_F(DegenerateDataTest, OneRowInAll) {
  Expect(DataOf("+1 1:1 2:-2\n", "0\n"), {1, -2, 0});
  Expect(DataOf("-1 1:1 2:-2\n", "0\n"), {-1, 2, 0});
}

TEST_F(DegenerateDataTest, OneClassInAll) {
  Expect(DataOf("-1 1:1\n-1 2:1\n-1 3:1\n", "0\n1\n1\n"), {-1, -1, -1});
}

TEST_F(DegenerateDataTest, AClientWithoutRowsIsRefusedInWords) {
  for (const char* local : {kLocalGd, kModified}) {
    const auto run = [&](const std::string& data) {
      return SimulateRun(RunOf("EXPONENTIAL", data, local, "uniform {}", 3));
    };
    EXPECT_THAT(run("train { separable { rows: 3 features: 4 } } "
                    "partition { parts: 4 }"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         "parts is 4; with 3 rows, allowed: 1 to 3"));
    EXPECT_THAT(run(DataOf("+1 1:1\n-1 1:-1\n+1 2:1\n", "0\n2\n2\n")),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         "part 1 has no row, though there is a part 2"));
  }
}

}  // namespace
}  // namespace parley
