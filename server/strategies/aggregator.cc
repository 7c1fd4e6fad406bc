#include "server/strategies/aggregator.h"

#include <algorithm>

#include "common/base/log.h"
#include "common/kernels/kernels.h"

namespace parley {
namespace {

// Elements that one thread works on at a time: their sums stay in the
// first-level cache.
constexpr int64_t kGrain = 2048;

}  // namespace

Aggregator::Aggregator(const Strategy* strategy, const ParameterSpec& spec,
                       Executor* executor)
    : strategy_(strategy), executor_(executor), elements_(spec.elements()) {
  for (size_t i = 0; i < spec.tensors().size(); ++i) {
    const TensorSpec& tensor = spec.tensors()[i];
    PARLEY_CHECK(tensor.merge != MergeRule::kLocal);
    const int64_t begin = spec.offset(i), end = begin + tensor.elements();
    if (!segments_.empty() && segments_.back().rule == tensor.merge) {
      segments_.back().end = end;
    } else {
      segments_.push_back({tensor.merge, begin, end});
    }
  }
}

UpdateView Aggregator::View(const v1::UpdateReady& header,
                            v1::Encoding encoding, const char* data) const {
  return {.encoding = encoding,
          .data = data,
          .weight = strategy_->Weight(header),
          .divisor = header.already_weighted() ? header.weight() : 1};
}

double* Aggregator::sum() {
  if (!sum_) sum_.emplace(DType::kFloat64, elements_);
  return sum_->As<double>().data();
}

void Aggregator::ForBlocks(const Segment& s,
                           absl::FunctionRef<void(int64_t, int64_t)> f) const {
  ParallelFor(executor_, s.end - s.begin, kGrain,
              [&](int64_t from, int64_t to) {
                for (int64_t i = from; i < to; i += kGrain) {
                  f(s.begin + i, s.begin + std::min(i + kGrain, to));
                }
              });
}

void Aggregator::Fold(const Segment& s, int64_t begin, int64_t end,
                      double* x) const {
  if (s.rule == MergeRule::kCopy) {
    if (!settled()) DecodeRange(pending_[0], begin, end, x);
    return;
  }
  for (const UpdateView& update : pending_) {
    FoldRange(update, begin, end, update.factor(), x);
  }
}

void Aggregator::Accumulate(const UpdateView& update) {
  pending_.push_back(update);
  weight_ += update.weight;
  ++count_;
}

void Aggregator::Settle() {
  PARLEY_CHECK(settles());
  if (pending_.empty()) return;
  double* const sums = sum();
  for (const Segment& s : segments_) {
    ForBlocks(s, [&](int64_t begin, int64_t end) {
      Fold(s, begin, end, sums + begin);
    });
  }
  pending_.clear();
}

void Aggregator::MergeWith(Aggregator&& other) {
  PARLEY_CHECK(other.elements_ == elements_);
  if (settles()) {
    Settle();
    other.Settle();
    if (other.count_ > 0) {
      double* const mine = sum();
      const double* const theirs = other.sum();
      for (const Segment& s : segments_) {
        if (s.rule == MergeRule::kCopy && count_ > 0) continue;
        for (int64_t i = s.begin; i < s.end; ++i) mine[i] += theirs[i];
      }
    }
  }
  weight_ += other.weight_;
  count_ += other.count_;
  pending_.insert(pending_.end(), other.pending_.begin(), other.pending_.end());
  other.Reset();
}

void Aggregator::Report(
    absl::FunctionRef<void(MergeRule, int64_t, absl::Span<double>)> take) {
  PARLEY_CHECK(count_ > 0);
  const bool whole = settled() || !settles();  // needs the array of all
  double* const sums = whole ? sum() : nullptr;
  for (const Segment& s : segments_) {
    const bool mean = s.rule == MergeRule::kMean;
    const bool combine = mean && !settles();
    if (combine) {
      strategy_->combiner()->Combine(pending_, s.begin, s.end, executor_,
                                     sums + s.begin);
    }
    // One pass over memory: folded, divided, taken and cleared while in the
    // cache.
    ForBlocks(s, [&](int64_t begin, int64_t end) {
      const int64_t n = end - begin;
      double block[kGrain];
      double* const x = whole ? sums + begin : block;
      if (!whole) std::fill(x, x + n, 0.0);
      if (!combine) Fold(s, begin, end, x);
      if (mean && !combine) KernelsFor<double>().divide(n, weight_, x);
      take(s.rule, begin, absl::MakeSpan(x, static_cast<size_t>(n)));
      if (whole) std::fill(x, x + n, 0.0);
    });
  }
  weight_ = 0;
  count_ = 0;
  pending_.clear();
}

void Aggregator::Reset() {
  if (settled()) {
    absl::Span<double> sums = sum_->As<double>();
    std::fill(sums.begin(), sums.end(), 0.0);
  }
  weight_ = 0;
  count_ = 0;
  pending_.clear();
}

}  // namespace parley
