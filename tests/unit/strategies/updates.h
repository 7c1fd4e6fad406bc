// Updates of known numbers, in each encoding.
#ifndef PARLEY_TESTS_UNIT_STRATEGIES_UPDATES_H_
#define PARLEY_TESTS_UNIT_STRATEGIES_UPDATES_H_

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "common/base/random.h"
#include "parley/v1/coordinator.pb.h"
#include "server/strategies/aggregator.h"

namespace parley {

// One client's update: owns the bytes that a view points to.
class TestUpdate {
 public:
  TestUpdate(std::vector<double> values, double weight,
             v1::Encoding encoding = v1::ENCODING_FLOAT64,
             bool already_weighted = false)
      : encoding_(encoding), values_(std::move(values)) {
    header_.set_weight(weight);
    header_.set_already_weighted(already_weighted);
    for (double value : values_) floats_.push_back(static_cast<float>(value));
    for (float value : floats_) {
      uint32_t bits;
      std::memcpy(&bits, &value, sizeof(bits));
      bfloats_.push_back(static_cast<uint16_t>(bits >> 16));
    }
  }

  UpdateView View(const Aggregator& aggregator) const {
    const void* data = encoding_ == v1::ENCODING_FLOAT64
                           ? static_cast<const void*>(values_.data())
                       : encoding_ == v1::ENCODING_FLOAT32
                           ? static_cast<const void*>(floats_.data())
                           : static_cast<const void*>(bfloats_.data());
    return aggregator.View(header_, encoding_, static_cast<const char*>(data));
  }
  double weight() const { return header_.weight(); }
  double operator[](size_t i) const { return values_[i]; }

 private:
  v1::Encoding encoding_;
  std::vector<double> values_;
  std::vector<float> floats_;
  std::vector<uint16_t> bfloats_;
  v1::UpdateReady header_;
};

// Multiples of 1/64 in [-1, 1): exact in every encoding.
inline std::vector<double> RandomValues(uint64_t seed, int64_t n) {
  Rng rng(seed, "values");
  std::vector<double> values(n);
  for (double& value : values) {
    value = (static_cast<double>(rng.Below(128)) - 64) / 64;
  }
  return values;
}

// What Report hands out, as one array.
inline std::vector<double> Collect(Aggregator& aggregator, int64_t n) {
  std::vector<double> out(n);
  aggregator.Report([&](MergeRule, int64_t begin, absl::Span<double> change) {
    std::copy(change.begin(), change.end(), out.begin() + begin);
  });
  return out;
}

inline ParameterSpec OneTensor(int64_t n, DType dtype = DType::kFloat32) {
  return *ParameterSpec::Create(dtype, {{"w", {n}, MergeRule::kMean}});
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_STRATEGIES_UPDATES_H_
