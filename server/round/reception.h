// The sessions of a run's clients, whatever the run is: who comes, who gets in,
// what a message may cost, whose lease is over.
#ifndef PARLEY_SERVER_ROUND_RECEPTION_H_
#define PARLEY_SERVER_ROUND_RECEPTION_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/registry/registry.h"
#include "server/round/outbox.h"
#include "server/round/session_table.h"
#include "server/run/run_events.h"

namespace parley {

// Pure, and a part of the machine that it borrows the registry and the outbox
// of; these must outlive it. Not thread-safe.
class Reception {
 public:
  // `welcome`: a Registered, without what differs from client to client.
  // `on_disconnected` hears of clients whose session is gone; may be null.
  Reception(v1::ServerMessage welcome, absl::Duration lease, Registry* registry,
            RunOutbox* out, std::function<void(Client&)> on_disconnected);

  const SessionTable& sessions() const { return sessions_; }
  absl::Duration lease() const { return lease_; }

  void Open(event::SessionOpened& e);
  // The session is gone already.
  void Forget(SessionId id);
  void PayForTask(SessionId id) { sessions_.PayForTask(id); }

  // Null: all is done, the message was none that the session may send.
  struct Heard {
    Session* session = nullptr;
    Client* client = nullptr;  // null: the message is a Register
  };
  // A message came. Renews the client's lease.
  Heard Hear(const event::MessageReceived& e);
  // A Register came: lets the client in, and welcomes it. An earlier session of
  // its goes. nullopt: all is done, it was refused, for `fits` or because the
  // registry did not admit it.
  std::optional<Admission> Admit(SessionId id, Session& session,
                                 const v1::Register& request,
                                 const absl::Status& fits = absl::OkStatus());
  // A message that makes no sense is passed over; too many end the session.
  void Strike(SessionId id, Session& session, absl::string_view what);
  // The machine has no more to say to it.
  void End(SessionId id, absl::Status why);

  // Ends the sessions of clients whose lease is over, which `lose` is to
  // remove, and those without a Register.
  void Expire(absl::FunctionRef<void(const std::string& name,
                                     const std::string& reason)>
                  lose);
  // Not later than Expire has something to do.
  absl::Time NextTimer() const;

  // The run is over: for all sessions, and those that come.
  void Close(absl::string_view reason, bool well);

 private:
  void Refuse(SessionId id, const Session& session, const absl::Status& why);

  const v1::ServerMessage welcome_;
  const absl::Duration lease_;
  Registry* const registry_;
  RunOutbox* const out_;
  const std::function<void(Client&)> on_disconnected_;
  SessionTable sessions_;
  bool closed_ = false;
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_RECEPTION_H_
