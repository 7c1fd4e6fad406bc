// The model that a run file describes: its spec, where it starts from, and how
// the coordinator evaluates it.
#ifndef PARLEY_SERVER_ROUND_RUN_MODEL_H_
#define PARLEY_SERVER_ROUND_RUN_MODEL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/executor.h"
#include "common/model/parameters.h"
#include "parley/v1/run.pb.h"
#include "common/config/central_evaluator.h"

namespace parley {

struct RunModel {
  ParameterSpec spec;     // with LOCAL tensors
  ParameterSpec shared;   // without them: what the coordinator has
  ParameterVector start;  // of `shared`
  std::unique_ptr<CentralEvaluator> evaluator;  // where evaluation.central
};

// `config` is filled and checked, its facts stated (StateFacts). With `start`
// false the parameters are zeros, for a checkpoint to fill. Any code of the
// file system; InvalidArgument: a file does not fit the model, or the data.
absl::StatusOr<RunModel> MakeRunModel(const v1::RunConfig& config, bool start,
                                      Executor* executor);

// The last model of an earlier run: of its latest checkpoint, else its
// model.safetensors. NotFound: it has neither.
absl::StatusOr<ParameterVector> LoadRunModel(const std::string& folder,
                                             const ParameterSpec& spec);

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_RUN_MODEL_H_
