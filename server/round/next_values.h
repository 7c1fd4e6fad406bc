// What the answers of a round tell the clients of the next one.
#ifndef PARLEY_SERVER_ROUND_NEXT_VALUES_H_
#define PARLEY_SERVER_ROUND_NEXT_VALUES_H_

#include <map>
#include <optional>
#include <string>

#include "parley/v1/journal.pb.h"
#include "parley/v1/run.pb.h"

namespace parley {

// The logarithm of the training loss at a round's model: a scalar of updates
// and a value of tasks. An update that leaves it out where its task has it is
// refused.
inline constexpr char kLogLoss[] = "log_loss";

// Of the mean over the clients whose training counted, log Σ p_i·exp(l_i),
// where p_i is in proportion to the update's weight or, `uniform`, the same for
// all. nullopt: none of them told it.
std::optional<double> LogLossOf(const v1::RoundCommitted& round, bool uniform);

// Values of tasks that are not in the run file; pure functions, so that a run
// that is resumed or replayed has the same ones.
// For local.step_size.loss_normalised: kLogLoss, weighted as the updates are.
// Without it: none.
using NextValues = std::map<std::string, double>;

// Of a run's first round: a loss of 1.
NextValues FirstValues(const v1::RunConfig& config);

// Of the round after `round`. `before` are those of `round`, and stay where
// nobody counted in it.
NextValues NextValuesOf(const v1::RunConfig& config,
                        const v1::RoundCommitted& round,
                        const NextValues& before);

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_NEXT_VALUES_H_
