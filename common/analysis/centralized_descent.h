// Centralized gradient descent on the rows of all clients together: what a
// distributed run is held against. Shares no code with the distributed path.
#ifndef PARLEY_COMMON_ANALYSIS_CENTRALIZED_DESCENT_H_
#define PARLEY_COMMON_ANALYSIS_CENTRALIZED_DESCENT_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/analysis/direction.h"
#include "common/analysis/signed_rows.h"
#include "common/base/random.h"

namespace parley {

struct CentralizedDescentOptions {
  MarginLoss loss = MarginLoss::kLogistic;
  // Rows of a step, without replacement within an epoch (SGD); at most all.
  // 0: all rows (GD).
  int64_t batch_rows = 0;
  uint64_t seed = 1;  // of the batches
};

// Takes steps w += exp(log_step)·Σ weight_n·s_n·z_n, s_n = −loss'(z_n·w); of a
// batch the gradient is scaled by rows/batch, so that its mean is the whole
// one. Thread-compatible.
//
// Where that is less work it stays in the span of the rows: w = start + Σ a_n
// z_n, and the margins move along the Gram matrix. exp(log_step) and s_n are
// never formed by themselves, so that steps over a loss of e^−1800 come out
// right.
class CentralizedDescent {
 public:
  // `weights`: one a row, > 0; `start`: `features` numbers.
  CentralizedDescent(SignedRows rows, std::vector<double> weights,
                     std::vector<double> start,
                     const CentralizedDescentOptions& options);

  // So many steps of the same size. Cancelled: `keep_going`, asked before each
  // step, said false.
  absl::Status Take(
      int64_t steps, double log_step,
      absl::FunctionRef<bool()> keep_going = [] { return true; });

  std::vector<double> w() const;
  int64_t steps() const { return steps_; }

 private:
  absl::Span<const int64_t> NextBatch();
  void Step(double log_step);
  // The step's coefficient of row n, whose margin is m.
  double Coefficient(int64_t n, double m, double log_step) const;

  const SignedRows rows_;
  const CentralizedDescentOptions options_;
  std::vector<double> log_weights_;
  const std::vector<double> start_;
  const std::vector<double> gram_;  // empty: works on w_
  Rng rng_;
  std::vector<int64_t> order_;  // of the rows, as this epoch deals them out
  int64_t next_ = 0;            // of order_
  int64_t steps_ = 0;

  std::vector<double> step_;           // coefficients of one step
  std::vector<double> w_;              // without a Gram matrix
  std::vector<double> a_;              // with one
  std::vector<double> start_margins_;  // with one
  std::vector<double> margins_;        // with one: of start + Σ a_n z_n
};

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_CENTRALIZED_DESCENT_H_
