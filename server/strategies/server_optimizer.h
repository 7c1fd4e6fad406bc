// How the aggregated change of a round becomes the next model.
#ifndef PARLEY_SERVER_STRATEGIES_SERVER_OPTIMIZER_H_
#define PARLEY_SERVER_STRATEGIES_SERVER_OPTIMIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/model/parameters.h"
#include "parley/v1/run.pb.h"

namespace parley {

// A state of the optimizer, one number a parameter, kept in checkpoints.
struct NamedArray {
  std::string name;
  ParameterVector* values;  // borrowed
};

// Steps in place, range by range: each range once a round, ranges that do not
// overlap from several threads at once. Arithmetic is in double; the state is
// kept in the model's own type, so that momentum and the anchor cost one and
// Adam two more models of memory, and plain none.
class ServerOptimizer {
 public:
  virtual ~ServerOptimizer() = default;

  // Moves the model's elements from `begin` on by the change of them in the
  // round, from 1.
  virtual void Step(int64_t round, int64_t begin,
                    absl::Span<const double> change,
                    ParameterVector& model) = 0;

  // To write to and to read from checkpoints.
  virtual std::vector<NamedArray> state() { return {}; }
};

// The optimizer that a filled config names, for a run that starts from that
// model.
std::unique_ptr<ServerOptimizer> MakeServerOptimizer(
    const v1::Aggregation& config, const ParameterVector& start);

}  // namespace parley

#endif  // PARLEY_SERVER_STRATEGIES_SERVER_OPTIMIZER_H_
