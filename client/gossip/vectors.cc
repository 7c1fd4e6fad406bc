#include "client/gossip/vectors.h"

#include <algorithm>
#include <cstring>

namespace parley {
namespace {

template <typename F>
auto ForDType(DType dtype, F f) {
  return dtype == DType::kFloat32 ? f(float{}) : f(double{});
}

}  // namespace

bool HeldAlone(const std::shared_ptr<ParameterVector>& numbers) {
  if (numbers.use_count() != 1) return false;
  // The count alone orders nothing between threads; to give a reference back
  // does, after all those that were given back before.
  std::shared_ptr<ParameterVector>(numbers).reset();
  return true;
}

void SetZero(ParameterVector* y) {
  if (y->bytes() > 0) std::memset(y->data(), 0, y->bytes());
}

void CopyInto(const ParameterVector& x, ParameterVector* y) {
  const int64_t bytes = std::min(x.bytes(), y->bytes());
  if (bytes > 0) std::memcpy(y->data(), x.data(), bytes);
}

void AddScaled(double w, const ParameterVector& x, ParameterVector* y) {
  ForDType(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    KernelsFor<T>().axpy(x.elements(), static_cast<T>(w), x.As<T>().data(),
                         y->As<T>().data());
  });
}

void AddDifference(double w, const ParameterVector& a, const ParameterVector& b,
                   ParameterVector* y) {
  ForDType(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    KernelsFor<T>().add_difference(a.elements(), static_cast<T>(w),
                                   a.As<T>().data(), b.As<T>().data(),
                                   y->As<T>().data());
  });
}

void ScaleInto(double w, const ParameterVector& x, ParameterVector* y) {
  if (w == 1) return CopyInto(x, y);
  ForDType(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T factor = static_cast<T>(w);
    const absl::Span<const T> from = x.As<T>();
    const absl::Span<T> to = y->As<T>();
    for (size_t i = 0; i < to.size(); ++i) to[i] = factor * from[i];
  });
}

void AddUp(const ParameterVector& a, const ParameterVector& b,
           const ParameterVector& c, ParameterVector* y) {
  ForDType(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const absl::Span<const T> p = a.As<T>(), q = b.As<T>(), r = c.As<T>();
    const absl::Span<T> to = y->As<T>();
    for (size_t i = 0; i < to.size(); ++i) to[i] = (p[i] + q[i]) + r[i];
  });
}

void ScaleBy(double w, ParameterVector* y) {
  ForDType(y->dtype(), [&](auto zero) {
    using T = decltype(zero);
    KernelsFor<T>().scale(y->elements(), static_cast<T>(w), y->As<T>().data());
  });
}

void AddRange(const ParameterVector& x, int64_t begin, int64_t end,
              ParameterVector* y, int64_t to_begin) {
  ForDType(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    KernelsFor<T>().axpy(end - begin, T{1}, x.As<T>().data() + begin,
                         y->As<T>().data() + to_begin);
  });
}

void CopyRange(const ParameterVector& x, int64_t begin, int64_t end,
               ParameterVector* y, int64_t to_begin) {
  const int64_t size = static_cast<int64_t>(SizeOf(x.dtype()));
  if (end <= begin) return;
  std::memcpy(y->data() + to_begin * size, x.data() + begin * size,
              (end - begin) * size);
}

void SubtractRounded(double w, const ParameterVector& x, ParameterVector* y) {
  ForDType(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T factor = static_cast<T>(w);
    const absl::Span<const T> from = x.As<T>();
    const absl::Span<T> to = y->As<T>();
    for (size_t i = 0; i < to.size(); ++i) to[i] -= factor * from[i];
  });
}

Comparison Compare(double v, const ParameterVector& a, double w,
                   const ParameterVector& b) {
  return ForDType(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    return KernelsFor<T>().compare(a.elements(), v, a.As<T>().data(), w,
                                   b.As<T>().data());
  });
}

double SumOf(const ParameterVector& x) {
  return ForDType(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    return KernelsFor<T>().sum(x.elements(), x.As<T>().data());
  });
}

}  // namespace parley
