// What is told of the course of a run.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/round/round_flow.h"

namespace parley {

absl::Time RoundFlow::NextTimer() const {
  absl::Time next = end_ ? absl::InfiniteFuture() : wall_end_;
  if (train_ != nullptr) next = std::min(next, train_->NextTimer());
  if (evaluate_ != nullptr) next = std::min(next, evaluate_->NextTimer());
  return next;
}

std::string RoundFlow::WaitsFor() const {
  const std::string round = absl::StrCat("round ", round_, ": ");
  switch (stage_) {
    case Stage::kWaiting: {
      const int64_t min = std::max(1, config_.cohort().min());
      const int64_t have = context_.pool.size();
      if (preparing_) {
        return "looking for the reference of diagnostics.direction_gap";
      }
      if (IsReplay() || have >= min) return "";
      return absl::StrCat("waiting for ", min - have, " more client",
                          min - have == 1 ? "" : "s", " (", have, " of ", min,
                          " registered)");
    }
    case Stage::kTraining:
      return absl::StrCat(round, train_->WaitsFor());
    case Stage::kAggregating:
      return absl::StrCat(round, "waiting for the new model to be made");
    case Stage::kEvaluating:
      if (evaluate_ != nullptr &&
          evaluate_->outcome() == Phase::Outcome::kOpen) {
        return absl::StrCat(round, "evaluation: ", evaluate_->WaitsFor());
      }
      return absl::StrCat(round, "waiting for the ",
                          central_pending_ ? "central evaluation"
                                           : "numbers of "
                                             "diagnostics.direction_gap");
    case Stage::kEnded:
      break;
  }
  return "";
}

v1::RunStatus RoundFlow::Status() const {
  v1::RunStatus status;
  status.set_run(context_.options.run);
  status.set_round(stage_ == Stage::kWaiting || stage_ == Stage::kEnded
                       ? committed_
                       : round_);
  status.set_rounds(IsReplay() ? context_.options.script.size()
                               : config_.stop().rounds());
  const Phase* phase = evaluate_ != nullptr ? evaluate_.get() : train_.get();
  if (phase != nullptr && stage_ != Stage::kEnded) {
    status.set_asked(phase->asked());
    status.set_done(phase->whole());
  }
  switch (stage_) {
    case Stage::kWaiting:
      status.set_state(v1::WAITING);
      status.set_detail(WaitsFor());
      break;
    case Stage::kTraining:
      status.set_state(v1::RUNNING);
      status.set_phase("train");
      break;
    case Stage::kAggregating:
      status.set_state(v1::RUNNING);
      status.set_phase("aggregate");
      break;
    case Stage::kEvaluating:
      status.set_state(v1::RUNNING);
      status.set_phase("evaluate");
      break;
    case Stage::kEnded:
      status.set_state(end_->state);
      status.set_detail(end_->reason);
      break;
  }
  if (loss_) status.set_loss(*loss_);
  if (accuracy_) status.set_accuracy(*accuracy_);
  if (gap_) status.set_direction_gap(*gap_);
  if (log_loss_) status.set_log_loss(*log_loss_);
  status.set_bytes_up(context_.bytes_up);
  status.set_bytes_down(context_.bytes_down);
  status.set_clients(static_cast<int32_t>(context_.registry.size()));
  return status;
}

}  // namespace parley
