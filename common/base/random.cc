#include "common/base/random.h"

#include <xxhash.h>

#include <cmath>

#include "absl/container/flat_hash_map.h"

namespace parley {
namespace {

uint64_t Rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t Hash(absl::string_view text, uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

}  // namespace

Rng::Rng(uint64_t seed, absl::string_view who, int64_t round,
         absl::string_view purpose) {
  uint64_t key = Hash(purpose, Hash(who, seed));
  key = XXH3_64bits_withSeed(&round, sizeof(round), key);
  for (uint64_t& word : state_) {  // SplitMix64, as xoshiro's authors advise
    key += 0x9e3779b97f4a7c15;
    uint64_t z = key;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
}

uint64_t Rng::Next() {
  const uint64_t result = Rotl(state_[0] + state_[3], 23) + state_[0];
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = Rotl(state_[3], 45);
  return result;
}

uint64_t Rng::Below(uint64_t n) {  // Lemire 2019
  unsigned __int128 m = static_cast<unsigned __int128>(Next()) * n;
  if (static_cast<uint64_t>(m) < n) {
    const uint64_t threshold = -n % n;
    while (static_cast<uint64_t>(m) < threshold) {
      m = static_cast<unsigned __int128>(Next()) * n;
    }
  }
  return static_cast<uint64_t>(m >> 64);
}

double Rng::Normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_normal_;
  }
  double x, y, square;
  do {
    x = 2 * Uniform() - 1;
    y = 2 * Uniform() - 1;
    square = x * x + y * y;
  } while (square >= 1 || square == 0);
  const double scale = std::sqrt(-2 * std::log(square) / square);
  spare_normal_ = y * scale;
  has_spare_ = true;
  return x * scale;
}

double Rng::LogGamma(double shape) {
  if (shape < 1) {                   // Gamma(a) = Gamma(a + 1) * U^(1/a)
    const double u = 1 - Uniform();  // (0, 1]
    return LogGamma(shape + 1) + std::log(u) / shape;
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = Normal();
    const double base = 1 + c * x;
    if (base <= 0) continue;
    const double v = base * base * base;
    const double u = 1 - Uniform();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) {
      return std::log(d * v);
    }
  }
}

double Rng::Gamma(double shape) { return std::exp(LogGamma(shape)); }

std::vector<int64_t> Rng::Sample(int64_t n, int64_t count) {
  // Fisher-Yates on a virtual array 0..n-1 of which only the moved entries
  // are kept: O(count) whatever n is.
  absl::flat_hash_map<int64_t, int64_t> moved;
  const auto at = [&](int64_t i) {
    const auto it = moved.find(i);
    return it == moved.end() ? i : it->second;
  };
  std::vector<int64_t> drawn;
  drawn.reserve(count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t j = i + static_cast<int64_t>(Below(n - i));
    drawn.push_back(at(j));
    moved[j] = at(i);
  }
  return drawn;
}

}  // namespace parley
