#include "common/model/local_solver.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "absl/status/status.h"
#include "common/base/log.h"
#include "common/kernels/kernels.h"

namespace parley {
namespace {

// Deals out rows without replacement: each epoch a permutation anew, drawn as
// far as it is used (Fisher and Yates).
class RowDealer {
 public:
  RowDealer(int64_t rows, int64_t batch_size, Rng& rng)
      : batch_size_(std::min(rows, batch_size)), rng_(rng), order_(rows) {
    std::iota(order_.begin(), order_.end(), int64_t{0});
  }

  absl::Span<const int64_t> Next() {
    const int64_t rows = static_cast<int64_t>(order_.size());
    if (next_ == rows) next_ = 0;
    const int64_t begin = next_;
    next_ = std::min(begin + batch_size_, rows);
    for (int64_t i = begin; i < next_; ++i) {
      std::swap(order_[i], order_[i + rng_.Below(rows - i)]);
    }
    return absl::MakeConstSpan(order_).subspan(begin, next_ - begin);
  }

 private:
  const int64_t batch_size_;
  Rng& rng_;
  std::vector<int64_t> order_;
  int64_t next_ = 0;
};

// gradient += mu·(w − start).
template <typename T>
void AddProximal(int64_t n, T mu, const T* w, const T* start, T* gradient) {
  for (int64_t i = 0; i < n; ++i) gradient[i] += mu * (w[i] - start[i]);
}

}  // namespace

int64_t PlannedSteps(const LocalSolverOptions& options, int64_t rows) {
  if (rows <= 0) return 0;
  if (options.full_batch || options.steps > 0) return options.steps;
  if (options.epochs <= 0) return 0;
  PARLEY_CHECK(options.batch_size > 0);
  constexpr double kMost = 1e15;
  const int64_t per_epoch = (rows - 1) / options.batch_size + 1;
  const double steps = options.epochs * static_cast<double>(per_epoch);
  return std::max<int64_t>(1, std::llround(std::min(steps, kMost)));
}

template <typename T>
absl::StatusOr<LocalResult> Solve(const Model<T>& model,
                                  const LocalSolverOptions& options,
                                  double step_size, BatchSource<T>& source,
                                  Rng& rng, absl::Span<T> w,
                                  absl::FunctionRef<bool()> keep_going) {
  const int64_t n = model.spec().elements();
  const int64_t rows = source.rows();
  PARLEY_CHECK(static_cast<int64_t>(w.size()) == n);
  PARLEY_CHECK(options.full_batch || options.batch_size > 0);
  if (rows == 0) {
    return absl::InvalidArgumentError("there are no rows to train on");
  }
  const Kernels<T>& k = KernelsFor<T>();
  Workspace<T> workspace;
  ParameterVector gradient(DTypeOf<T>(), n);
  ParameterVector velocity(DTypeOf<T>(), options.momentum != 0 ? n : 0);
  const std::vector<T> start(w.begin(),
                             options.proximal != 0 ? w.end() : w.begin());
  T* const g = gradient.As<T>().data();
  T* const v = velocity.As<T>().data();
  RowDealer dealer(options.full_batch ? 0 : rows, options.batch_size, rng);

  LocalResult result;
  double losses = 0;
  const int64_t steps = PlannedSteps(options, rows);
  for (; result.steps < steps; ++result.steps) {
    if (!keep_going()) return absl::CancelledError("training was stopped");
    const Batch<T> batch =
        options.full_batch ? source.All() : source.Gather(dealer.Next());
    const double loss =
        model.LossAndGradient(w, batch, gradient.As<T>(), workspace);
    if (result.steps == 0) result.first_loss = loss;
    losses += loss;
    if (options.weight_decay != 0) {
      k.axpy(n, static_cast<T>(options.weight_decay), w.data(), g);
    }
    if (options.proximal != 0) {
      AddProximal(n, static_cast<T>(options.proximal), w.data(), start.data(),
                  g);
    }
    const T* direction = g;
    if (options.momentum != 0) {
      k.scale(n, static_cast<T>(options.momentum), v);
      k.axpy(n, T{1}, g, v);
      direction = v;
    }
    k.axpy(n, static_cast<T>(-step_size), direction, w.data());
  }
  if (steps > 0) result.mean_loss = losses / static_cast<double>(steps);
  return result;
}

template absl::StatusOr<LocalResult> Solve(const Model<float>&,
                                           const LocalSolverOptions&, double,
                                           BatchSource<float>&, Rng&,
                                           absl::Span<float>,
                                           absl::FunctionRef<bool()>);
template absl::StatusOr<LocalResult> Solve(const Model<double>&,
                                           const LocalSolverOptions&, double,
                                           BatchSource<double>&, Rng&,
                                           absl::Span<double>,
                                           absl::FunctionRef<bool()>);

}  // namespace parley
