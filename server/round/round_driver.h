// Runs the round machine: brings it what happens, does what it wants done.
#ifndef PARLEY_SERVER_ROUND_ROUND_DRIVER_H_
#define PARLEY_SERVER_ROUND_ROUND_DRIVER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/log.h"
#include "server/round/direction_meter.h"
#include "server/round/loss_watch.h"
#include "server/round/model_store.h"
#include "server/round/round_machine.h"
#include "server/round/run_model.h"
#include "server/round/staging.h"
#include "server/round/transfer_pipe.h"
#include "server/run/basic_driver.h"
#include "server/run/step_loop.h"
#include "server/run/work_lane.h"
#include "server/store/run_store.h"

namespace parley {

struct RoundDriverOptions {
  // Filled and checked, its facts stated (StateFacts).
  v1::RunConfig config = {};
  std::string folder = "";  // of the run; empty: no file is touched
  bool resume = false;      // go on with the run in the folder, if there is one
  bool durable = true;      // false: a power failure may cost it
  std::vector<CustomStrategy> strategies = {};

  // Borrowed; must outlive the driver. In virtual time they are the world's.
  Clock* clock = nullptr;
  Executor* control = nullptr;   // steps the machine, calls back
  Executor* work = nullptr;      // folds, evaluates, writes; null: control
  Executor* parallel = nullptr;  // splits that work by range; null: nobody

  std::vector<v1::RoundOpened> script = {};  // replay: see RoundMachineOptions

  // On the driver's sequence; must not block. `say` replaces the log; `on_over`
  // comes before clients hear of the end, `on_end` is the last call.
  absl::AnyInvocable<void(const RoundReport&)> on_round = {};
  absl::AnyInvocable<void(LogLevel, const std::string&)> say = {};
  absl::AnyInvocable<void()> on_over = {};
  absl::AnyInvocable<void(const v1::RunStatus&)> on_end = {};
};

// Create, Start, let transports bring clients, Wait. Thread-safe. Transports
// must be gone, with all their sources and sinks, before it is destroyed; in
// virtual time it is destroyed before Start or after on_end.
//
// All runs on one sequence but the numbers, which are folded, evaluated and
// written elsewhere: `compute_` is for the model, files() waits for the disk.
class RoundDriver final : public BasicDriver {
 public:
  // Makes or loads the start model, locks the folder, opens its files. Errors
  // as MakeRunModel and RunStore::Open.
  static absl::StatusOr<std::unique_ptr<RoundDriver>> Create(
      RoundDriverOptions options);
  ~RoundDriver() override;

  // The model as it is; stays as it is once the run is over.
  const ParameterVector& model() const { return *model_->model(); }
  const ParameterSpec& spec() const { return model_->spec(); }

  void OpenDownload(const v1::DownloadRequest& request, DownloadReady ready,
                    BreakOff break_off) override;
  void OpenUpload(const v1::TransferHeader& header, UploadReady ready,
                  BreakOff break_off) override;

 private:
  // A transfer that a transport asked for: one of the two.
  struct Asked {
    DownloadReady download;
    UploadReady upload;
    BreakOff break_off;
  };
  // A transfer that was let in.
  struct Transfer {
    std::shared_ptr<TransferState> state;
    BreakOff break_off;   // null once called
    absl::Time progress;  // when it was let in, or seen to have moved
    uint64_t moved = 0;   // bytes, then
    std::optional<uint64_t> buffer = {};  // of the model that a download reads
  };
  // An upload that was let in and waits until a fold makes room.
  struct Roomless {
    effect::AnswerTransfer answer;
    UploadReady ready;
  };

  RoundDriver(RoundDriverOptions options, RunModel model,
              std::unique_ptr<ModelStore> model_store,
              std::unique_ptr<RunStore> store,
              std::unique_ptr<DirectionMeter> meter);

  // All below on the sequence.
  void Bring(RunEvent event) override;
  int64_t RoundsOver(const v1::RunStatus& status) const override;
  void Handle(RoundEvent event);
  using BasicDriver::Perform;
  void Perform(effect::Send& e);
  void Perform(effect::AnswerTransfer& e);
  void Perform(effect::CancelTransfer& e);
  void Perform(effect::OpenStaging& e);
  void Perform(effect::StageChunks& e);
  void Perform(effect::DropStaging& e);
  void Perform(effect::Fold& e);
  void Perform(effect::Aggregate& e);
  void Perform(effect::DiscardAggregate& e);
  void Perform(effect::EvaluateCentrally& e);
  void Perform(effect::PrepareDirection& e);
  void Perform(effect::MeasureDirection& e);
  void Perform(effect::Record& e);
  void Perform(effect::ReportRound& e);
  void Perform(effect::WriteCheckpoint& e);
  void Perform(effect::EndRun& e);

  void BeginDownload(const effect::AnswerTransfer& answer, DownloadReady ready);
  void BeginUpload(const effect::AnswerTransfer& answer, UploadReady ready);
  v1::Encoding DownEncoding() const;
  void EndTransfer(event::TransferEnded ended);
  void BreakTransferOff(TransferId id, const absl::Status& why);
  // Breaks off what stalls; again later while transfers run.
  void WatchTransfers();
  void RunFreeing(Closure job, Closure done);  // gives staging room back
  void SettleUpdates();
  void AggregateOnceUnread(bool patient);
  absl::Status WriteModel();

  absl::AnyInvocable<void(const RoundReport&)> on_round_;
  const std::unique_ptr<CentralEvaluator> evaluator_;  // may be null
  const std::unique_ptr<DirectionMeter> meter_;  // on compute_; may be null
  LossWatch losses_;
  const std::unique_ptr<ModelStore> model_;  // on compute_, read by downloads
  const absl::Duration stall_time_;          // of a transfer
  RegionPool regions_;

  // On the sequence only, down to compute_.
  std::unique_ptr<RoundMachine> machine_;
  StepLoop<RoundEvent> loop_;

  TransferId last_transfer_ = 0;
  absl::flat_hash_map<TransferId, Asked> asked_;
  absl::flat_hash_map<TransferId, Transfer> transfers_;

  StagingArea staging_;
  absl::flat_hash_map<UpdateId, v1::UpdateReady> unstaged_;  // have no room yet
  std::vector<Roomless> roomless_;
  int64_t freeing_ = 0;  // jobs of RunFreeing under way
  std::vector<std::shared_ptr<StagedUpdate>> pending_;  // accumulated, in use

  // Who reads the model's buffer; downloads that got stuck are left an old one.
  uint64_t buffer_ = 0;
  int64_t readers_ = 0;
  SharedChunks model_chunks_;     // a copy of the model; null: not made yet
  int64_t checkpoints_ = 0;       // being written
  int64_t aggregate_wanted_ = 0;  // the round, until Aggregated
  bool aggregating_ = false;      // on compute_
  std::map<std::string, double> next_values_;  // of the last committed round

  WorkLane compute_;
  SequenceTimer patience_timer_;
  SequenceTimer stall_timer_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_ROUND_DRIVER_H_
