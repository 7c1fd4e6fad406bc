#include "client/gossip/peer_dialer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/gossip/gossip_parts.h"
#include "client/gossip/hello_check.h"
#include "client/gossip/pairwise/pairwise_parts.h"
#include "common/base/log.h"

namespace parley {
namespace {

constexpr size_t kMostNamed = 5;  // neighbours that a message names
// After a refusal, as the other end is there.
constexpr int kFailuresAfterRefusal = 3;

}  // namespace

template <typename Neighbour>
PeerDialer<Neighbour>::PeerDialer(Options options, Rng jitter)
    : options_(std::move(options)),
      jitter_(jitter),
      last_link_(options_.links_after) {}

template <typename Neighbour>
void PeerDialer<Neighbour>::Accept(uint64_t link, std::string certificate_name,
                                   absl::Time now) {
  strangers_[link] = {now + kDialTimeout, std::move(certificate_name)};
}

template <typename Neighbour>
void PeerDialer<Neighbour>::DialDue(absl::Time now) {
  for (auto& [peer, n] : *options_.neighbours) {
    if (!Dials(peer) || n.link != 0 || n.left || n.refused || now < n.dial_at) {
      continue;
    }
    last_link_ += 2;
    n.link = last_link_;
    n.since_dial = now;
    Do(gossip_effect::Dial{n.link, peer});
    Do(gossip_effect::Send{n.link, options_.hello_to(n)});
  }
}

template <typename Neighbour>
void PeerDialer<Neighbour>::CheckDeadlines(absl::Time now) {
  for (auto it = strangers_.begin(); it != strangers_.end();) {
    const uint64_t link = it->first;
    const bool late = now >= it->second.deadline;
    ++it;
    if (late) Refuse(link, "said no hello", true);
  }
  for (auto& [peer, n] : *options_.neighbours) {
    if (n.link != 0 && !n.up && now >= n.since_dial + kDialTimeout) {
      options_.lose(peer, "it does not answer");
    }
  }
}

template <typename Neighbour>
absl::Time PeerDialer<Neighbour>::WakeAt() const {
  absl::Time at = absl::InfiniteFuture();
  for (const auto& [link, stranger] : strangers_) {
    at = std::min(at, stranger.deadline);
  }
  for (const auto& [peer, n] : *options_.neighbours) {
    if (n.link != 0 && !n.up) at = std::min(at, n.since_dial + kDialTimeout);
    if (n.link == 0 && Dials(peer) && !n.left && !n.refused) {
      at = std::min(at, n.dial_at);
    }
  }
  return at;
}

// ------------------------------------------------------------------- hellos

template <typename Neighbour>
std::string PeerDialer<Neighbour>::WhyNot(uint64_t link,
                                          const v1::PeerHello& hello) const {
  const std::string why =
      WhyHelloDoesNotFit(*options_.hello, hello, *options_.names);
  if (!why.empty()) return why;
  const int index = hello.index();
  const auto stranger = strangers_.find(link);
  if (stranger == strangers_.end()) {
    return Dialled(link) == index ? "" : "another peer answers at its address";
  }
  if (Dials(index)) return "of two peers the one with the lower index dials";
  if (!stranger->second.MayBe(hello.name())) {
    return absl::StrCat("its certificate is for ",
                        stranger->second.certificate_name);
  }
  return "";
}

template <typename Neighbour>
bool PeerDialer<Neighbour>::Fits(uint64_t link, const v1::PeerHello& hello) {
  const auto stranger = strangers_.find(link);
  const bool accepted = stranger != strangers_.end();
  // Of a link that is gone, or a second one.
  if (!accepted && Dialled(link) < 0) return false;
  const std::string reason = WhyNot(link, hello);
  if (reason.empty()) return true;
  const bool retry =
      options_.epochs && hello.epoch() != options_.hello->epoch();
  if (retry) HearOfEpoch(link, hello);
  if (accepted && !retry && stranger->second.MayBe(hello.name())) {
    for (auto& [peer, n] : *options_.neighbours) {
      if ((*options_.names)[peer] == hello.name() && !n.up) n.refusal = reason;
    }
  }
  Refuse(link, reason, retry);
  return false;
}

// Each of two peers in different epochs learns which of them is ahead, whoever
// dials: the one that is behind waits for an edge that the other one has left.
template <typename Neighbour>
void PeerDialer<Neighbour>::HearOfEpoch(uint64_t link,
                                        const v1::PeerHello& hello) {
  if (hello.run_id() != options_.hello->run_id()) return;
  for (auto& [peer, n] : *options_.neighbours) {
    if ((*options_.names)[peer] != hello.name()) continue;
    const auto stranger = strangers_.find(link);
    const bool accepted = stranger != strangers_.end();
    if (accepted ? !stranger->second.MayBe(hello.name()) : n.link != link) {
      return;
    }
    if (hello.epoch() > options_.hello->epoch()) {
      n.ahead = true;
    } else if (accepted) {
      Do(gossip_effect::Send{link, options_.hello_to(n)});
    }
    return;
  }
}

template <typename Neighbour>
void PeerDialer<Neighbour>::Take(uint64_t link, const v1::PeerHello& hello,
                                 absl::Time now) {
  const int peer = hello.index();
  Neighbour& n = (*options_.neighbours)[peer];
  if (strangers_.erase(link) > 0) {
    if (n.link != 0) options_.lose(peer, "it dialled again");
    n.link = link;
    Do(gossip_effect::Send{link, options_.hello_to(n)});
  }
  n.up = n.met = true;
  n.since = now;
  n.failures = 0;
  n.left = false;
  n.refusal.clear();
}

template <typename Neighbour>
void PeerDialer<Neighbour>::Refuse(uint64_t link, absl::string_view reason,
                                   bool retry) {
  v1::PeerMessage message;
  message.mutable_goodbye()->set_reason(std::string(reason));
  message.mutable_goodbye()->set_retry(retry);
  Do(gossip_effect::Send{link, std::move(message)});
  if (strangers_.contains(link)) {
    Say(LogLevel::kWarning, absl::StrCat("refuses a peer: ", reason));
  } else if (const int peer = Dialled(link); peer >= 0 && !retry) {
    NoteRefusal(peer, reason);
  }
  Drop(link, reason);
}

template <typename Neighbour>
void PeerDialer<Neighbour>::NoteRefusal(int peer, absl::string_view reason) {
  Neighbour& n = options_.neighbours->at(peer);
  n.refusal = std::string(reason);
  n.refused = begun_;
}

template <typename Neighbour>
void PeerDialer<Neighbour>::Drop(uint64_t link, absl::string_view why) {
  if (strangers_.erase(link) > 0) return Do(gossip_effect::HangUp{link});
  const int peer = Dialled(link);
  if (peer >= 0) options_.lose(peer, why);
}

template <typename Neighbour>
void PeerDialer<Neighbour>::OnEarly(uint64_t link,
                                    const v1::PeerMessage& message) {
  if (strangers_.contains(link)) {
    return Refuse(link, "the first message must be a hello", false);
  }
  const int peer = Dialled(link);
  if (peer < 0 || !message.has_goodbye()) return;
  // It refused our hello.
  const v1::PeerGoodbye& goodbye = message.goodbye();
  Say(goodbye.retry() ? LogLevel::kInfo : LogLevel::kWarning,
      absl::StrCat((*options_.names)[peer], " refuses: ", goodbye.reason()));
  if (!goodbye.retry()) NoteRefusal(peer, goodbye.reason());
  Neighbour& n = options_.neighbours->at(peer);
  n.failures = std::min(n.failures, kFailuresAfterRefusal);
  options_.lose(peer, "it refused");
}

// -------------------------------------------------------------------- links

template <typename Neighbour>
int PeerDialer<Neighbour>::PeerOf(uint64_t link) const {
  for (const auto& [peer, n] : *options_.neighbours) {
    if (n.link == link && n.up) return peer;
  }
  return -1;
}

template <typename Neighbour>
int PeerDialer<Neighbour>::Dialled(uint64_t link) const {
  for (const auto& [peer, n] : *options_.neighbours) {
    if (n.link == link && !n.up) return peer;
  }
  return -1;
}

template <typename Neighbour>
int PeerDialer<Neighbour>::Closed(uint64_t link) {
  strangers_.erase(link);
  return std::max(PeerOf(link), Dialled(link));
}

template <typename Neighbour>
bool PeerDialer<Neighbour>::HangUp(int peer) {
  const auto it = options_.neighbours->find(peer);
  if (it == options_.neighbours->end() || it->second.link == 0) return false;
  Do(gossip_effect::HangUp{it->second.link});
  return true;
}

template <typename Neighbour>
uint64_t PeerDialer<Neighbour>::Lost(int peer, absl::string_view why,
                                     absl::Time now) {
  Neighbour& n = options_.neighbours->at(peer);
  if (n.up && !n.left && !why.empty()) {
    Say(LogLevel::kWarning,
        absl::StrCat("lost ", (*options_.names)[peer], ": ", why));
  }
  if (std::exchange(n.up, false)) n.since = now;
  const absl::Duration longest =
      std::min(kMaxDelay, kFirstDelay * (1 << std::min(n.failures, 10)));
  n.dial_at = now + longest * (0.5 + 0.5 * jitter_.Uniform());
  ++n.failures;
  return std::exchange(n.link, 0);
}

template <typename Neighbour>
absl::Time PeerDialer<Neighbour>::BeginsBy(absl::Time latest,
                                           absl::Duration gone) const {
  absl::Time by = absl::InfinitePast();
  for (const auto& [peer, n] : *options_.neighbours) {
    if (n.up || n.refused || n.left) continue;
    by = std::max(by, n.met ? std::min(latest, n.since + gone) : latest);
  }
  return by;
}

// --------------------------------------------------------------- for people

template <typename Neighbour>
absl::Status PeerDialer<Neighbour>::RefusedByAll() const {
  std::vector<std::string> reasons;
  for (const auto& [peer, n] : *options_.neighbours) {
    if (n.up || n.refusal.empty()) return absl::OkStatus();
    if (reasons.size() == kMostNamed) continue;
    reasons.push_back(absl::StrCat((*options_.names)[peer], ": ", n.refusal));
  }
  if (reasons.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "none of its ", options_.neighbours->size(),
      " neighbours takes this peer: ", absl::StrJoin(reasons, "; ")));
}

template <typename Neighbour>
std::string PeerDialer<Neighbour>::Waiting() const {
  std::vector<std::string> missing;
  for (const auto& [peer, n] : *options_.neighbours) {
    if (!n.up && !n.left) missing.push_back((*options_.names)[peer]);
  }
  const size_t named = std::min(missing.size(), kMostNamed);
  return absl::StrCat(
      "waits for ", missing.size(), " of ", options_.neighbours->size(),
      " neighbours: ",
      absl::StrJoin(missing.begin(), missing.begin() + named, ", "));
}

template <typename Neighbour>
void PeerDialer<Neighbour>::Say(LogLevel level, std::string text) {
  Do(gossip_effect::Say{level, std::move(text)});
}

template class PeerDialer<gossip_parts::Neighbour>;
template class PeerDialer<pairwise_parts::Neighbour>;

}  // namespace parley
