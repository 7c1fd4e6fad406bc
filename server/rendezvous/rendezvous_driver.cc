#include "server/rendezvous/rendezvous_driver.h"

#include <utility>
#include <variant>

#include "common/base/status_macros.h"
#include "common/config/start.h"
#include "common/report/gossip_facts.h"
#include "common/wire/spec.h"
#include "server/registry/registry.h"

namespace parley {

absl::StatusOr<std::unique_ptr<RendezvousDriver>> RendezvousDriver::Create(
    RendezvousDriverOptions options) {
  if (options.config.data().partition().parts() < 1) {
    return absl::InvalidArgumentError(
        "data.partition.parts is not set: where gossip's peers bring data of "
        "their own it has to say how many there are");
  }
  RendezvousMachineOptions machine;
  PARLEY_ASSIGN_OR_RETURN(machine.spec, ModelSpecOf(options.config));
  if (TravellingSpec(machine.spec).elements() != machine.spec.elements()) {
    return absl::InvalidArgumentError(
        "gossip mixes all tensors of a model, and this one has LOCAL ones");
  }
  PARLEY_ASSIGN_OR_RETURN(const GossipFacts facts,
                          GossipFactsOf(options.config));
  machine.contraction = facts.contraction;
  PARLEY_ASSIGN_OR_RETURN(std::unique_ptr<RunStore> store,
                          RunStore::Open({.folder = options.folder,
                                          .config = options.config,
                                          .resume = options.resume}));
  PARLEY_ASSIGN_OR_RETURN(machine.token_key, NewTokenKey());
  machine.config = options.config;
  machine.run = options.config.name();
  machine.term = store->term();
  machine.run_id = store->run_id();
  machine.membership = store->membership();
  machine.told_rounds = store->committed_rounds();
  std::unique_ptr<RendezvousDriver> driver(new RendezvousDriver(
      std::move(options), std::move(store), std::move(machine)));
  PARLEY_RETURN_IF_ERROR(driver->OpenFiles());
  return driver;
}

RendezvousDriver::RendezvousDriver(RendezvousDriverOptions options,
                                   std::unique_ptr<RunStore> store,
                                   RendezvousMachineOptions machine)
    : BasicDriver({.config = std::move(options.config),
                   .folder = std::move(options.folder),
                   .clock = options.clock,
                   .control = options.control,
                   .work = options.work,
                   .say = std::move(options.say),
                   .on_over = std::move(options.on_over),
                   .on_end = std::move(options.on_end)},
                  std::move(store)),
      machine_(std::move(machine)) {}

RendezvousDriver::~RendezvousDriver() {
  BeginClose();
  EndClose();
}

void RendezvousDriver::OpenDownload(const v1::DownloadRequest&,
                                    DownloadReady ready, BreakOff) {
  OnSequence([ready = std::move(ready)]() mutable {
    std::move(ready)(absl::NotFoundError("a gossip run has no tasks"));
  });
}

void RendezvousDriver::OpenUpload(const v1::TransferHeader&, UploadReady ready,
                                  BreakOff) {
  OnSequence([ready = std::move(ready)]() mutable {
    std::move(ready)(absl::NotFoundError("a gossip run has no tasks"));
  });
}

void RendezvousDriver::Bring(RunEvent event) {
  loop_.Run(std::move(event), [this](RendezvousEvent event) {
    std::vector<RendezvousEffect> effects =
        machine_.Step(std::move(event), clock()->Now());
    MarkSendsAhead(effects);
    for (RendezvousEffect& effect : effects) {
      std::visit([this](auto& e) { Perform(e); }, effect);
    }
  });
}

// The status names the round that runs.
int64_t RendezvousDriver::RoundsOver(const v1::RunStatus& status) const {
  return status.round() - 1;
}

void RendezvousDriver::Perform(effect::Record& e) {
  Append(e.record);
  SyncJournal();
}

void RendezvousDriver::Perform(effect::TellRound& e) {
  e.report.elapsed_seconds = Seconds();
  Append(e.report);
}

void RendezvousDriver::Perform(effect::EndRun& e) {
  BeginEnd(e);
  // After the sync under way, which may fail yet.
  files()->Run([] {}, [this] { FinishEnd(); });
}

}  // namespace parley
