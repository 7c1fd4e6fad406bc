#include "common/analysis/centralized_descent.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/base/log.h"
#include "common/kernels/kernels.h"

namespace parley {
namespace {

constexpr int64_t kMostGramRows = 2048;  // 32 MiB
// The margins are made anew from a after so many steps, which ends what their
// rounding errors add up to.
constexpr int64_t kRefreshEvery = 4096;

// A step costs rows² with a Gram matrix, and twice the stored numbers without.
bool GramIsCheaper(const SignedRows& rows) {
  return rows.rows() <= kMostGramRows &&
         rows.rows() * rows.rows() < 2 * rows.stored();
}

}  // namespace

CentralizedDescent::CentralizedDescent(SignedRows rows,
                                       std::vector<double> weights,
                                       std::vector<double> start,
                                       const CentralizedDescentOptions& options)
    : rows_(std::move(rows)),
      options_(options),
      log_weights_(std::move(weights)),
      start_(std::move(start)),
      gram_(GramIsCheaper(rows_) ? rows_.Gram() : std::vector<double>()),
      rng_(options.seed, "centralized"),
      order_(rows_.rows()) {
  PARLEY_CHECK(static_cast<int64_t>(log_weights_.size()) == rows_.rows());
  PARLEY_CHECK(static_cast<int64_t>(start_.size()) == rows_.features());
  std::iota(order_.begin(), order_.end(), int64_t{0});
  const int64_t all = rows_.rows();
  const int64_t batch =
      options_.batch_rows > 0 ? std::min(options_.batch_rows, all) : all;
  for (double& weight : log_weights_) {
    weight = std::log(weight) +
             std::log(static_cast<double>(all) / static_cast<double>(batch));
  }
  step_.resize(all);
  if (gram_.empty()) {
    w_ = start_;
  } else {
    a_.resize(all);
    start_margins_ = margins_ = rows_.Margins(start_);
  }
}

double CentralizedDescent::Coefficient(int64_t n, double m,
                                       double log_step) const {
  const double scale = log_step + log_weights_[n];
  if (options_.loss == MarginLoss::kExponential) return std::exp(scale - m);
  return std::exp(scale - std::max(m, 0.0)) / (1 + std::exp(-std::abs(m)));
}

absl::Span<const int64_t> CentralizedDescent::NextBatch() {
  const int64_t all = rows_.rows();
  if (options_.batch_rows <= 0 || options_.batch_rows >= all) return order_;
  if (next_ == all) next_ = 0;
  if (next_ == 0) rng_.Shuffle(absl::MakeSpan(order_));
  const int64_t begin = next_;
  next_ = std::min(begin + options_.batch_rows, all);
  return absl::MakeConstSpan(order_).subspan(begin, next_ - begin);
}

void CentralizedDescent::Step(double log_step) {
  const Kernels<double>& k = KernelsFor<double>();
  const int64_t all = rows_.rows();
  const absl::Span<const int64_t> batch = NextBatch();
  if (gram_.empty()) {
    for (const int64_t n : batch) {
      step_[n] = Coefficient(n, rows_.Dot(n, w_), log_step);
    }
    for (const int64_t n : batch) rows_.Add(n, step_[n], absl::MakeSpan(w_));
  } else {
    if (steps_ > 0 && steps_ % kRefreshEvery == 0) {
      margins_ = start_margins_;
      k.gemv(false, all, all, 1, gram_.data(), a_.data(), 1, margins_.data());
    }
    for (const int64_t n : batch) {
      step_[n] = Coefficient(n, margins_[n], log_step);
      a_[n] += step_[n];
    }
    if (static_cast<int64_t>(batch.size()) == all) {
      k.gemv(false, all, all, 1, gram_.data(), step_.data(), 1,
             margins_.data());
    } else {
      for (const int64_t n : batch) {
        k.axpy(all, step_[n], gram_.data() + n * all, margins_.data());
      }
    }
  }
  ++steps_;
}

absl::Status CentralizedDescent::Take(int64_t steps, double log_step,
                                      absl::FunctionRef<bool()> keep_going) {
  for (int64_t i = 0; i < steps; ++i) {
    if (!keep_going()) {
      return absl::CancelledError("the descent was cancelled");
    }
    Step(log_step);
  }
  return absl::OkStatus();
}

std::vector<double> CentralizedDescent::w() const {
  if (gram_.empty()) return w_;
  std::vector<double> w = start_;
  for (int64_t n = 0; n < rows_.rows(); ++n) {
    rows_.Add(n, a_[n], absl::MakeSpan(w));
  }
  return w;
}

}  // namespace parley
