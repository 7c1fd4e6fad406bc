// The sessions that are open, what each may still send, and who has yet to
// register.
#ifndef PARLEY_SERVER_ROUND_SESSION_TABLE_H_
#define PARLEY_SERVER_ROUND_SESSION_TABLE_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/run/coordinator.h"

namespace parley {

struct Session {
  PeerIdentity peer;
  std::string client;  // empty before Register
  int strikes = 0;

  // Messages that it may send at once, as of `budget_at`.
  double budget = 0;
  absl::Time budget_at;
};

// Not thread-safe.
class SessionTable {
 public:
  // Of all sessions together. Beyond it the oldest goes, so that a crowd of
  // them does not keep out who registers at once.
  static constexpr int kMaxUnregistered = 1000;

  // A session may send so many messages at once, and so many a second on top
  // of what its heartbeats and the answers to its tasks need.
  static constexpr double kBurst = 200;
  static constexpr double kPace = 20;
  static constexpr double kMessagesATask = 4;

  // Who does not register within `patience` is to go.
  SessionTable(absl::Duration patience, absl::Duration heartbeat)
      : patience_(patience),
        pace_(kPace + 2 / absl::ToDoubleSeconds(heartbeat)) {}

  // Returns whom the new one crowds out: end that session.
  std::optional<SessionId> Open(SessionId id, PeerIdentity peer,
                                absl::Time now);
  // Why that session, or one that sends more than it may, is ended.
  static absl::Status CrowdedOut();
  absl::Status TooFast() const;
  // Null where there is none.
  Session* Find(SessionId id);
  void Register(Session& session, const std::string& client);
  void Erase(SessionId id);
  void Clear();
  const std::map<SessionId, Session>& all() const { return sessions_; }

  // A session whose patience is over, to be ended. Call until there is none.
  std::optional<SessionId> NextSilent(absl::Time now);
  // Not later than the next one's end.
  absl::Time NextTimer() const;

  // A message came. False: one more than the session may send.
  bool Spend(Session& session, absl::Time now) const;
  // A task was sent: its answers are paid for.
  void PayForTask(SessionId id);

 private:
  const absl::Duration patience_;
  const double pace_;  // messages a second
  std::map<SessionId, Session> sessions_;
  std::deque<std::pair<absl::Time, SessionId>> unregistered_;  // by patience
  int unregistered_count_ = 0;  // of these, who still is
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_SESSION_TABLE_H_
