// The coordinator's decisions: who is registered, who is asked, whose answer
// counts, when a round is over, when the run is. A pure state machine: no I/O,
// no threads, no clock, no numbers of the model. What it wants done it returns
// as effects; what came of them comes back as events.
#ifndef PARLEY_SERVER_ROUND_ROUND_MACHINE_H_
#define PARLEY_SERVER_ROUND_ROUND_MACHINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/model/parameters.h"
#include "parley/v1/journal.pb.h"
#include "parley/v1/run.pb.h"
#include "server/round/round_events.h"

namespace parley {

struct RoundMachineOptions {
  v1::RunConfig config;  // defaults filled in and validated
  std::string run;       // config.name, or what the driver made of it
  uint64_t term = 1;
  uint64_t run_id = 0;  // 0: has none; it is kept nowhere
  ParameterSpec spec;   // of the model
  // Rounds that are committed already, when a run is taken up again.
  int64_t committed_rounds = 0;
  absl::Duration elapsed;                     // that they took
  std::map<std::string, double> next_values;  // of the last one's record
  // Secret; session tokens derive from it by keyed hash.
  std::string token_key;
  // Replay: the cohort of each round, all of which must answer, in place of
  // selection. Empty: no replay.
  std::vector<v1::RoundOpened> script;
};

// Single-threaded; the driver calls Step from one sequence.
class RoundMachine {
 public:
  explicit RoundMachine(RoundMachineOptions options);
  ~RoundMachine();

  // The effects to perform, in order. `now` never goes back. TimerFired may
  // come at any time, and begins: nothing waits for a client before the first
  // Step.
  std::vector<RoundEffect> Step(RoundEvent event, absl::Time now);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_ROUND_MACHINE_H_
