#include "server/strategies/aggregator.h"

#include <algorithm>

#include "common/base/log.h"

namespace parley {
namespace {

// Elements that one thread works on at a time: sum and parameters of them stay
// in the second-level cache.
constexpr int64_t kGrain = 16384;

}  // namespace

Aggregator::Aggregator(const Strategy* strategy, const ParameterSpec& spec,
                       Executor* executor)
    : strategy_(strategy),
      executor_(executor),
      sum_(DType::kFloat64, spec.elements()) {
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

void Aggregator::Accumulate(const UpdateView& update) {
  double* const sum = sum_.As<double>().data();
  for (const Segment& s : segments_) {
    if (s.rule == MergeRule::kCopy) {
      if (count_ == 0) DecodeRange(update, s.begin, s.end, sum + s.begin);
    } else if (!keeps_updates()) {
      ParallelFor(executor_, s.end - s.begin, kGrain,
                  [&](int64_t from, int64_t to) {
                    FoldRange(update, s.begin + from, s.begin + to,
                              update.factor(), sum + s.begin + from);
                  });
    }
  }
  if (keeps_updates()) kept_.push_back(update);
  weight_ += update.weight;
  ++count_;
}

void Aggregator::MergeWith(Aggregator&& other) {
  PARLEY_CHECK(other.sum_.elements() == sum_.elements());
  double* const mine = sum_.As<double>().data();
  const double* const theirs = other.sum_.As<double>().data();
  for (const Segment& s : segments_) {
    if (s.rule == MergeRule::kCopy && count_ > 0) continue;
    for (int64_t i = s.begin; i < s.end; ++i) mine[i] += theirs[i];
  }
  weight_ += other.weight_;
  count_ += other.count_;
  kept_.insert(kept_.end(), other.kept_.begin(), other.kept_.end());
  other.Reset();
}

void Aggregator::Report(
    absl::FunctionRef<void(MergeRule, int64_t, absl::Span<double>)> take) {
  PARLEY_CHECK(count_ > 0);
  double* const sum = sum_.As<double>().data();
  for (const Segment& s : segments_) {
    const bool mean = s.rule == MergeRule::kMean;
    if (mean && keeps_updates()) {
      strategy_->combiner()->Combine(kept_, s.begin, s.end, executor_,
                                     sum + s.begin);
    }
    const bool divide = mean && !keeps_updates();
    // One pass over memory: divided, taken and cleared while in the cache.
    ParallelFor(executor_, s.end - s.begin, kGrain,
                [&](int64_t from, int64_t to) {
                  for (int64_t i = from; i < to; i += kGrain) {
                    double* const x = sum + s.begin + i;
                    const int64_t n = std::min(kGrain, to - i);
                    if (divide) {
                      for (int64_t j = 0; j < n; ++j) x[j] /= weight_;
                    }
                    take(s.rule, s.begin + i,
                         absl::MakeSpan(x, static_cast<size_t>(n)));
                    std::fill(x, x + n, 0.0);
                  }
                });
  }
  weight_ = 0;
  count_ = 0;
  kept_.clear();
}

void Aggregator::Reset() {
  if (count_ > 0) {
    absl::Span<double> sum = sum_.As<double>();
    std::fill(sum.begin(), sum.end(), 0.0);
  }
  weight_ = 0;
  count_ = 0;
  kept_.clear();
}

}  // namespace parley
