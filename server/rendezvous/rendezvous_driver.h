// Runs the rendezvous machine: brings it what happens, does what it wants done.
#ifndef PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_DRIVER_H_
#define PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_DRIVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/log.h"
#include "parley/v1/run.pb.h"
#include "server/rendezvous/rendezvous_machine.h"
#include "server/run/basic_driver.h"
#include "server/run/step_loop.h"
#include "server/store/run_store.h"

namespace parley {

struct RendezvousDriverOptions {
  // Of a gossip run: filled and checked, its facts stated (StateFacts).
  v1::RunConfig config = {};
  std::string folder = "";
  bool resume = false;  // go on with the run in the folder, if there is one

  // Borrowed; must outlive the driver.
  Clock* clock = nullptr;
  Executor* control = nullptr;  // steps the machine, calls back
  Executor* work = nullptr;     // waits for the disk

  // On the driver's sequence; must not block. `say` replaces the log; `on_over`
  // comes before clients hear of the end, `on_end` is the last call.
  absl::AnyInvocable<void(LogLevel, const std::string&)> say = {};
  absl::AnyInvocable<void()> on_over = {};
  absl::AnyInvocable<void(const v1::RunStatus&)> on_end = {};
};

// Create, Start, let transports bring clients. Thread-safe. Transports must be
// gone before it is destroyed. Refuses all transfers: no parameter passes here.
class RendezvousDriver final : public BasicDriver {
 public:
  // InvalidArgument: a model that gossip cannot mix. Others as RunStore::Open.
  static absl::StatusOr<std::unique_ptr<RendezvousDriver>> Create(
      RendezvousDriverOptions options);
  ~RendezvousDriver() override;

  void OpenDownload(const v1::DownloadRequest& request, DownloadReady ready,
                    BreakOff break_off) override;
  void OpenUpload(const v1::TransferHeader& header, UploadReady ready,
                  BreakOff break_off) override;

 private:
  RendezvousDriver(RendezvousDriverOptions options,
                   std::unique_ptr<RunStore> store,
                   RendezvousMachineOptions machine);

  void Bring(RunEvent event) override;
  int64_t RoundsOver(const v1::RunStatus& status) const override;
  using BasicDriver::Perform;
  void Perform(effect::Record& e);
  void Perform(effect::TellRound& e);
  void Perform(effect::EndRun& e);

  // On the sequence only.
  RendezvousMachine machine_;
  StepLoop<RendezvousEvent> loop_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_DRIVER_H_
