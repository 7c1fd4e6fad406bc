// The references against LIBLINEAR (Fan et al. 2008), written by others.
#include <gtest/gtest.h>
#include <linear.h>

#include <memory>
#include <vector>

#include "common/analysis/direction.h"
#include "common/analysis/logistic_minimum.h"
#include "common/analysis/max_margin.h"
#include "common/data/generators.h"
#include "tests/unit/analysis/rows.h"

namespace parley {
namespace {

// argmin ½‖w‖² + C Σ loss(z·w) by LIBLINEAR's `solver`, without a bias.
std::vector<double> Liblinear(const SignedRows& rows, int solver, double c) {
  const auto d = static_cast<size_t>(rows.features());
  const auto n = static_cast<size_t>(rows.rows());
  std::vector<feature_node> nodes(n * (d + 1));
  std::vector<feature_node*> x(n);
  // Half of the rows with their signs turned: it wants two classes.
  std::vector<double> y(n);
  for (size_t i = 0; i < n; ++i) {
    y[i] = i % 2 == 0 ? 1 : -1;
    std::vector<double> row(d);
    rows.Add(static_cast<int64_t>(i), y[i], absl::MakeSpan(row));
    x[i] = &nodes[i * (d + 1)];
    for (size_t j = 0; j < d; ++j) x[i][j] = {static_cast<int>(j) + 1, row[j]};
    x[i][d] = {-1, 0};
  }
  const problem data = {static_cast<int>(n), static_cast<int>(d), y.data(),
                        x.data(), -1};
  parameter how = {};
  how.solver_type = solver;
  how.eps = 1e-10;
  how.C = c;
  set_print_string_function([](const char*) {});
  EXPECT_EQ(check_parameter(&data, &how), nullptr);
  model* trained = train(&data, &how);
  std::vector<double> w(trained->w, trained->w + d);
  // The first label that it met counts as +1.
  if (trained->label[0] == -1) {
    for (double& v : w) v = -v;
  }
  free_and_destroy_model(&trained);
  return w;
}

TEST(LiblinearTest, ItsHardMarginIsOurs) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const SeparableOptions o = {.rows = 100, .features = 8, .margin = 0.5};
    const SignedRows rows =
        Signed(Dataset<double>(*Generate<double>(o, seed, "train")));
    const auto found = FindMaxMargin(rows);
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->verdict, Separability::kSeparable);
    const std::vector<double> w =
        Liblinear(rows, L2R_L1LOSS_SVC_DUAL, /*c=*/1e4);
    EXPECT_LT(DirectionGap(found->w, w), 1e-4);
    EXPECT_NEAR(Norm(w) * found->margin, 1, 1e-6);
  }
}

TEST(LiblinearTest, ItsHardlyRegularisedLogisticRegressionIsOurs) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const SignedRows rows = Signed(Noise(200, 6, seed));
    const auto found =
        FindLogisticMinimum(rows, std::vector<double>(200, 1.0 / 200));
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->outcome, LogisticMinimum::Outcome::kFound);
    const std::vector<double> w = Liblinear(rows, L2R_LR, /*c=*/1e7);
    for (size_t j = 0; j < w.size(); ++j) EXPECT_NEAR(found->w[j], w[j], 1e-5);
  }
}

}  // namespace
}  // namespace parley
