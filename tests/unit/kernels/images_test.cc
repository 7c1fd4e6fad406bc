// Windows and pooling against their definitions.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/unit/kernels/isa.h"

namespace parley {
namespace {

template <typename T>
std::vector<T> Draw(int64_t n, Rng& rng) {
  std::vector<T> x(n);
  for (T& v : x) v = static_cast<T>(rng.Normal());
  return x;
}

// Runs shorter and longer than what is copied at once; fewer windows than there
// is room for.
constexpr PatchShape kPatchShapes[] = {
    {.width = 3, .channels = 1, .kernel = 3, .rows = 2, .cols = 1},
    {.width = 28, .channels = 1, .kernel = 3, .rows = 5, .cols = 26},
    {.width = 7, .channels = 3, .kernel = 2, .rows = 4, .cols = 5},
    {.width = 5, .channels = 16, .kernel = 1, .rows = 3, .cols = 5},
    {.width = 6, .channels = 21, .kernel = 4, .rows = 1, .cols = 2},
};

template <typename T>
void CheckPatches(const Kernels<T>& k, Rng& rng) {
  for (const PatchShape& s : kPatchShapes) {
    const int64_t height = s.rows + s.kernel - 1;
    const int64_t window = s.kernel * s.kernel * s.channels;
    const int64_t pixels = height * s.width * s.channels;
    const std::vector<T> image = Draw<T>(pixels + kPatchSlack, rng);
    std::vector<T> patches(s.rows * s.cols * window + kPatchSlack);
    k.patches(s, image.data(), patches.data());
    const std::vector<T> moved = Draw<T>(s.rows * s.cols * window, rng);
    const std::vector<T> before = Draw<T>(pixels, rng);
    std::vector<T> sums = before, want = before;
    k.add_patches(s, moved.data(), sums.data());
    int64_t at = 0;
    for (int64_t y = 0; y < s.rows; ++y) {
      for (int64_t x = 0; x < s.cols; ++x) {
        for (int64_t i = 0; i < s.kernel; ++i) {
          for (int64_t j = 0; j < s.kernel; ++j) {
            for (int64_t c = 0; c < s.channels; ++c, ++at) {
              const int64_t pixel =
                  ((y + i) * s.width + x + j) * s.channels + c;
              ASSERT_EQ(patches[at], image[pixel]) << at;
              want[pixel] += moved[at];
            }
          }
        }
      }
    }
    EXPECT_EQ(sums, want);  // in the same order
  }
}

TEST_P(IsaTest, PatchesAreTheWindows) {
  CheckPatches(K<float>(), rng_);
  CheckPatches(K<double>(), rng_);
}

// The last: lines of the output with something between them.
constexpr PoolShape kPoolShapes[] = {
    {.rows = 2, .cols = 3, .channels = 1, .pool = 2, .line = 3},
    {.rows = 3, .cols = 1, .channels = 16, .pool = 1, .line = 16},
    {.rows = 1, .cols = 2, .channels = 37, .pool = 3, .line = 74},
    {.rows = 2, .cols = 2, .channels = 9, .pool = 2, .line = 40},
};

template <typename T>
void CheckPooling(const Kernels<T>& k, Rng& rng) {
  for (const PoolShape& s : kPoolShapes) {
    const int64_t width = s.cols * s.pool;
    const int64_t pixels = s.rows * s.pool * width * s.channels;
    std::vector<T> in = Draw<T>(pixels, rng);
    for (T& x : in) x = std::round(x);  // so that there are equals
    const std::vector<T> along = Draw<T>(pixels, rng);
    const std::vector<T> bias = Draw<T>(s.channels, rng);
    const std::vector<T> bias_along = Draw<T>(s.channels, rng);
    const std::vector<T> gradient = Draw<T>(s.rows * s.line, rng);
    const T untouched = 77;
    std::vector<T> out(s.rows * s.line, untouched), out_along = out;
    std::vector<T> where(s.rows * s.cols * s.channels);
    std::vector<T> in_gradient(pixels, untouched);
    std::vector<T> bias_gradient(s.channels, T{1});
    k.max_pool(s, in.data(), bias.data(), out.data(), where.data());
    k.max_pool_backward(s, out.data(), where.data(), gradient.data(),
                        bias_gradient.data(), in_gradient.data());
    k.max_pool_along(s, out.data(), where.data(), along.data(),
                     bias_along.data(), out_along.data());

    std::vector<T> want(s.rows * s.line, untouched), want_along = want;
    std::vector<T> want_in(pixels), want_bias(s.channels, T{1});
    for (int64_t y = 0; y < s.rows; ++y) {
      for (int64_t x = 0; x < s.cols; ++x) {
        for (int64_t c = 0; c < s.channels; ++c) {
          int64_t best = -1;
          for (int64_t i = 0; i < s.pool; ++i) {
            for (int64_t j = 0; j < s.pool; ++j) {
              const int64_t at =
                  ((y * s.pool + i) * width + x * s.pool + j) * s.channels + c;
              if (best < 0 || in[at] > in[best]) best = at;
            }
          }
          const int64_t at = y * s.line + x * s.channels + c;
          const bool on = in[best] + bias[c] > 0;
          want[at] = on ? in[best] + bias[c] : 0;
          want_along[at] = on ? along[best] + bias_along[c] : 0;
          if (!on) continue;
          want_in[best] = gradient[at];
          want_bias[c] += gradient[at];
        }
      }
    }
    EXPECT_EQ(out, want);
    EXPECT_EQ(out_along, want_along);
    EXPECT_EQ(in_gradient, want_in);
    EXPECT_EQ(bias_gradient, want_bias);
  }
}

TEST_P(IsaTest, PoolingTakesTheFirstLargest) {
  CheckPooling(K<float>(), rng_);
  CheckPooling(K<double>(), rng_);
}

// A diverged model must not look healthy, wherever its NaN is.
template <typename T>
void CheckNaN(const Kernels<T>& k) {
  for (int64_t channels : {1, 16}) {
    for (int64_t at = 0; at < 4; ++at) {
      std::vector<T> in(4 * channels, T{1}), bias(channels), where(channels);
      std::vector<T> out(channels);
      in[at * channels] = std::numeric_limits<T>::quiet_NaN();
      k.max_pool({.rows = 1,
                  .cols = 1,
                  .channels = channels,
                  .pool = 2,
                  .line = channels},
                 in.data(), bias.data(), out.data(), where.data());
      EXPECT_TRUE(std::isnan(out[0])) << at;
      EXPECT_EQ(out[channels - 1] == 1, channels > 1);
    }
  }
}

TEST_P(IsaTest, PoolingKeepsNaN) {
  CheckNaN(K<float>());
  CheckNaN(K<double>());
}

}  // namespace
}  // namespace parley
