#include "common/analysis/margin_descent.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "common/base/log.h"
#include "common/kernels/kernels.h"
#include "common/model/batch_ops.h"

namespace parley {
namespace {

constexpr int64_t kMostSpanRows = 1024;
constexpr int64_t kVector = 8;  // the most doubles that an instruction takes

// So many multiplications may go by before it is asked whether to go on.
constexpr int64_t kCostBetweenQuestions = 1 << 18;

// Rows at once, whose numbers stay in the second-level cache from the margins
// to the change of w: memory is read once a step.
int64_t RowsAtOnce(const SignedRows& rows) {
  constexpr int64_t kNumbers = 1 << 15, kMost = 512, kLeast = 16;
  const int64_t a_row = std::max<int64_t>(1, rows.stored() / rows.rows());
  return std::clamp(kNumbers / a_row, kLeast, kMost);
}

std::vector<double> PaddedGram(const SignedRows& rows, int64_t padded) {
  const int64_t n = rows.rows();
  const std::vector<double> gram = rows.Gram();
  std::vector<double> out(n * padded);
  for (int64_t i = 0; i < n; ++i) {
    std::copy_n(gram.begin() + i * n, n, out.begin() + i * padded);
  }
  return out;
}

}  // namespace

bool SpanIsCheaper(const SignedRows& rows) {
  const int64_t n = rows.rows();
  return n <= kMostSpanRows && n * n < rows.stored();
}

MarginDescent::MarginDescent(SignedRows rows, MarginLoss loss, bool in_span)
    : rows_(std::move(rows)),
      loss_(loss),
      padded_((rows_.rows() + kVector - 1) / kVector * kVector),
      gram_(in_span ? PaddedGram(rows_, padded_) : std::vector<double>()),
      shares_(rows_.rows(), 1 / static_cast<double>(rows_.rows())),
      margins_(padded_),
      losses_(padded_),
      loss_sums_(padded_),
      pulls_(padded_),
      pull_sums_(padded_),
      change_(in_span ? 0 : rows_.features()) {}

absl::StatusOr<MarginDescentResult> MarginDescent::Run(
    double log_step_size, int64_t steps, absl::Span<double> w,
    absl::FunctionRef<bool(int64_t done)> keep_going) {
  PARLEY_CHECK(steps > 0);
  PARLEY_CHECK(static_cast<int64_t>(w.size()) == rows_.features());
  const int64_t n = rows_.rows();
  const bool in_span = !gram_.empty();
  const double log_scale = log_step_size - std::log(static_cast<double>(n));
  const int64_t cost = in_span ? n * padded_ : 2 * rows_.stored();
  const int64_t question_every =
      std::max<int64_t>(1, kCostBetweenQuestions / std::max<int64_t>(1, cost));
  std::fill(loss_sums_.begin(), loss_sums_.end(), 0.0);
  std::fill(pull_sums_.begin(), pull_sums_.end(), 0.0);
  MarginDescentResult result;
  LocalResult& local = result.local;
  const auto note_log_loss = [&] {
    result.log_loss =
        LogLoss(loss_, absl::MakeConstSpan(margins_).subspan(0, n), shares_);
  };
  if (in_span) {
    rows_.Dots(0, n, w, margins_.data());
    note_log_loss();
  }
  for (; local.steps < steps; ++local.steps) {
    if (local.steps % question_every == 0 && !keep_going(local.steps)) {
      return absl::CancelledError("training was stopped");
    }
    in_span ? StepInSpan(log_scale) : StepOnW(log_scale, w);
    if (local.steps == 0) {
      local.first_loss = Sum(n, losses_.data()) * shares_[0];
      if (!in_span) note_log_loss();  // the margins are still the start's
    }
  }
  if (in_span) rows_.AddAll(0, n, pull_sums_.data(), w);
  local.mean_loss =
      Sum(n, loss_sums_.data()) * shares_[0] / static_cast<double>(steps);
  return result;
}

void MarginDescent::Pull(double log_scale, int64_t begin, int64_t end) {
  const Kernels<double>& k = KernelsFor<double>();
  const int64_t n = end - begin;
  const auto pull =
      loss_ == MarginLoss::kLogistic ? k.logistic_pull : k.exponential_pull;
  pull(n, log_scale, &margins_[begin], &losses_[begin], &pulls_[begin]);
  k.axpy(n, 1, &losses_[begin], &loss_sums_[begin]);
}

void MarginDescent::StepInSpan(double log_scale) {
  const Kernels<double>& k = KernelsFor<double>();
  Pull(log_scale, 0, padded_);
  k.axpy(padded_, 1, pulls_.data(), pull_sums_.data());
  k.gemv(true, rows_.rows(), padded_, 1, gram_.data(), pulls_.data(), 1,
         margins_.data());
}

void MarginDescent::StepOnW(double log_scale, absl::Span<double> w) {
  std::fill(change_.begin(), change_.end(), 0.0);
  const int64_t at_once = RowsAtOnce(rows_);
  for (int64_t begin = 0; begin < rows_.rows(); begin += at_once) {
    const int64_t end = std::min(begin + at_once, rows_.rows());
    rows_.Dots(begin, end, w, &margins_[begin]);
    Pull(log_scale, begin, end);
    rows_.AddAll(begin, end, &pulls_[begin], absl::MakeSpan(change_));
  }
  KernelsFor<double>().axpy(static_cast<int64_t>(w.size()), 1, change_.data(),
                            w.data());
}

}  // namespace parley
