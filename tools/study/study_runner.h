// Runs the cells of a study, several at once, those that are not done yet.
#ifndef PARLEY_TOOLS_STUDY_STUDY_RUNNER_H_
#define PARLEY_TOOLS_STUDY_STUDY_RUNNER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "tools/study/cells.h"

namespace parley {

struct CellState {
  enum Kind {
    kWaiting,
    kRunning,
    kFinished,
    kFailed,
    kStopped,  // or broken off
  };
  Kind kind = kWaiting;
  bool reused = false;  // was finished already
  std::string reason;   // why it failed or was stopped
  int64_t rounds = 0;   // committed
  double share = 0;     // done of the round after them, where it is known
  double seconds = 0;   // that it took; 0 where it was reused
};

// Steps × rounds, with what a round costs besides: what time is guessed by.
double CostOf(const v1::RunConfig& config);

// Thread-safe.
class StudyRunner {
 public:
  struct Options {
    std::string folder;  // of the study
    int threads = 1;     // cells at once
    // Runs the cell in its folder, which has its run file and nothing else,
    // and returns when the run is over. `on_round` may be called as it goes on.
    // Returns what kept it from leaving a status behind. Null: simulates it.
    std::function<absl::Status(const Cell& cell, const std::string& folder,
                               const std::function<void(int64_t)>& on_round)>
        run;
    // At every start and end of a cell; must not block.
    std::function<void(size_t cell, const CellState&)> on_change;
    // What simulated runs warn of; of each run the first warning.
    std::function<void(const std::string&)> say;
  };

  // `cells` is borrowed; facts stated (StateDataFacts).
  StudyRunner(const std::vector<Cell>& cells, Options options);

  // Runs all that are not finished, on the calling thread where threads is 1,
  // and returns once they are or Stop was called. A cell that fails does not
  // keep the others from running.
  void Run();
  // Breaks off what is under way and begins nothing else.
  void Stop();
  bool stopping() const;

  std::vector<CellState> states() const;
  // Until all is done, guessed from what is done. Zero while nothing is known.
  absl::Duration Remaining() const;

 private:
  void RunCell(size_t index);
  absl::Status SimulateCell(size_t index, const std::string& folder,
                            const std::function<void(int64_t)>& on_round,
                            std::string* first_warning);
  void TakeShare(size_t index, double share);
  void Change(size_t index, CellState state);
  double DoneOf(size_t index) const REQUIRES(mu_);  // a share of its rounds
  // Seconds a unit of CostOf: its own where it has run for a while, else of
  // cells of the same local algorithm where some are done, else of all. 0:
  // nothing is known.
  double RateOf(size_t index) const REQUIRES(mu_);

  const std::vector<Cell>& cells_;
  const Options options_;
  mutable Mutex mu_;
  std::vector<CellState> states_ GUARDED_BY(mu_);
  std::vector<absl::Time> began_ GUARDED_BY(mu_);  // their first rounds
  bool stopping_ GUARDED_BY(mu_) = false;
};

}  // namespace parley

#endif  // PARLEY_TOOLS_STUDY_STUDY_RUNNER_H_
