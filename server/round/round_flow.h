// The course of a run: wait for clients, train, aggregate, evaluate, commit,
// and again, until a stop condition holds.
#ifndef PARLEY_SERVER_ROUND_ROUND_FLOW_H_
#define PARLEY_SERVER_ROUND_ROUND_FLOW_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/round/next_values.h"
#include "server/round/phase.h"
#include "server/round/round_context.h"

namespace parley {

// Not thread-safe. The machine hands it what concerns the round and calls
// Advance after every event.
class RoundFlow {
 public:
  explicit RoundFlow(RoundContext* context);

  void Begin();
  // Takes every step that can be taken now.
  void Advance();
  void OnAggregated(const event::Aggregated& aggregated);
  void OnCentrallyEvaluated(const event::CentrallyEvaluated& evaluated);
  void OnDirectionPrepared(const event::DirectionPrepared& prepared);
  void OnDirectionMeasured(const event::DirectionMeasured& measured);
  // Ends the run as soon as the model is whole.
  void Stop(v1::RunState state, std::string reason);

  // The phase that takes answers, or took them last in this round; null
  // between rounds.
  Phase* phase();
  bool ended() const { return stage_ == Stage::kEnded; }
  v1::RunState end_state() const { return end_->state; }
  const std::string& end_reason() const { return end_->reason; }

  absl::Time NextTimer() const;
  // "waiting for 3 more clients (7 of 10 registered)"; empty once ended.
  std::string WaitsFor() const;
  // All but the clients' rows.
  v1::RunStatus Status() const;

 private:
  enum class Stage { kWaiting, kTraining, kAggregating, kEvaluating, kEnded };
  struct End {
    v1::RunState state;
    std::string reason;
  };

  bool TryOpenRound();
  void OpenRound(std::vector<std::string> members, CohortSize size);
  Phase::Options PhaseOptions(v1::TaskKind kind) const;
  void CloseTraining();
  void GiveUpTraining();
  void BeginEvaluation(bool aggregated);
  void BeginFederatedEvaluation();
  bool MeasuresDirection() const {
    return config_.diagnostics().has_direction_gap() && !IsReplay();
  }
  void EndEvaluation(absl::string_view unless_done);
  void Commit();
  std::optional<End> StopCondition(std::optional<double> loss,
                                   std::optional<double> accuracy) const;
  void EndRun(End end);
  bool IsReplay() const { return !context_.options.script.empty(); }
  bool IsLastRound() const;
  void EndSection(absl::string_view name);

  RoundContext& context_;
  const v1::RunConfig& config_;

  Stage stage_ = Stage::kWaiting;
  absl::Time wall_end_ = absl::InfiniteFuture();
  int64_t committed_;
  size_t script_next_ = 0;
  std::optional<End> end_;  // wanted, or reached
  bool preparing_ = false;  // until DirectionPrepared

  // Of the round.
  int64_t round_ = 0;
  v1::RoundOpened opened_;
  std::unique_ptr<Phase> train_;
  std::unique_ptr<Phase> evaluate_;
  bool central_pending_ = false;
  bool skipped_ = false;
  std::optional<std::map<std::string, double>> central_;
  bool direction_pending_ = false;
  std::map<std::string, double> direction_;
  uint64_t model_hash_ = 0;
  std::vector<std::pair<std::string, double>> section_seconds_;
  absl::Time section_start_;
  uint64_t up_before_ = 0, down_before_ = 0;  // bytes, as the round began

  // Of the run.
  NextValues next_values_;  // of the next round, once one is committed
  std::optional<double> loss_, accuracy_;
  std::optional<double> gap_, log_loss_;  // as direction_ last had them
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_ROUND_FLOW_H_
