#include "tools/study/study_progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace parley {
namespace {

constexpr size_t kUsualWidth = 80;

bool IsOver(const CellState& state) {
  return state.kind == CellState::kFinished || state.kind == CellState::kFailed;
}

size_t CountOver(const std::vector<CellState>& states) {
  return std::count_if(states.begin(), states.end(), IsOver);
}

std::string FormatTime(double seconds) {
  if (seconds < 9.95) return absl::StrFormat("%.1f s", seconds);
  const int64_t s = static_cast<int64_t>(seconds + 0.5);
  if (s < 3600) return absl::StrFormat("%d:%02d", s / 60, s % 60);
  return absl::StrFormat("%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
}

}  // namespace

std::string FormatStudyLine(const std::vector<Cell>& cells,
                            const std::vector<CellState>& states,
                            absl::Duration remaining) {
  constexpr size_t kCells = 20;
  const size_t over = CountOver(states);
  const size_t full = kCells * over / std::max<size_t>(states.size(), 1);
  std::string line = absl::StrCat("cells ", over, "/", states.size(), " [",
                                  std::string(full, '#'),
                                  std::string(kCells - full, '.'), "]");
  if (remaining > absl::ZeroDuration()) {
    absl::StrAppend(&line, "  ETA ",
                    FormatTime(absl::ToDoubleSeconds(remaining)));
  }
  for (size_t i = 0; i < states.size(); ++i) {
    if (states[i].kind != CellState::kRunning) continue;
    absl::StrAppend(&line, "  ", cells[i].name, " round ", states[i].rounds,
                    "/", cells[i].config.stop().rounds());
    break;
  }
  return line;
}

std::string FormatCellLine(const std::vector<Cell>& cells, size_t cell,
                           const std::vector<CellState>& states,
                           const CellState& state) {
  const char* how = "failed";
  if (state.kind == CellState::kFinished) how = "finished";
  if (state.kind == CellState::kStopped) how = "was interrupted";
  return absl::StrCat("cell ", CountOver(states), "/", cells.size(), " ",
                      cells[cell].name, " ", how, " after ", state.rounds,
                      state.rounds == 1 ? " round in " : " rounds in ",
                      FormatTime(state.seconds),
                      state.reason.empty() ? "" : ": ", state.reason);
}

StudyProgress::StudyProgress(std::FILE* out)
    : out_(out), terminal_(isatty(fileno(out)) == 1) {}

StudyProgress::~StudyProgress() { Update(""); }

void StudyProgress::Update(absl::string_view line) {
  if (!terminal_) return;
  size_t width = kUsualWidth;
  if (winsize size;
      ioctl(fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    width = size.ws_col;
  }
  MutexLock lock(mu_);
  std::string next(line.substr(0, width - 1));
  if (next == live_) return;
  if (!live_.empty()) std::fputs("\r\x1b[K", out_);
  std::fputs(next.c_str(), out_);
  std::fflush(out_);
  live_ = std::move(next);
}

void StudyProgress::Say(absl::string_view line) {
  MutexLock lock(mu_);
  if (!live_.empty()) std::fputs("\r\x1b[K", out_);
  absl::FPrintF(out_, "%s\n%s", line, live_);
  std::fflush(out_);
}

}  // namespace parley
