// What a client does with a task. Implement Trainer to train a model of your
// own; MakeBuiltinTrainer trains the models that Parley has.
#ifndef PARLEY_CLIENT_SDK_TRAINER_H_
#define PARLEY_CLIENT_SDK_TRAINER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/parameters.h"

namespace parley {

struct TrainTask {
  int64_t round = 0;   // from 1
  std::string client;  // this client's name, for random streams
  std::map<std::string, double> values;  // what the strategy sent
  // True once the result is wanted no more; asked now and then, it saves work.
  const std::atomic<bool>* cancelled = nullptr;
  // How much of the task is done, 0..1: set it now and then, and people are
  // told with the next heartbeat. Below 0, as at first: not known.
  std::atomic<double>* fraction = nullptr;
};

struct TrainResult {
  double examples = 0;  // behind the result: its weight; > 0
  int64_t local_steps = 0;
  std::map<std::string, double> metrics =
      {};  // "loss", ...: any finite numbers
};

// One call at a time. Results must depend on the arguments and the client's
// data only, where runs are to be repeatable.
class Trainer {
 public:
  virtual ~Trainer() = default;

  // Asked before the first task: FailedPrecondition where the run's model is
  // not one that it can train, with what differs.
  virtual absl::Status Accepts(const ParameterSpec& spec) const {
    (void)spec;
    return absl::OkStatus();
  }

  // Trains `parameters` in place.
  virtual absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                            ParameterVector& parameters) = 0;

  // Evaluates on the client's held-out data: metrics "loss" and "accuracy" are
  // means over `examples`. Unimplemented where there is nothing to evaluate on.
  virtual absl::StatusOr<TrainResult> Evaluate(
      const TrainTask& task, const ParameterVector& parameters) = 0;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_SDK_TRAINER_H_
