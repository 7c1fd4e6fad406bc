// A whole run in one process and in virtual time: the coordinator and all its
// clients, by the same machines and drivers as between processes, and so to the
// same model bit for bit.
#ifndef PARLEY_TOOLS_SIM_SIMULATOR_H_
#define PARLEY_TOOLS_SIM_SIMULATOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/sdk/trainer.h"
#include "common/base/log.h"
#include "common/model/parameters.h"
#include "common/report/round_report.h"
#include "parley/v1/admin.pb.h"
#include "parley/v1/journal.pb.h"
#include "parley/v1/run.pb.h"
#include "tools/sim/in_process_transport.h"

namespace parley {

struct SimulatorOptions {
  // Defaults filled in and checked. One client for each part of its data; with
  // `make_trainer`, cohort.min of them.
  v1::RunConfig config;
  int threads = 1;
  std::string folder;  // of the run; empty: no file is touched
  // Replay: who must answer in each round; the clients are those named here.
  std::vector<v1::RoundOpened> script;

  std::function<void(const RoundReport&)> on_round;       // may be null
  std::function<void(LogLevel, const std::string&)> say;  // null: the log
  // What share of the clients' local steps is done in the round under way: now
  // and then, not at all in short rounds. May be null.
  std::function<void(double)> on_share;
  // Asked now and then, by the calling thread: false stops the run, and breaks
  // off its local steps. Null: it goes on to its end.
  std::function<bool()> keep_going;

  // For tests. Faults of a client's link, borrowed; and trainers of one's own.
  std::function<LinkFaults*(int64_t client)> faults;
  std::function<absl::StatusOr<std::unique_ptr<Trainer>>(int64_t client)>
      make_trainer;
};

struct SimulatorResult {
  v1::RunStatus status;
  ParameterSpec spec;
  ParameterVector model;
  absl::Duration virtual_time;
};

// A local step takes a client a millisecond of virtual time, times a speed of
// 0.5 to 1.5 that is drawn by seed. Errors: as the loaders; what a
// client's session ended with; Internal: nothing happens any more though the
// run is not over.
absl::StatusOr<SimulatorResult> Simulate(SimulatorOptions options);

}  // namespace parley

#endif  // PARLEY_TOOLS_SIM_SIMULATOR_H_
