// Evaluates a peer's own models on data.test, beside the rounds.
#ifndef PARLEY_CLIENT_PROGRAM_PEER_EVALUATOR_H_
#define PARLEY_CLIENT_PROGRAM_PEER_EVALUATOR_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "client/gossip/gossip_node.h"
#include "common/base/executor.h"
#include "common/base/mutex.h"
#include "common/config/central_evaluator.h"
#include "common/model/parameters.h"
#include "parley/v1/run.pb.h"

namespace parley {

// What a peer tells goes through here, so that it stays in order while rounds
// go on. Thread-safe; the destructor waits for what is under way.
class PeerEvaluator {
 public:
  // "loss", "accuracy"; empty where there was no evaluation.
  using Numbers = std::map<std::string, double>;

  // `config` is filled and checked, its facts stated. `work` does the
  // evaluations, one at a time.
  PeerEvaluator(v1::RunConfig config, Executor* work);

  // Whether evaluation.every names the round and it is to be evaluated on
  // data.test at all.
  bool Evaluates(int64_t round) const;
  bool evaluates() const { return config_.evaluation().central(); }

  // On `work`, in the order of the calls: evaluates a copy of `model`, where
  // there is one, and calls `tell`. Where evaluating is slower than the rounds,
  // models that would pile up are let go.
  void Tell(std::optional<ParameterVector> model,
            absl::AnyInvocable<void(Numbers) &&> tell);
  // After all that, to call Evaluate from.
  void Post(Closure f) { sequence_.Post(std::move(f)); }

  // Within what Post posted. Empty where data.test cannot be read here, which
  // the log says once; the other peers may be able to.
  Numbers Evaluate(const ParameterVector& model);

  // What waits is told without an evaluation.
  void Stop() { stopped_ = true; }

 private:
  const v1::RunConfig config_;
  std::atomic<bool> stopped_ = false;
  std::atomic<int> waiting_ = 0;  // models
  // Of the sequence.
  std::unique_ptr<CentralEvaluator> evaluator_;
  bool tried_ = false;
  std::atomic<bool> said_ = false;

  Sequence sequence_;  // last: goes first
};

}  // namespace parley

#endif  // PARLEY_CLIENT_PROGRAM_PEER_EVALUATOR_H_
