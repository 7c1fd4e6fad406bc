// Gradient descent on a linear model without a bias, in terms of its margins:
// the local steps of Local-GD (arXiv 2412.07971).
#ifndef PARLEY_COMMON_ANALYSIS_MARGIN_DESCENT_H_
#define PARLEY_COMMON_ANALYSIS_MARGIN_DESCENT_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/analysis/direction.h"
#include "common/analysis/signed_rows.h"
#include "common/model/local_solver.h"

namespace parley {

struct MarginDescentResult {
  LocalResult local;
  double log_loss = 0;  // of the mean loss before the first step
};

// Takes full-batch steps on the mean loss of some rows z_n,
//   w ← w + η/n·Σ s_n·z_n,  s_n the negative slope of the loss at z_n·w.
// With `in_span` it steps in the span of the rows, w = w₀ + Σ c_n·z_n: what c
// changes by, times the Gram matrix, is what the margins change by, so that a
// step costs n² instead of twice the numbers that are stored.
// Thread-compatible.
class MarginDescent {
 public:
  // With `in_span` makes the Gram matrix, for all calls of Run.
  MarginDescent(SignedRows rows, MarginLoss loss, bool in_span);

  // η is given by its logarithm, for it may be e^1800 where the loss is
  // e^−1800. Takes `steps` > 0 of them on `w`, `features` numbers, in place;
  // what comes out depends on the arguments alone. Losses and parameters that
  // are not finite are for the caller to find. `keep_going` is told now and
  // then how many steps are done, first of none; Cancelled where it says false.
  absl::StatusOr<MarginDescentResult> Run(
      double log_step_size, int64_t steps, absl::Span<double> w,
      absl::FunctionRef<bool(int64_t done)> keep_going = [](int64_t) {
        return true;
      });

 private:
  // From margins_[begin..end) the losses and the pulls, e^log_scale·s_n.
  void Pull(double log_scale, int64_t begin, int64_t end);
  void StepInSpan(double log_scale);
  void StepOnW(double log_scale, absl::Span<double> w);

  const SignedRows rows_;
  const MarginLoss loss_;
  const int64_t padded_;              // the rows, filled up to whole vectors
  const std::vector<double> gram_;    // rows×padded; empty: steps on w
  const std::vector<double> shares_;  // 1/n a row

  // One a row, `padded_` of them.
  std::vector<double> margins_;
  std::vector<double> losses_;
  std::vector<double> loss_sums_;  // over the steps
  std::vector<double> pulls_;
  std::vector<double> pull_sums_;  // over the steps: c
  std::vector<double> change_;     // of w in one step, where it steps on w
};

// Whether the rows are few enough for their Gram matrix: fewer than numbers in
// a row, and at most 1,024, for it costs as much as n/4 steps on w.
bool SpanIsCheaper(const SignedRows& rows);

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_MARGIN_DESCENT_H_
