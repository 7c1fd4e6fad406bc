#include "common/model/sketch.h"

namespace parley {
namespace {

// SplitMix64 (Steele, Lea and Flood 2014): the i-th number of its stream.
uint64_t Draw(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

template <typename T>
void Add(absl::Span<const T> x, uint64_t seed, std::vector<double>* out) {
  const auto numbers = static_cast<uint64_t>(out->size());
  for (size_t i = 0; i < x.size(); ++i) {
    const uint64_t draw = Draw(seed, i);
    const uint64_t place = ((draw >> 32) * numbers) >> 32;
    (*out)[place] += (draw & 1) != 0 ? static_cast<double>(x[i])
                                     : -static_cast<double>(x[i]);
  }
}

}  // namespace

std::vector<double> SketchOf(const ParameterVector& x, int64_t elements,
                             uint64_t seed, int numbers) {
  std::vector<double> sketch(numbers);
  const auto count = static_cast<size_t>(elements);
  if (x.dtype() == DType::kFloat32) {
    Add(x.As<float>().subspan(0, count), seed, &sketch);
  } else {
    Add(x.As<double>().subspan(0, count), seed, &sketch);
  }
  return sketch;
}

}  // namespace parley
