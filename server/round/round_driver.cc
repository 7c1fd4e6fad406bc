#include "server/round/round_driver.h"

#include <utility>

#include "common/base/status_macros.h"
#include "common/files/safetensors.h"
#include "server/registry/registry.h"

namespace parley {

absl::StatusOr<std::unique_ptr<RoundDriver>> RoundDriver::Create(
    RoundDriverOptions options) {
  if (options.config.has_gossip()) {
    return absl::InvalidArgumentError(
        "this run is gossip between peers: no coordinator runs its rounds");
  }
  if (options.work == nullptr) options.work = options.control;
  std::unique_ptr<RunStore> store;
  std::unique_ptr<CheckpointReader> checkpoint;
  if (!options.folder.empty()) {
    PARLEY_ASSIGN_OR_RETURN(store,
                            RunStore::Open({.folder = options.folder,
                                            .config = options.config,
                                            .resume = options.resume,
                                            .durable = options.durable}));
    checkpoint = store->TakeCheckpoint();
  }
  const bool measures =  // a replay compares models alone
      options.config.diagnostics().has_direction_gap() &&
      options.script.empty();
  PARLEY_ASSIGN_OR_RETURN(
      RunModel model,
      MakeRunModel(options.config, checkpoint == nullptr || measures,
                   options.parallel));
  std::unique_ptr<DirectionMeter> meter;
  if (measures) {
    meter = std::make_unique<DirectionMeter>(DirectionMeterOptions{
        .config = options.config,
        .start = model.start.Clone(),
        .folder = options.folder,
        .committed_rounds = store == nullptr ? 0 : store->committed_rounds(),
        .parallel = options.parallel});
  }
  PARLEY_ASSIGN_OR_RETURN(
      auto model_store,
      ModelStore::Create(options.config.aggregation(), options.strategies,
                         model.shared, std::move(model.start),
                         options.parallel));
  if (checkpoint != nullptr) {
    PARLEY_RETURN_IF_ERROR(model_store->Restore(*checkpoint));
  }
  RoundMachineOptions machine;
  PARLEY_ASSIGN_OR_RETURN(machine.token_key, NewTokenKey());
  machine.config = options.config;
  machine.run = options.config.name();
  machine.spec = model.spec;
  if (store != nullptr) {
    machine.term = store->term();
    machine.run_id = store->run_id();
    machine.committed_rounds = store->committed_rounds();
    machine.elapsed = store->elapsed();
    machine.next_values = store->next_values();
  }
  machine.script = options.script;

  std::unique_ptr<RoundDriver> driver(new RoundDriver(
      std::move(options), std::move(model), std::move(model_store),
      std::move(store), std::move(meter)));
  driver->next_values_ = machine.next_values;
  driver->machine_ = std::make_unique<RoundMachine>(std::move(machine));
  PARLEY_RETURN_IF_ERROR(driver->OpenFiles());
  return driver;
}

RoundDriver::RoundDriver(RoundDriverOptions options, RunModel model,
                         std::unique_ptr<ModelStore> model_store,
                         std::unique_ptr<RunStore> store,
                         std::unique_ptr<DirectionMeter> meter)
    : BasicDriver({.config = std::move(options.config),
                   .folder = std::move(options.folder),
                   .clock = options.clock,
                   .control = options.control,
                   .work = options.work,
                   .say = std::move(options.say),
                   .on_over = std::move(options.on_over),
                   .on_end = std::move(options.on_end)},
                  std::move(store)),
      on_round_(std::move(options.on_round)),
      evaluator_(std::move(model.evaluator)),
      meter_(std::move(meter)),
      model_(std::move(model_store)),
      stall_time_(kStallLeases *
                  absl::Seconds(config().limits().lease_seconds())),
      regions_({.memory_bytes =
                    static_cast<uint64_t>(config().limits().staging_bytes()),
                .disk_bytes = static_cast<uint64_t>(
                    config().limits().staging_disk_bytes()),
                .folder = folder()}),
      staging_(&regions_),
      compute_(sequence(), options.control, options.work),
      patience_timer_(options.clock, sequence()),
      stall_timer_(options.clock, sequence()) {}

RoundDriver::~RoundDriver() {
  BeginClose();
  if (meter_ != nullptr) meter_->Cancel();
  compute_.Close();
  patience_timer_.Close();
  stall_timer_.Close();
  EndClose();
}

void RoundDriver::Bring(RunEvent event) {
  std::visit([this](auto& e) { Handle(std::move(e)); }, event);
}

void RoundDriver::Handle(RoundEvent event) {
  loop_.Run(std::move(event), [this](RoundEvent event) {
    std::vector<RoundEffect> effects =
        machine_->Step(std::move(event), clock()->Now());
    MarkSendsAhead(effects);
    for (RoundEffect& effect : effects) {
      std::visit([this](auto& e) { Perform(e); }, effect);
    }
  });
}

// The status names the last round that is over.
int64_t RoundDriver::RoundsOver(const v1::RunStatus& status) const {
  return status.round();
}

void RoundDriver::OpenDownload(const v1::DownloadRequest& request,
                               DownloadReady ready, BreakOff break_off) {
  OnSequence([this, request, ready = std::move(ready),
              break_off = std::move(break_off)]() mutable {
    const TransferId id = ++last_transfer_;
    asked_[id] = {std::move(ready), nullptr, std::move(break_off)};
    Handle(event::DownloadRequested{id, std::move(request)});
  });
}

void RoundDriver::OpenUpload(const v1::TransferHeader& header,
                             UploadReady ready, BreakOff break_off) {
  OnSequence([this, header, ready = std::move(ready),
              break_off = std::move(break_off)]() mutable {
    const TransferId id = ++last_transfer_;
    asked_[id] = {nullptr, std::move(ready), std::move(break_off)};
    Handle(event::UploadRequested{id, std::move(header)});
  });
}

void RoundDriver::Perform(effect::EndRun& e) {
  BeginEnd(e);
  patience_timer_.Cancel();
  stall_timer_.Cancel();
  if (meter_ != nullptr) meter_->Cancel();
  // After what the lanes have under way, the last checkpoint included.
  compute_.Run([] {},
               [this] {
                 const auto written =
                     std::make_shared<absl::Status>();  // with the job
                 files()->Run([this, written] { *written = WriteModel(); },
                              [this, written] {
                                if (!written->ok()) Fail(*written);
                                FinishEnd();
                              });
               });
}

absl::Status RoundDriver::WriteModel() {
  if (store() == nullptr || !model_->whole()) return absl::OkStatus();
  return WriteSafetensors(store()->Path(kModelFile), model_->spec(),
                          *model_->model());
}

}  // namespace parley
