// How the updates of a round become one change of the model. A strategy is
// immutable and thread-safe: what it works on is in the arguments, and
// aggregator.h holds the state of a round.
//
// To add one: a file beside fed_avg.cc, a line in strategy_table.cc, and a
// field in parley.v1.Aggregation. One from outside is a CustomStrategy of a
// coordinator of your own (server/program/server_program.h).
#ifndef PARLEY_SERVER_STRATEGIES_STRATEGY_H_
#define PARLEY_SERVER_STRATEGIES_STRATEGY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/executor.h"
#include "parley/v1/coordinator.pb.h"
#include "parley/v1/run.pb.h"
#include "server/strategies/update_view.h"

namespace parley {

// Makes an aggregate of all updates at once. Immutable and thread-safe.
class Combiner {
 public:
  virtual ~Combiner() = default;

  // out[0..end-begin) = the aggregate of the elements [begin, end). Splits the
  // work by ParallelFor, in as many passes as it likes; the result must not
  // depend on how it is split. `updates` is not empty and in cohort order.
  virtual void Combine(absl::Span<const UpdateView> updates, int64_t begin,
                       int64_t end, Executor* executor, double* out) const = 0;
};

class Strategy {
 public:
  virtual ~Strategy() = default;

  // How much an update counts, > 0, from what its client says of it (already
  // checked: weight > 0, finite, within limits.max_weight).
  virtual double Weight(const v1::UpdateReady& header) const = 0;

  // Null: the aggregate is Σ weight·change / Σ weight; updates are folded in
  // one after another and not kept. Else all of them are kept until this makes
  // the aggregate of them.
  virtual const Combiner* combiner() const { return nullptr; }
};

using StrategyOr = absl::StatusOr<std::unique_ptr<Strategy>>;

// A strategy from outside, which run files name as
// `aggregation { custom { name: "..." params { key: "..." value: "..." } } }`.
struct CustomStrategy {
  std::string name;
  // From the run file's params. InvalidArgument: says what is wrong in them.
  std::function<StrategyOr(const std::map<std::string, std::string>& params)>
      make;
};

// The strategies of the table, for error messages and tests.
std::vector<std::string> StrategyNames();

// The strategy that a filled config names. InvalidArgument: none, or a custom
// one that is not known (the known ones are listed), or its parameters.
StrategyOr MakeStrategy(const v1::Aggregation& config,
                        absl::Span<const CustomStrategy> custom = {});

// One a file; strategy_table.cc lists them.
StrategyOr MakeFedAvg(const v1::Aggregation& config);
StrategyOr MakeUniform(const v1::Aggregation& config);
StrategyOr MakeCoordinateMedian(const v1::Aggregation& config);
StrategyOr MakeTrimmedMean(const v1::Aggregation& config);

}  // namespace parley

#endif  // PARLEY_SERVER_STRATEGIES_STRATEGY_H_
