// One run of a host, from its submission to its end, and what its driver is
// given of a client: the way back, and numbers that keep the driver alive.
#ifndef PARLEY_SERVER_HOST_HOSTED_RUN_H_
#define PARLEY_SERVER_HOST_HOSTED_RUN_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "parley/v1/admin.pb.h"
#include "parley/v1/run.pb.h"
#include "server/host/address_file.h"
#include "server/host/lobby.h"
#include "server/run/run_driver.h"
#include "server/run/status_board.h"

namespace parley {

// While one lives, the run's driver does; the last one says so.
using DriverRef = std::shared_ptr<const void>;

// Shared by those who tell of it. What is not constant is guarded by the host.
struct HostedRun : std::enable_shared_from_this<HostedRun> {
  enum class Stage {
    kQueued,
    kBeginning,  // its driver is being made
    kActive,     // takes clients
    kEnding,     // takes none any more, writes its files
    kOver,
  };

  std::string name;
  std::string folder;
  bool resume = false;
  v1::RunConfig config;  // until it begins

  std::atomic<bool> takes_clients = false;  // kActive
  Stage stage = Stage::kQueued;
  std::string stop_reason;  // of a Stop while it begins
  v1::RunStatus status;     // the latest; final once kOver
  absl::Time told_at;       // when that was
  std::unique_ptr<RunDriver> driver;
  std::unique_ptr<AddressFile> address;  // as long as the driver
  DriverRef ref;                         // until it is over
  StatusBoard board;                     // told on the host's sequence
};

// A client's session at one run. Says in what passes that the host has further
// runs, and gives the client back where the run ended before it let it in.
class HostedSink final : public SessionSink {
 public:
  // `on_close` is called once, on the run's sequence: with the guest where it
  // comes back, else null.
  using OnClose = std::function<void(const Guest* back)>;
  HostedSink(std::shared_ptr<HostedRun> run, DriverRef ref, bool more_runs,
             Guest guest, OnClose on_close)
      : run_(std::move(run)),
        ref_(std::move(ref)),
        more_runs_(more_runs),
        guest_(std::move(guest)),
        on_close_(std::move(on_close)) {}

  void Send(v1::ServerMessage message) override;
  void SendAhead(v1::ServerMessage message) override;
  void SendWithChunks(v1::ServerMessage message, SharedChunks chunks) override {
    guest_.sink->SendWithChunks(std::move(message), std::move(chunks));
  }
  void Close(const absl::Status& status) override;

 private:
  const std::shared_ptr<HostedRun> run_;
  const DriverRef ref_;
  const bool more_runs_;
  const Guest guest_;
  const OnClose on_close_;
  // On the run's sequence.
  bool registered_ = false;
  bool comes_back_ = false;
};

// As given, and holding the driver meanwhile.
std::unique_ptr<ChunkSource> Hold(std::unique_ptr<ChunkSource> source,
                                  DriverRef ref);
std::unique_ptr<ChunkSink> Hold(std::unique_ptr<ChunkSink> sink, DriverRef ref);

}  // namespace parley

#endif  // PARLEY_SERVER_HOST_HOSTED_RUN_H_
