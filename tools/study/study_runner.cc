#include "tools/study/study_runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/executor.h"
#include "common/base/log.h"
#include "common/report/round_report.h"
#include "tools/sim/simulator.h"
#include "tools/study/cell_folder.h"

namespace parley {
namespace {

// What a round costs besides its steps, and an exact local solve, in steps.
constexpr double kRoundCost = 100;
constexpr double kSolveCost = 100;
// A cell that has gone on for so long tells its own time best.
constexpr absl::Duration kOwnRateAfter = absl::Seconds(2);

CellState EndState(const v1::RunStatus& status) {
  CellState state;
  state.rounds = status.round();
  switch (status.state()) {
    case v1::FINISHED:
      state.kind = CellState::kFinished;
      break;
    case v1::STOPPED:
      state.kind = CellState::kStopped;
      break;
    default:
      state.kind = CellState::kFailed;
  }
  if (state.kind != CellState::kFinished) state.reason = status.detail();
  return state;
}

}  // namespace

double CostOf(const v1::RunConfig& config) {
  const v1::LocalAlgorithm& local = config.local();
  const double steps = local.has_exact_prox() ? kSolveCost
                       : local.has_sgd()
                           ? static_cast<double>(local.sgd().steps())
                           : static_cast<double>(local.gd().steps());
  return static_cast<double>(config.stop().rounds()) * (steps + kRoundCost);
}

StudyRunner::StudyRunner(const std::vector<Cell>& cells, Options options)
    : cells_(cells),
      options_(std::move(options)),
      states_(cells.size()),
      began_(cells.size()) {
  for (size_t i = 0; i < cells_.size(); ++i) {
    const auto end =
        EndOfCell(CellFolder(options_.folder, cells_[i]), cells_[i]);
    // One that failed or was stopped is run again.
    if (!end.ok() || end->state() != v1::FINISHED) continue;
    states_[i] = EndState(*end);
    states_[i].reused = true;
  }
}

void StudyRunner::Run() {
  std::vector<size_t> open;
  for (size_t i = 0; i < cells_.size(); ++i) {
    MutexLock lock(mu_);
    if (states_[i].kind == CellState::kWaiting) open.push_back(i);
  }
  if (options_.threads == 1) {
    for (const size_t i : open) RunCell(i);
    return;
  }
  ThreadPool pool(options_.threads);  // its end waits for all
  for (const size_t i : open) pool.Post([this, i] { RunCell(i); });
}

void StudyRunner::Stop() {
  MutexLock lock(mu_);
  stopping_ = true;
}

bool StudyRunner::stopping() const {
  MutexLock lock(mu_);
  return stopping_;
}

std::vector<CellState> StudyRunner::states() const {
  MutexLock lock(mu_);
  return states_;
}

void StudyRunner::Change(size_t index, CellState state) {
  {
    MutexLock lock(mu_);
    states_[index] = state;
  }
  if (options_.on_change) options_.on_change(index, state);
}

void StudyRunner::RunCell(size_t index) {
  if (stopping()) return;
  const Cell& cell = cells_[index];
  const std::string folder = CellFolder(options_.folder, cell);
  const absl::Time begin = absl::Now();
  {
    MutexLock lock(mu_);
    began_[index] = begin;
  }
  CellState running;
  running.kind = CellState::kRunning;
  Change(index, std::move(running));
  const auto on_round = [this, index](int64_t round) {
    MutexLock lock(mu_);
    states_[index].rounds = round;
    states_[index].share = 0;
  };
  std::string warning;  // a failed run's own reason may only say what it led to
  absl::Status ran = PrepareCellFolder(folder, cell);
  if (ran.ok()) {
    ran = options_.run ? options_.run(cell, folder, on_round)
                       : SimulateCell(index, folder, on_round, &warning);
  }
  const auto end = EndOfCell(folder, cell);
  CellState state;
  if (end.ok()) {
    state = EndState(*end);
  } else {
    state.kind = stopping() ? CellState::kStopped : CellState::kFailed;
    state.reason = std::string((ran.ok() ? end.status() : ran).message());
  }
  if (state.kind == CellState::kFailed && !warning.empty()) {
    absl::StrAppend(&state.reason, "; first of all: ", warning);
  }
  state.seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  // Whoever stopped it did so to the study, too.
  if (state.kind == CellState::kStopped) Stop();
  Change(index, std::move(state));
}

void StudyRunner::TakeShare(size_t index, double share) {
  MutexLock lock(mu_);
  CellState& state = states_[index];
  // What came before, such as the search for a reference, comes once.
  if (state.rounds == 0 && state.share == 0) began_[index] = absl::Now();
  state.share = share;
}

absl::Status StudyRunner::SimulateCell(
    size_t index, const std::string& folder,
    const std::function<void(int64_t)>& on_round, std::string* first_warning) {
  const Cell& cell = cells_[index];
  SimulatorOptions options;
  options.config = cell.config;
  options.folder = folder;
  options.on_round = [&on_round](const RoundReport& report) {
    on_round(report.round);
  };
  options.on_share = [this, index](double share) { TakeShare(index, share); };
  options.keep_going = [this] { return !stopping(); };
  options.say = [&, this](LogLevel level, const std::string& text) {
    if (level == LogLevel::kInfo || stopping()) return;
    {
      MutexLock lock(mu_);
      if (!first_warning->empty()) return;  // what it led to, or the same
      *first_warning = text;
    }
    if (!options_.say) return;
    options_.say(absl::StrCat(cell.name, ": ", text));
  };
  return Simulate(std::move(options)).status();
}

double StudyRunner::DoneOf(size_t index) const {
  const CellState& state = states_[index];
  return std::min(
      1.0, (static_cast<double>(state.rounds) + state.share) /
               static_cast<double>(cells_[index].config.stop().rounds()));
}

double StudyRunner::RateOf(size_t index) const {
  const absl::Time now = absl::Now();
  if (states_[index].kind == CellState::kRunning && DoneOf(index) > 0 &&
      now - began_[index] > kOwnRateAfter) {
    return absl::ToDoubleSeconds(now - began_[index]) /
           (DoneOf(index) * CostOf(cells_[index].config));
  }
  double seconds[2] = {0, 0}, costs[2] = {0, 0};  // of all, of its kind
  for (size_t i = 0; i < cells_.size(); ++i) {
    const CellState& state = states_[i];
    double spent = state.seconds, cost = CostOf(cells_[i].config);
    if (state.kind == CellState::kRunning && DoneOf(i) > 0) {
      spent = absl::ToDoubleSeconds(now - began_[i]);
      cost *= DoneOf(i);
    } else if (state.kind != CellState::kFinished || state.reused) {
      continue;
    }
    const bool same = cells_[i].config.local().kind_case() ==
                      cells_[index].config.local().kind_case();
    for (int k = 0; k < (same ? 2 : 1); ++k) {
      seconds[k] += spent;
      costs[k] += cost;
    }
  }
  if (costs[1] > 0) return seconds[1] / costs[1];
  return costs[0] > 0 ? seconds[0] / costs[0] : 0;
}

absl::Duration StudyRunner::Remaining() const {
  MutexLock lock(mu_);
  double seconds = 0;
  for (size_t i = 0; i < cells_.size(); ++i) {
    const CellState& state = states_[i];
    if (state.kind != CellState::kWaiting &&
        state.kind != CellState::kRunning) {
      continue;
    }
    seconds += RateOf(i) * CostOf(cells_[i].config) * (1 - DoneOf(i));
  }
  return absl::Seconds(seconds / options_.threads);
}

}  // namespace parley
