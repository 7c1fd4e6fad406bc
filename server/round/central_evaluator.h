// Evaluates the model on the test set that the coordinator has.
#ifndef PARLEY_SERVER_ROUND_CENTRAL_EVALUATOR_H_
#define PARLEY_SERVER_ROUND_CENTRAL_EVALUATOR_H_

#include <map>
#include <memory>
#include <string>

#include "common/base/executor.h"
#include "common/data/dataset.h"
#include "common/model/model.h"
#include "common/model/parameters.h"

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

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_CENTRAL_EVALUATOR_H_
