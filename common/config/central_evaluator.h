// Evaluates a model on the run's test set: at the coordinator, or at a peer of
// a gossip run.
#ifndef PARLEY_COMMON_CONFIG_CENTRAL_EVALUATOR_H_
#define PARLEY_COMMON_CONFIG_CENTRAL_EVALUATOR_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/executor.h"
#include "common/data/dataset.h"
#include "common/model/model.h"
#include "common/model/parameters.h"
#include "parley/v1/run.pb.h"

namespace parley {

// One call at a time.
class CentralEvaluator {
 public:
  virtual ~CentralEvaluator() = default;
  // "loss" and, but for regression, "accuracy": means over the test set.
  virtual std::map<std::string, double> Evaluate(
      const ParameterVector& model) = 0;
};

// Splits the rows over the threads of `executor` (null: the caller's alone) in
// pieces that do not depend on it, nor does the result. `data` is not empty and
// fits the model.
template <typename T>
std::unique_ptr<CentralEvaluator> MakeCentralEvaluator(
    std::shared_ptr<const Model<T>> model, Dataset<T> data, Executor* executor);

// Of data.test and of the model that `config` describes, which is filled and
// checked, its facts stated. InvalidArgument: the data does not fit the model,
// or is empty; FailedPrecondition: there is none; others as the loaders.
absl::StatusOr<std::unique_ptr<CentralEvaluator>> MakeTestEvaluator(
    const v1::RunConfig& config, Executor* executor);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_CENTRAL_EVALUATOR_H_
