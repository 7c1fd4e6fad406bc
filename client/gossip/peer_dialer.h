// A peer's links to the others: it dials its neighbours, takes the links that
// others dialled, and holds hello against hello. Both machines of gossip stand
// on it; what goes over a link is theirs.
#ifndef PARLEY_CLIENT_GOSSIP_PEER_DIALER_H_
#define PARLEY_CLIENT_GOSSIP_PEER_DIALER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/gossip/gossip_events.h"
#include "common/base/random.h"
#include "parley/v1/peer.pb.h"

namespace parley {

// The link to another peer. A machine says who has left, and begins anew with
// an epoch; all else is the dialer's.
struct PeerContact {
  uint64_t link = 0;  // 0: none
  bool up = false;    // both ends have said hello
  absl::Time since;   // it is up or down
  absl::Time since_dial;
  absl::Time dial_at = absl::InfinitePast();
  int failures = 0;
  bool met = false;  // it was up before
  bool left = false;
  bool ahead = false;    // in a later epoch, as it has said
  bool refused = false;  // they do not fit
  std::string refusal;   // why, as either has said last
};

// Pure, as the machine that it is a part of: no I/O, no clock. Of two peers the
// one with the lower index dials. `Neighbour` is a PeerContact with what the
// machine remembers beside.
//
// A link is dialled or accepted, then taken at its hello, if that fits, and
// lost: by the dialer, which says so by `lose`, or by the machine.
template <typename Neighbour>
class PeerDialer {
 public:
  // A neighbour that does not answer a dial for so long is dialled again, after
  // a delay that doubles from the first to the longest, less up to a half.
  static constexpr absl::Duration kDialTimeout = absl::Seconds(20);
  static constexpr absl::Duration kFirstDelay = absl::Milliseconds(100);
  static constexpr absl::Duration kMaxDelay = absl::Seconds(5);
  // So often a machine that waits says for whom.
  static constexpr absl::Duration kReportEvery = absl::Seconds(10);

  struct Options {
    // Borrowed, and all the machine's: it may change them between two calls.
    const v1::PeerHello* hello;  // this peer's
    const std::vector<std::string>* names;
    std::map<int, Neighbour>* neighbours;  // by index
    std::vector<GossipEffect>* effects;    // where to put what is to be done
    // What this peer says first to a neighbour.
    std::function<v1::PeerMessage(const Neighbour&)> hello_to;
    // Hangs up (HangUp) and sees to what was under way over the link.
    std::function<void(int peer, absl::string_view why)> lose;
    uint64_t links_after;  // those that it dials have odd numbers from here on
    bool epochs = false;   // who is in another epoch may be in ours soon
  };

  // `jitter` spreads the tries of many peers.
  PeerDialer(Options options, Rng jitter);
  PeerDialer(const PeerDialer&) = delete;
  PeerDialer& operator=(const PeerDialer&) = delete;

  // From here on a neighbour that does not fit is not dialled again; before,
  // the right one may still come in its place.
  void BeginRun() { begun_ = true; }

  // Another peer dialled, with the name of its verified certificate, or none.
  void Accept(uint64_t link, std::string certificate_name, absl::Time now);
  // Dials whoever is due.
  void DialDue(absl::Time now);
  // Gives up what has not said hello in time.
  void CheckDeadlines(absl::Time now);
  // When one of the two has something to do.
  absl::Time WakeAt() const;

  // Whether the hello is the first one of a link, and fits: that link is to be
  // taken, or refused for a reason of the machine's. Else all is done.
  bool Fits(uint64_t link, const v1::PeerHello& hello);
  // The link is up, of the neighbour that said hello; an older one goes.
  void Take(uint64_t link, const v1::PeerHello& hello, absl::Time now);
  // Hangs up before the link is taken: without a word, or with the reason.
  // `retry`: the other end may come again.
  void Drop(uint64_t link, absl::string_view why = "");
  void Refuse(uint64_t link, absl::string_view reason, bool retry);
  // Of a link that is not up: anything but a hello.
  void OnEarly(uint64_t link, const v1::PeerMessage& message);

  // The neighbour whose link is up; −1: none.
  int PeerOf(uint64_t link) const;
  // The neighbour whose link it was, for Lost; −1: none.
  int Closed(uint64_t link);
  // Whether there was a link, which now is to be Lost.
  bool HangUp(int peer);
  // The link is gone, and dialled again later. Says so if it was up and there
  // is a reason. Returns which it was.
  uint64_t Lost(int peer, absl::string_view why, absl::Time now);

  // FailedPrecondition: this peer has neighbours, all of which do not fit, as
  // far as either has said last; and why.
  absl::Status RefusedByAll() const;
  // When a machine goes without those that are not up, if it waits for each
  // until `latest`: for one that was up before no longer than `gone` from when
  // it was lost. InfinitePast: all are up.
  absl::Time BeginsBy(absl::Time latest, absl::Duration gone) const;
  // Who is not up yet, for people.
  std::string Waiting() const;

 private:
  struct Stranger {  // a link before its hello
    absl::Time deadline;
    std::string certificate_name;
    bool MayBe(const std::string& name) const {
      return certificate_name.empty() || certificate_name == name;
    }
  };

  bool Dials(int peer) const { return options_.hello->index() < peer; }
  int Dialled(uint64_t link) const;  // not up yet; −1: none
  std::string WhyNot(uint64_t link, const v1::PeerHello& hello) const;
  void NoteRefusal(int peer, absl::string_view reason);
  void HearOfEpoch(uint64_t link, const v1::PeerHello& hello);
  void Say(LogLevel level, std::string text);
  template <typename E>
  void Do(E effect) {
    options_.effects->emplace_back(std::move(effect));
  }

  const Options options_;
  Rng jitter_;
  bool begun_ = false;
  std::map<uint64_t, Stranger> strangers_;
  uint64_t last_link_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_PEER_DIALER_H_
