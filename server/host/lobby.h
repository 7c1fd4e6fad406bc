// Sessions that are of no run yet: those that have not said who they are, and
// those that wait for a run.
#ifndef PARLEY_SERVER_HOST_LOBBY_H_
#define PARLEY_SERVER_HOST_LOBBY_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "parley/v1/coordinator.pb.h"
#include "server/round/session_table.h"
#include "server/run/coordinator.h"

namespace parley {

// A client whose Register is in order.
struct Guest {
  PeerIdentity peer;
  std::shared_ptr<SessionSink> sink;
  v1::ClientMessage hello;  // the Register
};

// What sessions are to be told, once no lock is held.
class Answers {
 public:
  void Send(std::shared_ptr<SessionSink> sink, v1::ServerMessage message) {
    answers_.push_back({std::move(sink), std::move(message), false, {}});
  }
  void Close(std::shared_ptr<SessionSink> sink, absl::Status why) {
    answers_.push_back({std::move(sink), {}, true, std::move(why)});
  }
  // Says goodbye, then closes.
  void SendAway(std::shared_ptr<SessionSink> sink, v1::Goodbye goodbye,
                absl::Status why);
  void Deliver() &&;

 private:
  struct Answer {
    std::shared_ptr<SessionSink> sink;
    v1::ServerMessage message;
    bool close;
    absl::Status why;
  };
  std::vector<Answer> answers_;
};

// Bounds both kinds, and what each may send, as the round machine does for its
// own. A guest is to hear at once, and again every 10 s, what it waits for. Not
// thread-safe.
class Lobby {
 public:
  // Who does not register goes after so long.
  static constexpr absl::Duration kPatience = absl::Seconds(15);
  static constexpr absl::Duration kNoticeEvery = absl::Seconds(10);
  // Many may wait, and long.
  static constexpr size_t kMaxHelloBytes = 64 << 10;

  explicit Lobby(size_t max_guests);

  void Open(SessionId id, PeerIdentity peer, std::shared_ptr<SessionSink> sink,
            absl::Time now, Answers* out);
  // Of a session that was a guest before: it waits again.
  void Return(SessionId id, Guest guest, absl::Time now, Answers* out);
  // Returns the guest that the session has become by this message, else null.
  const Guest* Hear(SessionId id, v1::ClientMessage message, absl::Time now,
                    Answers* out);
  void Close(SessionId id) { Erase(id); }
  void CloseAll(const v1::Goodbye& goodbye, Answers* out);

  // Guests, in the order in which they came.
  std::vector<SessionId> guests() const;
  const Guest* Find(SessionId id) const;  // null where it is no guest
  Guest Take(SessionId id);
  void SendAway(SessionId id, v1::Goodbye goodbye, absl::Status why,
                Answers* out);

  // Tells the guest what it waits for.
  void Tell(SessionId id, absl::string_view text, Answers* out) const;
  // Sends those away that have not registered for too long.
  void Tick(absl::Time now, Answers* out);
  // True where it is time to tell all guests what they wait for.
  bool TakeNotice(absl::Time now);
  absl::Time NextTimer() const;

 private:
  void Admit(SessionId id, Guest& guest, absl::Time now, Answers* out);
  void Erase(SessionId id);

  const size_t max_guests_;
  SessionTable table_;  // those with a client's name are guests
  std::map<SessionId, Guest> sessions_;
  std::map<std::string, SessionId> places_;  // of guests, by name and run
  absl::Time next_notice_ = absl::InfiniteFuture();
};

}  // namespace parley

#endif  // PARLEY_SERVER_HOST_LOBBY_H_
