// The yardstick of step_bench: the same steps as one would write them with
// Eigen, in float, compiled for this CPU.
#ifndef PARLEY_TESTS_BENCH_STEP_BARE_EIGEN_H_
#define PARLEY_TESTS_BENCH_STEP_BARE_EIGEN_H_

#include <cstdint>
#include <vector>

namespace parley {

// Takes `steps` of gradient descent on the mean logistic loss of the dense
// rows×features x with targets ±1; w holds the weights, then the bias. Returns
// the last loss.
double BareLogisticSteps(int64_t rows, int64_t features, const float* x,
                         const float* target, float step_size, int64_t steps,
                         float* w);

// An MLP features-hidden-classes with ReLU under cross-entropy, in parameters
// laid out as Parley's.
struct BareMlpShape {
  int64_t features, hidden, classes, batch;
};

// Takes one SGD step per consecutive `batch` of `order`, copying the rows as
// Parley does. Returns the last loss.
double BareMlpSteps(const BareMlpShape& shape, const float* x,
                    const float* target, const std::vector<int64_t>& order,
                    float step_size, float* w);

}  // namespace parley

#endif  // PARLEY_TESTS_BENCH_STEP_BARE_EIGEN_H_
