// Clients and coordinator in one process, in virtual time: what the simulator
// and the fault tests run the protocol over.
#ifndef PARLEY_TOOLS_SIM_IN_PROCESS_TRANSPORT_H_
#define PARLEY_TOOLS_SIM_IN_PROCESS_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "client/session/coordinator_transport.h"
#include "server/run/coordinator.h"
#include "tools/sim/world.h"

namespace parley {

// What goes wrong on a link; by default nothing. Asked in virtual time, so a
// seeded plan fails the same way in every run.
class LinkFaults {
 public:
  virtual ~LinkFaults() = default;
  // Before each message either way: true loses it and breaks the session.
  virtual bool BreakSession() { return false; }
  // At the start of each transfer: it breaks after so many chunks.
  virtual std::optional<int64_t> BreakTransferAfter() { return std::nullopt; }
};

// One client's link. All calls come on the world's control executor. Messages
// take `latency`, numbers take no further time.
class InProcessTransport final : public CoordinatorTransport {
 public:
  struct Options {
    World* world = nullptr;
    Coordinator* coordinator = nullptr;  // null while the coordinator is down
    std::string client;                  // the peer address that it shows
    absl::Duration latency = absl::Microseconds(100);
    LinkFaults* faults = nullptr;  // may be null
  };
  explicit InProcessTransport(Options options);
  ~InProcessTransport() override;

  std::unique_ptr<ClientSession> OpenSession(
      const std::string& address, SessionListener* listener) override;
  std::unique_ptr<Transfer> Download(const v1::DownloadRequest& request,
                                     ChunkSink* sink, Done done) override;
  std::unique_ptr<Transfer> Upload(const v1::TransferHeader& header,
                                   ChunkSource* source, Done done) override;

 private:
  const Options options_;
};

}  // namespace parley

#endif  // PARLEY_TOOLS_SIM_IN_PROCESS_TRANSPORT_H_
