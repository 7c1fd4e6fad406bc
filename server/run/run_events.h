// What the machine of every kind of run hears and wants done. Sessions are
// numbers here.
#ifndef PARLEY_SERVER_RUN_RUN_EVENTS_H_
#define PARLEY_SERVER_RUN_RUN_EVENTS_H_

#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/log.h"
#include "parley/v1/admin.pb.h"
#include "parley/v1/coordinator.pb.h"
#include "parley/v1/journal.pb.h"
#include "server/run/coordinator.h"

namespace parley {
namespace event {

struct SessionOpened {
  SessionId session;
  PeerIdentity peer;
};
struct MessageReceived {
  SessionId session;
  v1::ClientMessage message;
};
struct SessionClosed {
  SessionId session;
  absl::Status why;
};
struct TimerFired {};
struct StopRequested {
  std::string reason;
  v1::RunState state = v1::STOPPED;  // or FAILED: the driver cannot go on
};

}  // namespace event

using RunEvent =
    std::variant<event::SessionOpened, event::MessageReceived,
                 event::SessionClosed, event::TimerFired, event::StopRequested>;

namespace effect {

struct Send {
  SessionId session;
  v1::ServerMessage message;
  bool ahead = false;  // of another to the same session, in the same step
  SharedChunks chunks = nullptr;  // goes with them; put in by the driver
};
struct EndSession {
  SessionId session;
  absl::Status why;
};
// Into the journal, before anything that follows it: all records but RunOpened
// and RunEnded, which are the driver's.
struct Record {
  v1::JournalRecord record;
};
// Replaces the timer set before; InfiniteFuture: none. A timer that fires is
// gone.
struct SetTimer {
  absl::Time when;
};
struct StatusChanged {
  v1::RunStatus status;  // without seconds, eta and folder: the driver's
};
struct Say {
  LogLevel level;
  std::string text;
};
// After the effects before it. Sessions were told. The run has failed all the
// same where its last files cannot be written.
struct EndRun {
  v1::RunState state;
  std::string reason;
};

}  // namespace effect
}  // namespace parley

#endif  // PARLEY_SERVER_RUN_RUN_EVENTS_H_
