#include "tools/sim/consensus_meter.h"

#include <algorithm>

#include "absl/types/span.h"

namespace parley {
namespace {

template <typename T>
void AddAs(double scale, absl::Span<const T> v, absl::Span<const T> w,
           std::vector<double>* first, std::vector<double>* sum,
           double* squares) {
  const bool begins = first->empty();
  if (begins) {
    first->resize(v.size());
    sum->assign(v.size(), 0);
  }
  double total = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    const double x = scale * (static_cast<double>(v[i]) +
                              (w.empty() ? 0 : static_cast<double>(w[i])));
    if (begins) (*first)[i] = x;
    const double d = x - (*first)[i];
    (*sum)[i] += d;
    total += d * d;
  }
  *squares += total;
}

}  // namespace

void ConsensusMeter::Add(int64_t elements, double scale,
                         const ParameterVector& v, const ParameterVector* w) {
  const auto add = [&](auto zero) {
    using T = decltype(zero);
    AddAs<T>(scale, v.As<T>().first(elements),
             w == nullptr ? absl::Span<const T>() : w->As<T>().first(elements),
             &first_, &sum_, &squares_);
  };
  v.dtype() == DType::kFloat32 ? add(float{}) : add(double{});
  ++count_;
}

double ConsensusMeter::trace() const {
  if (count_ == 0) return 0;
  const double m = static_cast<double>(count_);
  double shift = 0;
  for (const double s : sum_) shift += s / m * (s / m);
  return std::max(0.0, squares_ / m - shift);
}

ParameterVector ConsensusMeter::Mean(DType dtype) const {
  const int64_t n = static_cast<int64_t>(first_.size());
  ParameterVector mean(dtype, n);
  const auto fill = [&](auto zero) {
    using T = decltype(zero);
    const absl::Span<T> out = mean.As<T>();
    for (int64_t i = 0; i < n; ++i) {
      out[i] =
          static_cast<T>(first_[i] + sum_[i] / static_cast<double>(count_));
    }
  };
  dtype == DType::kFloat32 ? fill(float{}) : fill(double{});
  return mean;
}

}  // namespace parley
