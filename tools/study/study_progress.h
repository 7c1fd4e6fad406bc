// How a study's progress looks: one live line on a terminal, and a line for
// each cell that has ended.
#ifndef PARLEY_TOOLS_STUDY_STUDY_PROGRESS_H_
#define PARLEY_TOOLS_STUDY_STUDY_PROGRESS_H_

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "tools/study/study_runner.h"

namespace parley {

// "cell 3/18 [##...]  local_gd-L16 round 120/1000  ETA 0:42". Of several cells
// that run, the first. `remaining` 0: unknown.
std::string FormatStudyLine(const std::vector<Cell>& cells,
                            const std::vector<CellState>& states,
                            absl::Duration remaining);

// "cell 3/18 local_gd-L16 finished after 1000 rounds in 0:03".
std::string FormatCellLine(const std::vector<Cell>& cells, size_t cell,
                           const std::vector<CellState>& states,
                           const CellState& state);

// Thread-safe.
class StudyProgress {
 public:
  // `out` is borrowed; it is asked whether it is a terminal.
  explicit StudyProgress(std::FILE* out);
  ~StudyProgress();

  // The live line; nothing where `out` is no terminal.
  void Update(absl::string_view line);
  // A line of its own, above the live one.
  void Say(absl::string_view line);
  bool terminal() const { return terminal_; }

 private:
  std::FILE* const out_;
  const bool terminal_;
  Mutex mu_;
  std::string live_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_TOOLS_STUDY_STUDY_PROGRESS_H_
