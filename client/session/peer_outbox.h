// What a peer has to tell its rendezvous, kept until that has taken it.
#ifndef PARLEY_CLIENT_SESSION_PEER_OUTBOX_H_
#define PARLEY_CLIENT_SESSION_PEER_OUTBOX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

// Not thread-safe.
class PeerOutbox {
 public:
  // More rounds are not kept: the oldest go.
  static constexpr size_t kMaxReports = 2000;
  static constexpr int kMaxBatch = 100;  // of a message
  // Rounds may be faster than a session may send messages.
  static constexpr absl::Duration kPause = absl::Milliseconds(100);

  void Add(v1::PeerReport report);
  void SetDone(v1::PeerDone done) { done_ = std::move(done); }
  bool done() const { return done_.has_value(); }
  // The rendezvous has all up to this round.
  void Taken(int64_t round);
  // Another peer tells from now on.
  void Clear();
  // A new session: what was not taken is to be said again.
  void Restart();

  // The next message, where there is one and it is time for it.
  std::optional<v1::ClientMessage> Next(absl::Time now);
  // When there will be; InfiniteFuture: not before something is added.
  absl::Time next_at() const;

  int64_t dropped() const { return dropped_; }
  size_t kept() const { return reports_.size(); }

 private:
  std::deque<v1::PeerReport> reports_;
  size_t sent_ = 0;  // so many of them, in this session
  std::optional<v1::PeerDone> done_;
  bool done_sent_ = false;
  absl::Time not_before_ = absl::InfinitePast();
  int64_t dropped_ = 0;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_PEER_OUTBOX_H_
