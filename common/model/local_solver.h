// The steps that a client takes in a round: GD or mini-batch SGD, with
// momentum, weight decay and FedProx's proximal term.
#ifndef PARLEY_COMMON_MODEL_LOCAL_SOLVER_H_
#define PARLEY_COMMON_MODEL_LOCAL_SOLVER_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/random.h"
#include "common/model/model.h"

namespace parley {

// Rows of one client, as a solver takes them. Thread-compatible.
template <typename T>
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual int64_t rows() const = 0;
  virtual Batch<T> All() const = 0;
  // The given rows, in that order; valid until the next call. May copy.
  virtual Batch<T> Gather(absl::Span<const int64_t> rows) = 0;
};

struct LocalSolverOptions {
  bool full_batch = false;  // GD; else SGD
  int64_t batch_size = 32;  // SGD; at most the rows there are
  // SGD: either steps > 0 or epochs > 0; GD: steps.
  int64_t steps = 0;
  double epochs = 0;
  double momentum = 0;      // v = μv + g; w −= ηv; v starts at 0 each round
  double weight_decay = 0;  // g += λw
  // g += μ(w − w₀), w₀ what Solve began with: the gradient of the proximal term
  // μ/2·‖w − w₀‖² (Li et al. 2020, equation 2). It is in no loss below.
  double proximal = 0;
};

struct LocalResult {
  int64_t steps = 0;
  double first_loss = 0;  // of the first batch before the first step
  double mean_loss = 0;   // over the batches, each before its step
};

// The number of steps that Solve will take on `rows` rows, for η = c/L.
int64_t PlannedSteps(const LocalSolverOptions& options, int64_t rows);

// Takes the steps on `w` in place. `keep_going` is asked before each step;
// false ends with Cancelled. InvalidArgument: no rows. The mini-batches are
// drawn without replacement from `rng`, anew each epoch; the last of an epoch
// may be smaller.
template <typename T>
absl::StatusOr<LocalResult> Solve(const Model<T>& model,
                                  const LocalSolverOptions& options,
                                  double step_size, BatchSource<T>& source,
                                  Rng& rng, absl::Span<T> w,
                                  absl::FunctionRef<bool()> keep_going);

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_LOCAL_SOLVER_H_
