// The hot arithmetic, compiled once per instruction set (x86-64, AVX2+FMA,
// AVX-512) and chosen at start, so that one build runs on any amd64 machine.
// Results differ between instruction sets in the last bits, and are the same
// from run to run on one. PARLEY_ISA=baseline|avx2|avx512 overrides the choice.
#ifndef PARLEY_COMMON_KERNELS_KERNELS_H_
#define PARLEY_COMMON_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>

namespace parley {

// The windows of a convolution with stride 1: kernel×kernel pixels of an image
// with `width` pixels a line and so many channels a pixel, at the first
// rows×cols places that a window can start from.
struct PatchShape {
  int64_t width, channels, kernel, rows, cols;
};
// So many elements past the ends of its arrays may `patches` touch.
constexpr int64_t kPatchSlack = 16;

// Squares of pool×pool pixels without overlap, rows×cols of them, which cover
// an image wholly. Each becomes a pixel of another, whose lines are `line`
// elements apart.
struct PoolShape {
  int64_t rows, cols, channels, pool, line;
};

// Two vectors beside each other, in double.
struct Comparison {
  double squared_distance = 0;  // ‖v·a − w·b‖²
  double sum_a = 0;             // Σ a, and of b
  double sum_b = 0;
};

// Arrays are row-major and without gaps; T is float or double. Outputs must not
// overlap inputs unless said. Single-threaded.
template <typename T>
struct Kernels {
  // c[m×n] = alpha·op(a)·op(b) + beta·c, op(a) m×k, op(b) k×n. With trans_a,
  // a is stored k×m; with trans_b, b is stored n×k. beta 0 ignores what is in
  // c.
  void (*gemm)(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k,
               T alpha, const T* a, const T* b, T beta, T* c);
  // y[m] = alpha·op(a)·x + beta·y, a stored rows×cols; m is rows, or cols with
  // trans.
  void (*gemv)(bool trans, int64_t rows, int64_t cols, T alpha, const T* a,
               const T* x, T beta, T* y);
  void (*axpy)(int64_t n, T alpha, const T* x, T* y);  // y += alpha·x
  // y += alpha·(a − b): with a and b exchanged exactly the negative.
  void (*add_difference)(int64_t n, T alpha, const T* a, const T* b, T* y);
  void (*scale)(int64_t n, T alpha, T* x);
  T (*dot)(int64_t n, const T* x, const T* y);
  void (*add_bias)(int64_t rows, int64_t cols, const T* bias,
                   T* x);  // each row
  void (*column_sums)(int64_t rows, int64_t cols, const T* x,
                      T* sums);  // sums +=
  void (*relu)(int64_t n, T* x);
  void (*relu_backward)(int64_t n, const T* output, T* gradient);  // in place
  void (*tanh)(int64_t n, T* x);
  void (*tanh_backward)(int64_t n, const T* output, T* gradient);
  // Each row becomes its softmax; log_normalizer[row] = log Σ exp of the
  // logits.
  void (*softmax_rows)(int64_t rows, int64_t cols, T* x, T* log_normalizer);
  // loss[i] = log(1 + exp(−m[i])), slope[i] = −1/(1 + exp(m[i])) its
  // derivative.
  void (*logistic)(int64_t n, const T* m, T* loss, T* slope);
  // The same loss, and pull[i] = −exp(log_scale)·slope[i], right even where
  // neither of the two factors is a number that T has.
  void (*logistic_pull)(int64_t n, T log_scale, const T* m, T* loss, T* pull);
  // Of loss[i] = exp(−m[i]).
  void (*exponential_pull)(int64_t n, T log_scale, const T* m, T* loss,
                           T* pull);

  // Convolutions are products with the windows: rows·cols rows of
  // kernel·kernel·channels. add_patches adds them back where they came from.
  void (*patches)(const PatchShape& shape, const T* image, T* patches);
  void (*add_patches)(const PatchShape& shape, const T* patches, T* image);
  // out = relu(the largest of each square + bias), channel by channel; `where`
  // (rows×cols×channels) numbers the largest in its square, the first of
  // equals.
  void (*max_pool)(const PoolShape& shape, const T* in, const T* bias, T* out,
                   T* where);
  // From the gradient by `out` that by `in`, and bias_gradient += that by bias.
  void (*max_pool_backward)(const PoolShape& shape, const T* out,
                            const T* where, const T* gradient, T* bias_gradient,
                            T* in_gradient);
  // How `out` moves where `in` and the bias move so.
  void (*max_pool_along)(const PoolShape& shape, const T* out, const T* where,
                         const T* in_along, const T* bias_along, T* along);

  // Aggregation, in double whatever T is. sum may be any accumulator.
  void (*fold)(int64_t n, double weight, const T* x,
               double* sum);                                     // sum += w·x
  void (*apply)(int64_t n, double step, const double* d, T* x);  // x += step·d
  double (*sum)(int64_t n, const T* x);
  Comparison (*compare)(int64_t n, double v, const T* a, double w, const T* b);
  // The same, and y = x + alpha·(a − b). A null x is 0.
  Comparison (*mix_difference)(int64_t n, double v, const T* a, double w,
                               const T* b, T alpha, const T* x, T* y);
  // The same, and y = x + alpha·a. A null x is 0.
  Comparison (*mix)(int64_t n, double v, const T* a, double w, const T* b,
                    T alpha, const T* x, T* y);
  void (*divide)(int64_t n, T divisor, T* x);
  bool (*all_finite)(int64_t n, const T* x);
};

// bfloat16: the upper half of a float32, rounded to nearest even, NaN kept.
struct Bfloat16Kernels {
  void (*from_float)(int64_t n, const float* x, uint16_t* out);
  void (*from_double)(int64_t n, const double* x, uint16_t* out);
  void (*to_float)(int64_t n, const uint16_t* x, float* out);
  void (*to_double)(int64_t n, const uint16_t* x, double* out);
  void (*fold)(int64_t n, double weight, const uint16_t* x, double* sum);
  bool (*all_finite)(int64_t n, const uint16_t* x);
};

// Copies past the caches what will not be read soon. Any addresses.
using StreamCopy = void (*)(size_t bytes, const char* from, char* to);

// Of this machine. Thread-safe.
template <typename T>
const Kernels<T>& KernelsFor();
extern template const Kernels<float>& KernelsFor<float>();
extern template const Kernels<double>& KernelsFor<double>();
const Bfloat16Kernels& Bfloat16KernelsForCpu();
StreamCopy StreamCopyForCpu();

// "baseline", "avx2" or "avx512".
const char* InstructionSet();

}  // namespace parley

#endif  // PARLEY_COMMON_KERNELS_KERNELS_H_
