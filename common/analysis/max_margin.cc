#include "common/analysis/max_margin.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/analysis/direction.h"
#include "common/analysis/row_products.h"
#include "common/base/random.h"
#include "common/kernels/kernels.h"

namespace parley {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Solver {
 public:
  Solver(const SignedRows& rows, const MaxMarginOptions& options)
      : rows_(rows),
        options_(options),
        products_(rows),
        rng_(options.seed, "max margin"),
        active_(rows.rows()) {
    result_.alpha.assign(rows.rows(), 0.0);
    result_.margin_bound = kInfinity;
    std::iota(active_.begin(), active_.end(), 0);
    for (int64_t n = 0; n < rows.rows(); ++n) {
      largest_ = std::max(largest_, std::sqrt(rows.squared_norm(n)));
    }
  }

  absl::StatusOr<MaxMargin> Solve(absl::FunctionRef<bool()> keep_going) {
    int64_t next_look = 1;
    while (result_.epochs < options_.max_epochs) {
      const double violation = Epoch();
      ++result_.epochs;
      // Looking costs about an epoch: at each power of two, and when the active
      // rows seem done.
      const bool quiet = violation <= stop_;
      if (quiet || result_.epochs >= next_look) {
        next_look = 2 * result_.epochs;
        if (Decide()) return std::move(result_);
        if (quiet) {
          if (static_cast<int64_t>(active_.size()) == rows_.rows()) stop_ /= 4;
          Unshrink();
        }
      }
      if (!keep_going())
        return absl::CancelledError("the search was cancelled");
    }
    Decide();
    return std::move(result_);
  }

 private:
  // One pass over the active rows; the largest violation of optimality.
  double Epoch() {
    rng_.Shuffle(absl::MakeSpan(active_));
    double most = -kInfinity, least = kInfinity;
    size_t kept = 0;
    for (const int64_t n : active_) {
      double& alpha = result_.alpha[n];
      const double g = products_.Of(n) - 1;
      // A row far outside the margin is left out until all others are done.
      if (alpha == 0 && g > shrink_above_) continue;
      active_[kept++] = n;
      const double projected = alpha == 0 ? std::min(g, 0.0) : g;
      most = std::max(most, projected);
      least = std::min(least, projected);
      if (projected == 0) continue;
      const double next = std::max(0.0, alpha - g / rows_.squared_norm(n));
      products_.Change(n, next - alpha);
      alpha = next;
    }
    active_.resize(kept);
    if (kept == 0) return 0;
    shrink_above_ = most > 0 ? most : kInfinity;
    return std::max(most, -least);
  }

  void Unshrink() {
    active_.resize(rows_.rows());
    std::iota(active_.begin(), active_.end(), 0);
    shrink_above_ = kInfinity;
    products_.Reset(result_.alpha);
  }

  // Looks for a proof in α as it is; true: the verdict is reached.
  bool Decide() {
    const std::vector<double> w = CombineRows(rows_, result_.alpha);
    const double sum =
        std::accumulate(result_.alpha.begin(), result_.alpha.end(), 0.0);
    if (!(sum > 0)) return false;
    const double norm = Norm(w);
    result_.margin_bound = std::min(result_.margin_bound, norm / sum);
    if (result_.margin_bound <= options_.smallest_margin * largest_) {
      result_.verdict = Separability::kNotSeparable;
      return true;
    }
    double least = kInfinity;
    for (int64_t n = 0; n < rows_.rows(); ++n) {
      least = std::min(least, rows_.Dot(n, w));
    }
    if (least / norm < (1 - options_.tolerance) * result_.margin_bound) {
      return false;
    }
    result_.verdict = Separability::kSeparable;
    result_.margin = least / norm;
    result_.w = w;
    KernelsFor<double>().scale(rows_.features(), 1 / least, result_.w.data());
    return true;
  }

  const SignedRows& rows_;
  const MaxMarginOptions options_;
  RowProducts products_;
  Rng rng_;
  std::vector<int64_t> active_;
  double shrink_above_ = kInfinity;
  double stop_ = 0.1;   // a violation at which the active rows seem done
  double largest_ = 0;  // ‖z‖
  MaxMargin result_;
};

}  // namespace

absl::StatusOr<MaxMargin> FindMaxMargin(const SignedRows& rows,
                                        const MaxMarginOptions& options,
                                        absl::FunctionRef<bool()> keep_going) {
  if (!(options.tolerance > 0 && options.tolerance < 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tolerance is ", options.tolerance, ": must be > 0 and < 1"));
  }
  if (!(options.smallest_margin > 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "smallest_margin is ", options.smallest_margin, ": must be > 0"));
  }
  if (options.max_epochs < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_epochs is ", options.max_epochs, ": must be >= 1"));
  }
  for (int64_t n = 0; n < rows.rows(); ++n) {
    if (rows.squared_norm(n) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("row ", n,
                       " is zero, or too small for its square: no hyperplane "
                       "through the origin separates it"));
    }
  }
  return Solver(rows, options).Solve(keep_going);
}

double MarginBound(const SignedRows& rows, absl::Span<const double> alpha) {
  return Norm(CombineRows(rows, alpha)) /
         std::accumulate(alpha.begin(), alpha.end(), 0.0);
}

}  // namespace parley
