// Products, sums, aggregation and bfloat16 against plain loops.
#include "common/kernels/kernels.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "tests/unit/kernels/isa.h"

namespace parley {
namespace {

INSTANTIATE_TEST_SUITE_P(Isa, IsaTest, testing::ValuesIn(SupportedTables()),
                         IsaName);

template <typename T>
constexpr double kEpsilon = std::numeric_limits<T>::epsilon();

// Copies `x` to an address `shift` elements past a 64-byte boundary.
template <typename T>
class Shifted {
 public:
  Shifted(const std::vector<T>& x, size_t shift)
      : memory_(x.size() + shift + 64 / sizeof(T)), size_(x.size()) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    data_ = memory_.data() + (64 - address % 64) % 64 / sizeof(T) + shift;
    std::memcpy(data_, x.data(), size_ * sizeof(T));
  }
  T* data() { return data_; }
  std::vector<T> values() const { return {data_, data_ + size_}; }

 private:
  std::vector<T> memory_;
  size_t size_;
  T* data_;
};

struct Shape {
  int64_t m, n, k;
};
constexpr Shape kShapes[] = {
    {1, 1, 1},  {2, 3, 4},    {1, 7, 33},   {9, 1, 40},    {5, 6, 7},
    {17, 2, 3}, {32, 10, 64}, {33, 65, 29}, {70, 41, 300}, {3, 2, 1000}};

template <typename T>
void CheckGemm(const Kernels<T>& k, Rng& rng) {
  for (const Shape& s : kShapes) {
    for (int variant = 0; variant < 12; ++variant) {
      const bool trans_a = variant & 1, trans_b = variant & 2;
      const T alpha = static_cast<T>(-1.5);
      const T beta = static_cast<T>(variant / 4 * 0.5);  // 0, 0.5, 1
      std::vector<T> a(s.m * s.k), b(s.k * s.n), c(s.m * s.n);
      for (T& v : a) v = static_cast<T>(rng.Normal());
      for (T& v : b) v = static_cast<T>(rng.Normal());
      for (T& v : c) {
        v = beta == 0 ? std::numeric_limits<T>::quiet_NaN()
                      : static_cast<T>(rng.Normal());
      }
      std::vector<double> want(s.m * s.n), size(s.m * s.n);
      for (int64_t i = 0; i < s.m; ++i) {
        for (int64_t j = 0; j < s.n; ++j) {
          double sum = 0, magnitude = 0;
          for (int64_t p = 0; p < s.k; ++p) {
            const double term = double{a[trans_a ? p * s.m + i : i * s.k + p]} *
                                double{b[trans_b ? j * s.k + p : p * s.n + j]};
            sum += term;
            magnitude += std::abs(term);
          }
          const int64_t at = i * s.n + j;
          want[at] = alpha * sum + (beta == 0 ? 0 : double{beta} * c[at]);
          size[at] = 1 + std::abs(alpha) * magnitude;
        }
      }
      k.gemm(trans_a, trans_b, s.m, s.n, s.k, alpha, a.data(), b.data(), beta,
             c.data());
      for (size_t i = 0; i < c.size(); ++i) {
        ASSERT_NEAR(c[i], want[i], 8 * kEpsilon<T> * size[i])
            << s.m << "x" << s.n << "x" << s.k << " variant " << variant;
      }
    }
  }
}

TEST_P(IsaTest, GemmIsTheTripleLoop) {
  CheckGemm<float>(K<float>(), rng_);
  CheckGemm<double>(K<double>(), rng_);
}

template <typename T>
void CheckGemv(const Kernels<T>& k, Rng& rng) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 1},
                                   {1, 100},
                                   {100, 1},
                                   {13, 29},
                                   {200, 131}}) {
    for (bool trans : {false, true}) {
      const int64_t in = trans ? rows : cols, out = trans ? cols : rows;
      std::vector<T> a(rows * cols), x(in), y(out);
      for (T& v : a) v = static_cast<T>(rng.Normal());
      for (T& v : x) v = static_cast<T>(rng.Normal());
      for (T& v : y) v = static_cast<T>(rng.Normal());
      std::vector<double> want(out);
      for (int64_t i = 0; i < out; ++i) {
        want[i] = 0.25 * y[i];
        for (int64_t j = 0; j < in; ++j) {
          want[i] +=
              2.0 * double{a[trans ? j * cols + i : i * cols + j]} * x[j];
        }
      }
      k.gemv(trans, rows, cols, T{2}, a.data(), x.data(), static_cast<T>(0.25),
             y.data());
      for (int64_t i = 0; i < out; ++i) {
        ASSERT_NEAR(y[i], want[i], 16 * kEpsilon<T> * (1 + in));
      }
    }
  }
}

TEST_P(IsaTest, GemvIsTheDoubleLoop) {
  CheckGemv<float>(K<float>(), rng_);
  CheckGemv<double>(K<double>(), rng_);
}

// What malloc returns must not show in the result.
template <typename T>
void CheckAlignment(const Kernels<T>& k, Rng& rng) {
  for (const Shape& s : kShapes) {
    std::vector<T> a(s.m * s.k), b(s.k * s.n), c(s.m * s.n);
    for (T& v : a) v = static_cast<T>(rng.Normal());
    for (T& v : b) v = static_cast<T>(rng.Normal());
    for (T& v : c) v = static_cast<T>(rng.Normal());
    std::vector<std::vector<T>> results[5];
    for (size_t shift = 0; shift < 9; ++shift) {
      Shifted<T> sa(a, shift), sb(b, shift * 5 % 7), sc(c, shift * 3 % 8);
      for (int trans = 0; trans < 4; ++trans) {
        Shifted<T> out(c, shift * 3 % 8);
        k.gemm(trans & 1, trans & 2, s.m, s.n, s.k, T{1}, sa.data(), sb.data(),
               T{1}, out.data());
        results[trans].push_back(out.values());
      }
      Shifted<T> y(std::vector<T>(s.m + s.k), shift);
      k.gemv(false, s.m, s.k, T{1}, sa.data(), sb.data(), T{0}, y.data());
      k.gemv(true, s.m, s.k, T{1}, sa.data(), y.data(), T{0}, y.data() + s.m);
      y.data()[0] += k.dot(s.k, sa.data(), sb.data());
      results[4].push_back(y.values());
    }
    for (const auto& list : results) {
      for (const auto& result : list) {
        ASSERT_EQ(std::memcmp(result.data(), list[0].data(),
                              result.size() * sizeof(T)),
                  0)
            << s.m << "x" << s.n << "x" << s.k;
      }
    }
  }
}

TEST_P(IsaTest, ProductsDoNotDependOnAlignment) {
  CheckAlignment<float>(K<float>(), rng_);
  CheckAlignment<double>(K<double>(), rng_);
}

template <typename T>
void CheckVectors(const Kernels<T>& k, Rng& rng) {
  for (int64_t n : {0, 1, 3, 8, 31, 64, 257, 1000}) {
    std::vector<T> x(n), y(n);
    for (T& v : x) v = static_cast<T>(rng.Normal());
    for (T& v : y) v = static_cast<T>(rng.Normal());
    double dot = 0;
    std::vector<double> axpy(n);
    for (int64_t i = 0; i < n; ++i) {
      dot += double{x[i]} * y[i];
      axpy[i] = double{y[i]} + double{T(0.3)} * x[i];
    }
    EXPECT_NEAR(k.dot(n, x.data(), y.data()), dot, 4 * kEpsilon<T> * (1 + n));
    k.axpy(n, T(0.3), x.data(), y.data());
    for (int64_t i = 0; i < n; ++i) {
      ASSERT_NEAR(y[i], axpy[i], 4 * kEpsilon<T> * (1 + std::abs(axpy[i])));
    }
    std::vector<T> ab(n), ba(n);
    k.add_difference(n, T(0.3), x.data(), y.data(), ab.data());
    k.add_difference(n, T(0.3), y.data(), x.data(), ba.data());
    for (int64_t i = 0; i < n; ++i) {
      ASSERT_NEAR(ab[i], T(0.3) * (double{x[i]} - y[i]), 4 * kEpsilon<T> * 10);
      ASSERT_EQ(ab[i], -ba[i]);
    }
    k.scale(n, T(-3), x.data());
    k.axpy(n, T(1), x.data(), y.data());
    for (int64_t i = 0; i < n; ++i) {
      ASSERT_NEAR(y[i], axpy[i] + x[i], 8 * kEpsilon<T> * 10);
    }
  }
  // [[1, 2, 3], [4, 5, 6]] + bias, then the sums of the columns.
  std::vector<T> x = {1, 2, 3, 4, 5, 6}, bias = {10, 20, 30}, sums = {1, 1, 1};
  k.add_bias(2, 3, bias.data(), x.data());
  EXPECT_EQ(x, (std::vector<T>{11, 22, 33, 14, 25, 36}));
  k.column_sums(2, 3, x.data(), sums.data());
  EXPECT_EQ(sums, (std::vector<T>{26, 48, 70}));
}

TEST_P(IsaTest, VectorsAreThePlainLoops) {
  CheckVectors<float>(K<float>(), rng_);
  CheckVectors<double>(K<double>(), rng_);
}

// The coordinator folds by ranges: how it cuts them must not show.
template <typename T>
void CheckRanges(const Kernels<T>& k, Rng& rng) {
  constexpr int64_t kN = 333;
  std::vector<T> x(kN);
  std::vector<double> sum(kN);
  for (T& v : x) v = static_cast<T>(rng.Normal());
  for (double& v : sum) v = rng.Normal();
  std::vector<double> whole = sum;
  k.fold(kN, 0.1, x.data(), whole.data());
  std::vector<T> moved = x;
  k.apply(kN, 0.7, whole.data(), moved.data());
  for (int64_t i = 0; i < kN; ++i) {
    ASSERT_NEAR(whole[i], sum[i] + 0.1 * x[i], 1e-15);
    ASSERT_NEAR(moved[i], x[i] + 0.7 * whole[i], 4 * kEpsilon<T>);
  }
  for (int64_t cut = 0; cut <= kN; ++cut) {
    std::vector<double> parts = sum;
    k.fold(cut, 0.1, x.data(), parts.data());
    k.fold(kN - cut, 0.1, x.data() + cut, parts.data() + cut);
    ASSERT_EQ(std::memcmp(parts.data(), whole.data(), kN * 8), 0) << cut;
    std::vector<T> parts_moved = x;
    k.apply(cut, 0.7, whole.data(), parts_moved.data());
    k.apply(kN - cut, 0.7, whole.data() + cut, parts_moved.data() + cut);
    ASSERT_EQ(parts_moved, moved) << cut;
  }
}

TEST_P(IsaTest, FoldAndApplyDoNotDependOnRanges) {
  CheckRanges<float>(K<float>(), rng_);
  CheckRanges<double>(K<double>(), rng_);
}

// Of all lengths, at any address: the same to the last bit.
template <typename T>
void CheckSums(const Kernels<T>& k, Rng& rng) {
  for (const int64_t n : {0, 1, 7, 8, 9, 16, 31, 100, 5000}) {
    std::vector<T> a(n), b(n);
    for (T& v : a) v = static_cast<T>(1e3 + rng.Normal());
    for (T& v : b) v = static_cast<T>(1e3 + rng.Normal());
    long double sum_a = 0, sum_b = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) {
      sum_a += a[i];
      sum_b += b[i];
      const long double d = 0.5L * a[i] - 0.25L * b[i];
      squares += d * d;
    }
    const Comparison compared = k.compare(n, 0.5, a.data(), 0.25, b.data());
    EXPECT_NEAR(compared.sum_a, sum_a, 1e-14 * sum_a) << n;
    EXPECT_NEAR(compared.sum_b, sum_b, 1e-14 * sum_b) << n;
    EXPECT_NEAR(compared.squared_distance, squares, 1e-14 * squares) << n;
    const double sum = k.sum(n, a.data());
    EXPECT_NEAR(sum, sum_a, 1e-14 * sum_a) << n;
    for (size_t shift = 1; shift < 16; ++shift) {
      Shifted<T> x(a, shift), y(b, 16 - shift);
      EXPECT_EQ(k.sum(n, x.data()), sum);
      const Comparison again = k.compare(n, 0.5, x.data(), 0.25, y.data());
      EXPECT_EQ(std::memcmp(&again, &compared, sizeof(again)), 0);
    }
    std::vector<T> x(n), y(n), plain(n);
    for (T& v : x) v = static_cast<T>(rng.Normal());
    for (const T* from : std::initializer_list<const T*>{x.data(), nullptr}) {
      for (const bool difference : {false, true}) {
        const auto mix = difference ? k.mix_difference : k.mix;
        const Comparison mixed = mix(n, 0.5, a.data(), 0.25, b.data(),
                                     static_cast<T>(0.3), from, y.data());
        EXPECT_EQ(std::memcmp(&mixed, &compared, sizeof(mixed)), 0);
        plain = from == nullptr ? std::vector<T>(n) : x;
        difference ? k.add_difference(n, static_cast<T>(0.3), a.data(),
                                      b.data(), plain.data())
                   : k.axpy(n, static_cast<T>(0.3), a.data(), plain.data());
        EXPECT_EQ(y, plain) << n;
      }
    }
    // What one end of an edge took in, the other one gave.
    const Comparison turned = k.compare(n, 0.25, b.data(), 0.5, a.data());
    EXPECT_EQ(turned.sum_a - turned.sum_b, compared.sum_b - compared.sum_a);
  }
}

TEST_P(IsaTest, SumsInDoubleDoNotDependOnAlignment) {
  CheckSums<float>(K<float>(), rng_);
  CheckSums<double>(K<double>(), rng_);
}

template <typename T>
void CheckFinite(const Kernels<T>& k) {
  const T bad[] = {std::numeric_limits<T>::infinity(),
                   -std::numeric_limits<T>::infinity(),
                   std::numeric_limits<T>::quiet_NaN(),
                   std::numeric_limits<T>::signaling_NaN()};
  std::vector<T> x(10000, std::numeric_limits<T>::max());
  x[5] = std::numeric_limits<T>::denorm_min();
  x[6] = std::numeric_limits<T>::lowest();
  EXPECT_TRUE(k.all_finite(x.size(), x.data()));
  EXPECT_TRUE(k.all_finite(0, nullptr));
  for (size_t at : {0, 1, 4095, 4096, 9998, 9999}) {
    for (T v : bad) {
      std::vector<T> y = x;
      std::memcpy(&y[at], &v, sizeof v);
      EXPECT_FALSE(k.all_finite(y.size(), y.data())) << at << " " << v;
    }
  }
}

TEST_P(IsaTest, AllFiniteFindsEveryOther) {
  CheckFinite<float>(K<float>());
  CheckFinite<double>(K<double>());
}

TEST_P(IsaTest, DivideIsDivision) {
  std::vector<double> x(100);
  for (double& v : x) v = rng_.Normal();
  std::vector<double> y = x;
  K<double>().divide(100, 115.0, y.data());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(y[i], x[i] / 115.0);
}

TEST_P(IsaTest, StreamCopyCopiesAllAndNoMore) {
  std::string from(400, '\0');
  for (size_t i = 0; i < from.size(); ++i)
    from[i] = static_cast<char>(i * 7 + 1);
  for (size_t shift : {0, 1, 31, 63}) {
    for (size_t bytes : {0, 1, 15, 64, 65, 127, 128, 300}) {
      std::string to(400, 'x'), want = to;
      want.replace(shift, bytes, from, 3, bytes);
      GetParam()->stream_copy(bytes, from.data() + 3, to.data() + shift);
      EXPECT_EQ(to, want) << shift << " " << bytes;
    }
  }
}

float FromBfloat16(uint16_t x) {
  const uint32_t bits = uint32_t{x} << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

// The nearest bfloat16 by search among the neighbours; ties to even.
uint16_t NearestBfloat16(double x) {
  if (std::isnan(x)) return 0x7fc0;
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const double magnitude = std::abs(x);
  uint16_t low = 0, high = 0x7f80;  // bits order as magnitudes do
  const auto value = [](uint16_t bits) {
    return bits == 0x7f80 ? 0x1p128 : double{FromBfloat16(bits)};
  };
  while (high - low > 1) {
    const uint16_t middle = (low + high) / 2;
    (value(middle) <= magnitude ? low : high) = middle;
  }
  const double below = magnitude - value(low), above = value(high) - magnitude;
  const bool up = above < below || (above == below && low % 2 == 1);
  return sign | (up ? high : low);
}

TEST_P(IsaTest, Bfloat16RoundsToNearestEven) {
  const Bfloat16Kernels& k = GetParam()->bfloat16;
  std::vector<double> xs = {0.0,
                            -0.0,
                            1.0,
                            1e-45,
                            -1e-40,
                            3.4e38,
                            -3.4e38,
                            3.39e38,
                            3.3962e38,
                            1e39,
                            INFINITY,
                            -INFINITY,
                            0x1.01p0,
                            0x1.03p0,
                            0x1.01p0 + 0x1p-50,
                            0x1.03p0 - 0x1p-50,
                            0x1.017fffp0,
                            1e-50,
                            5e-324};
  for (int i = 0; i < 20000; ++i) {
    const double v = rng_.Normal() * std::exp2(rng_.Uniform() * 280 - 140);
    xs.push_back(v);
    // Near a tie.
    const float tie = FromBfloat16(NearestBfloat16(v));
    xs.push_back(tie * (1 + 0x1p-8));
    xs.push_back(tie * (1 + 0x1p-8) * (1 + 0x1p-52));
    xs.push_back(tie * (1 + 0x1p-8) * (1 - 0x1p-53));
  }
  std::vector<uint16_t> out(xs.size());
  k.from_double(xs.size(), xs.data(), out.data());
  std::vector<float> floats(xs.begin(), xs.end());
  std::vector<uint16_t> from_float(xs.size());
  k.from_float(xs.size(), floats.data(), from_float.data());
  for (size_t i = 0; i < xs.size(); ++i) {
    ASSERT_EQ(out[i], NearestBfloat16(xs[i])) << std::hexfloat << xs[i];
    ASSERT_EQ(from_float[i], NearestBfloat16(floats[i])) << floats[i];
  }
}

TEST_P(IsaTest, Bfloat16KeepsNaN) {
  const Bfloat16Kernels& k = GetParam()->bfloat16;
  for (uint32_t bits : {0x7f800001u, 0xff800001u, 0x7fffffffu, 0xffffffffu}) {
    std::vector<float> x(40, 1.0f);
    std::memcpy(&x[17], &bits, 4);
    const std::vector<double> d(x.begin(), x.end());
    std::vector<uint16_t> out(40), out_double(40);
    k.from_float(40, x.data(), out.data());
    k.from_double(40, d.data(), out_double.data());
    EXPECT_TRUE(std::isnan(FromBfloat16(out[17]))) << bits;
    EXPECT_TRUE(std::isnan(FromBfloat16(out_double[17]))) << bits;
    EXPECT_FALSE(k.all_finite(40, out.data()));
    EXPECT_TRUE(k.all_finite(17, out.data()));
  }
}

TEST_P(IsaTest, Bfloat16ReadsBackEveryValue) {
  const Bfloat16Kernels& k = GetParam()->bfloat16;
  std::vector<uint16_t> all;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7f80) != 0x7f80) all.push_back(bits);
  }
  const int64_t n = all.size();
  std::vector<float> f(n);
  std::vector<double> d(n), sum(n, 1.0), parts(n, 1.0);
  k.to_float(n, all.data(), f.data());
  k.to_double(n, all.data(), d.data());
  k.fold(n, 0.3, all.data(), sum.data());
  k.fold(11, 0.3, all.data(), parts.data());
  k.fold(n - 11, 0.3, all.data() + 11, parts.data() + 11);
  for (int64_t i = 0; i < n; ++i) {
    ASSERT_EQ(f[i], FromBfloat16(all[i]));
    ASSERT_EQ(d[i], double{f[i]});
    const double want = 1.0 + 0.3 * d[i];
    ASSERT_NEAR(sum[i], want, 1e-15 * std::abs(want) + 1e-15);
    ASSERT_EQ(sum[i], parts[i]);
  }
  EXPECT_TRUE(k.all_finite(n, all.data()));
}

// Runs in a process of its own, since a program chooses once.
void ExitWhetherChosen(const char* wanted, const KernelTables* expected) {
  if (wanted == nullptr) {
    unsetenv("PARLEY_ISA");
  } else {
    setenv("PARLEY_ISA", wanted, 1);
  }
  const bool same = std::strcmp(InstructionSet(), expected->name) == 0 &&
                    &KernelsFor<float>() == &expected->float32 &&
                    &KernelsFor<double>() == &expected->float64 &&
                    &Bfloat16KernelsForCpu() == &expected->bfloat16;
  std::exit(same ? 0 : 1);
}

TEST(InstructionSetTest, IsTheBestUnlessTheEnvironmentSays) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto chosen = testing::ExitedWithCode(0);
  EXPECT_EXIT(ExitWhetherChosen(nullptr, SupportedTables().back()), chosen, "");
  for (const KernelTables* t : SupportedTables()) {
    EXPECT_EXIT(ExitWhetherChosen(t->name, t), chosen, "");
  }
  EXPECT_EXIT(ExitWhetherChosen("avx1024", &kBaselineKernels),
              testing::ExitedWithCode(2), "baseline, avx2 or avx512");
}

}  // namespace
}  // namespace parley
