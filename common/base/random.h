// Random streams that depend on nothing but their key, so that a draw does not
// depend on what was scheduled when.
#ifndef PARLEY_COMMON_BASE_RANDOM_H_
#define PARLEY_COMMON_BASE_RANDOM_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace parley {

// xoshiro256++ (Blackman and Vigna 2019), seeded through a hash of the key.
// Not thread-safe, cheap to copy. The distributions are our own, so that a
// stream is the same with every standard library.
class Rng {
 public:
  // `who` names a client or is empty; `purpose` tells streams of one client
  // and round apart ("batches", "cohort", ...).
  Rng(uint64_t seed, absl::string_view who, int64_t round,
      absl::string_view purpose);
  Rng(uint64_t seed, absl::string_view purpose) : Rng(seed, "", 0, purpose) {}

  uint64_t Next();
  // Uniform in [0, 1), 53 bits.
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  // Uniform in [0, n), without bias. n > 0.
  uint64_t Below(uint64_t n);
  // Standard normal (Marsaglia's polar method).
  double Normal();
  // Gamma(shape, 1), shape > 0 (Marsaglia and Tsang 2000).
  double Gamma(double shape);
  // The logarithm of a Gamma(shape, 1) draw; stays finite for tiny shapes.
  double LogGamma(double shape);

  template <typename T>
  void Shuffle(absl::Span<T> items) {
    for (size_t i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[Below(i)]);
    }
  }
  // `count` distinct numbers of [0, n) in the order drawn. count <= n.
  std::vector<int64_t> Sample(int64_t n, int64_t count);

 private:
  uint64_t state_[4];
  double spare_normal_ = 0;
  bool has_spare_ = false;
};

}  // namespace parley

#endif  // PARLEY_COMMON_BASE_RANDOM_H_
