// What theory says of Local-GD on linear models, to be held against what was
// measured. Paper: arXiv 2412.07971. What is derived here and not there is
// marked so.
#ifndef PARLEY_COMMON_ANALYSIS_IMPLICIT_BIAS_THEORY_H_
#define PARLEY_COMMON_ANALYSIS_IMPLICIT_BIAS_THEORY_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/analysis/least_squares.h"
#include "common/analysis/max_margin.h"
#include "common/analysis/signed_rows.h"

namespace parley {

// -------------------------------------------------- separable: w ≈ ŵ·ln t + w̃

// A run as measured: one number a round that was measured, t rising.
struct DirectionCurve {
  std::vector<double> t;         // ηLk, the steps so far times their size
  std::vector<double> gap;       // DirectionGap to the max-margin direction
  std::vector<double> norm;      // ‖w‖
  std::vector<double> log_loss;  // ln f
};

// The last two factors of ten in t, where the theory's terms lead.
struct DirectionFits {
  int64_t first = 0;    // index of the first point that was fitted
  LineFit inverse_gap;  // 1/gap against ln t; (paper) it is a line
  LineFit norm;  // ‖w‖ against ln t; (derived) the slope tends to 1/γ
  // (derived) f·t·γ² tends to 1: its least and most over the last factor of
  // ten, and its last value.
  double loss_least = 0;
  double loss_most = 0;
  double loss_last = 0;
};

// FailedPrecondition: fewer than 5 points, or less than half a factor of ten,
// or w stands still.
absl::StatusOr<DirectionFits> FitDirection(const DirectionCurve& curve,
                                           double margin);

// (derived) With ŵ = Σ α_n z_n and every row's weight c_n in f, z_n·w̃ =
// ln(c_n/α_n) on the support vectors, from which the gap tends to
// γ·‖w̃ − its part along ŵ‖/ln t.
struct LimitOffset {
  // 1/gap grows by so much as ln t grows by 1.
  double inverse_gap_slope = 0;
  // False: there are rows beside the span of the support vectors. What w̃ has
  // there depends on the whole path, and the slope above is the most it can be.
  bool spans_rows = false;
};

// `weights`: c_n, one a row, > 0. FailedPrecondition: the rows are not
// separable, some dual is next to 0 or not unique, so that w̃ is not defined by
// it, w̃ lies along ŵ, or there are too many support vectors.
absl::StatusOr<LimitOffset> FindLimitOffset(const SignedRows& rows,
                                            absl::Span<const double> weights,
                                            const MaxMargin& max_margin);

// -------------------------------------------------------------- not separable

// (derived) To first order in η, L local steps move the fixed point of Local-GD
// on the logistic loss from the minimum w* to w* + (η(L−1)/2)·direction, with
// direction = H⁻¹·Σ p_i H_i ∇f_i(w*): the gradients and Hessians of the
// clients' mean losses f_i, and H = Σ p_i H_i. `shares`: p_i >= 0, their sum 1;
// a client without rows is left out. Dense: features³ operations.
// FailedPrecondition: H is singular; more than kMaxBiasFeatures features.
inline constexpr int64_t kMaxBiasFeatures = 1500;
absl::StatusOr<std::vector<double>> FirstOrderBias(
    absl::Span<const SignedRows> clients, absl::Span<const double> shares,
    absl::Span<const double> minimum);

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_IMPLICIT_BIAS_THEORY_H_
