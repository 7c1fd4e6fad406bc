// How a client reaches its coordinator: one session and its bulk transfers. By
// gRPC in the programs, in-process in the simulator and in tests.
#ifndef PARLEY_CLIENT_SESSION_COORDINATOR_TRANSPORT_H_
#define PARLEY_CLIENT_SESSION_COORDINATOR_TRANSPORT_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "common/wire/chunk.h"
#include "common/wire/inline_chunks.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

// Hears of one session, one call at a time, on the transport's threads; calls
// must not block.
class SessionListener {
 public:
  virtual ~SessionListener() = default;
  virtual void OnMessage(v1::ServerMessage message) = 0;
  // The last call. `status` says why the stream ended.
  virtual void OnClosed(const absl::Status& status) = 0;
};

// One open stream. Send never blocks. The destructor cancels the stream and
// returns after the listener's last call, or without any further one; so it
// must not run inside a listener's call.
class ClientSession {
 public:
  virtual ~ClientSession() = default;
  virtual void Send(v1::ClientMessage message) = 0;
  // Of an UpdateReady: sends it with these chunks, as if it held them.
  virtual void SendWithChunks(v1::ClientMessage message, SharedChunks chunks) {
    *message.mutable_update_ready()->mutable_chunks() = *chunks;
    Send(std::move(message));
  }
};

// A transfer under way. The destructor cancels it and returns once neither the
// source or sink nor `done` is in use any more.
class Transfer {
 public:
  virtual ~Transfer() = default;
};

// Thread-safe. Sessions and transfers must not outlive it.
class CoordinatorTransport {
 public:
  virtual ~CoordinatorTransport() = default;

  // Dials `address`; whether that works is told by OnMessage or OnClosed.
  virtual std::unique_ptr<ClientSession> OpenSession(
      const std::string& address, SessionListener* listener) = 0;

  // `done` is called once, last, on the transport's threads, with OK when the
  // sink's Finish was. Uses the connection of the latest session.
  using Done = absl::AnyInvocable<void(absl::Status) &&>;
  virtual std::unique_ptr<Transfer> Download(const v1::DownloadRequest& request,
                                             ChunkSink* sink, Done done) = 0;
  virtual std::unique_ptr<Transfer> Upload(const v1::TransferHeader& header,
                                           ChunkSource* source, Done done) = 0;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_COORDINATOR_TRANSPORT_H_
