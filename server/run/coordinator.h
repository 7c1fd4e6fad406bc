// What a transport sees of the coordinator: sessions come and go, messages come
// in, bulk transfers open. The gRPC service and the in-process transport of the
// simulator both stand on it; a run implements it, and a host of several.
#ifndef PARLEY_SERVER_RUN_COORDINATOR_H_
#define PARLEY_SERVER_RUN_COORDINATOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "common/wire/chunk.h"
#include "common/wire/inline_chunks.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

using SessionId = uint64_t;

// The other end, as far as the transport can tell.
struct PeerIdentity {
  std::string address;           // for people
  std::string certificate_name;  // of a verified client certificate, or empty
};

// The way back to one client. Thread-safe; calls do not block.
class SessionSink {
 public:
  virtual ~SessionSink() = default;
  virtual void Send(v1::ServerMessage message) = 0;
  // As Send, where another Send follows at once: both may go as one packet.
  virtual void SendAhead(v1::ServerMessage message) {
    Send(std::move(message));
  }
  // Of a Task: sends it with these chunks, as if it held them.
  virtual void SendWithChunks(v1::ServerMessage message, SharedChunks chunks) {
    *message.mutable_task()->mutable_chunks() = *chunks;
    Send(std::move(message));
  }
  // Ends the session once all that was sent is on its way. No more Sends.
  virtual void Close(const absl::Status& status) = 0;
};

// Thread-safe; no call blocks. Callbacks run on the coordinator's threads.
class Coordinator {
 public:
  virtual ~Coordinator() = default;

  // A client opened a stream. `sink` is dropped after its Close, or after
  // CloseSession; shared, as the transport and the coordinator both end it.
  virtual SessionId OpenSession(PeerIdentity peer,
                                std::shared_ptr<SessionSink> sink) = 0;
  virtual void Receive(SessionId session, v1::ClientMessage message) = 0;
  // The stream broke or ended; the client's lease goes on.
  virtual void CloseSession(SessionId session, const absl::Status& why) = 0;

  // Breaks a transfer off that `ready` let in: its source or sink is destroyed
  // soon, and the peer is told why if it still listens. Called at most once, on
  // the coordinator's threads, perhaps after the transfer's end; may be null.
  using BreakOff = absl::AnyInvocable<void(const absl::Status& why) &&>;

  // Calls `ready` once a transfer permit is free, with the payloads from the
  // requested offset on, or with the reason why not: PermissionDenied (token),
  // NotFound or Aborted (no such task, or over), InvalidArgument (offset).
  // The permit is free again when the source is destroyed. A transfer that
  // moves no chunk for kStallLeases is broken off.
  using DownloadReady =
      absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<ChunkSource>>) &&>;
  virtual void OpenDownload(const v1::DownloadRequest& request,
                            DownloadReady ready, BreakOff break_off) = 0;

  // An upload that was granted. The coordinator learns of its end through
  // Finish, or through the sink's destruction without it. Calls `ready` soon.
  using UploadReady =
      absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<ChunkSink>>) &&>;
  virtual void OpenUpload(const v1::TransferHeader& header, UploadReady ready,
                          BreakOff break_off) = 0;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RUN_COORDINATOR_H_
