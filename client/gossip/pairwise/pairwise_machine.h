// One peer's side of AD-PSGD (Lian et al. 2018): it makes its local steps by
// itself; meanwhile it takes the mean of its model and a neighbour's, one
// neighbour at a time. A pure state machine, as GossipMachine is, with the same
// events and effects; "round" is the peer's own step.
//
// A peer is in one exchange at a time, so two peers must both be free for one.
// Nobody can wait in a circle: the end with the lower index offers, and waits
// for the other one, which takes the offer once it is free; so whoever waits
// with an offer waits for a higher index. The higher end asks for an offer, and
// stays free meanwhile.
//
// What became of an exchange is decided, told and settled as by GossipMachine;
// its number is the edge's.
#ifndef PARLEY_CLIENT_GOSSIP_PAIRWISE_PAIRWISE_MACHINE_H_
#define PARLEY_CLIENT_GOSSIP_PAIRWISE_PAIRWISE_MACHINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/gossip/edge_plan.h"
#include "client/gossip/gossip_events.h"
#include "client/gossip/gossip_parts.h"
#include "client/gossip/pairwise/pairwise_parts.h"
#include "client/gossip/peer_dialer.h"
#include "common/base/random.h"
#include "parley/v1/peer.pb.h"

namespace parley {

// Single-threaded; the driver calls Step from one sequence.
class PairwiseMachine {
 public:
  // An offer or a request is given up after so many edge timeouts, as the other
  // end may wait for others; where nothing is heard of it after one.
  static constexpr int kBusy = 4;
  // A peer that is done answers until its neighbours are, too; for so many
  // times what its own steps took and so many edge timeouts at most.
  static constexpr int kPatience = 20;

  // The schedule is symmetric and always the same. A step's neighbour is drawn
  // by `seed`, name and step; `jitter` spreads the tries of many peers.
  PairwiseMachine(GossipMachineOptions options, std::shared_ptr<EdgePlan> plan,
                  uint64_t seed, Rng jitter);

  // The effects to perform, in order. `now` never goes back. After an Exit, or
  // once averages() holds, there are none any more.
  std::vector<GossipEffect> Step(GossipEvent event, absl::Time now);

  // When TimerFired is due; earlier or repeated ones do no harm.
  absl::Time wake_at() const { return wake_at_; }
  // All peers have done their steps, and nothing is in doubt: the exact average
  // at the end begins, by a GossipMachine, over links of its own.
  bool averages() const { return averages_; }

  // It ends before the others, since it was asked to leave.
  bool left() const { return leaving_.has_value(); }

  int64_t step() const { return step_; }
  // Neighbours with which the current step had an exchange, or lost one.
  int used_edges() const { return static_cast<int>(used_.size()); }
  int lost_edges() const { return static_cast<int>(lost_.size()); }
  // The last exchange with `peer` that was committed; the one in doubt.
  int64_t committed(int peer) const;
  std::optional<int64_t> doubt(int peer) const;

 private:
  enum class Phase {
    kNew,
    kJoining,    // waits for its links before the first step
    kSteps,      // makes its own steps
    kAnswering,  // has made them; others have not
    kOver
  };
  using Doubt = gossip_parts::Doubt;
  using Neighbour = pairwise_parts::Neighbour;
  using Dialer = PeerDialer<Neighbour>;
  using Want = pairwise_parts::Want;
  using Exchange = pairwise_parts::Exchange;

  // pairwise_machine.cc: events, steps and the end.
  void On(const gossip_event::Started&);
  void On(const gossip_event::Accepted& event);
  void On(gossip_event::Received& event);
  void On(const gossip_event::PayloadEnded& event);
  void On(const gossip_event::Closed& event);
  void On(const gossip_event::Prepared&);
  void On(const gossip_event::Trained& event);
  void On(const gossip_event::Staged&);
  void On(const gossip_event::Mixed& event);
  void On(const gossip_event::TimerFired& event);
  void On(const gossip_event::MembershipChanged& event);
  void On(const gossip_event::LeaveRequested& event);
  void On(const gossip_event::StopRequested& event);
  absl::Time BeginsBy() const;
  void OthersBegan();
  void JoinIfReady();
  void BeginStep();
  std::optional<int> Draw() const;
  void Advance();
  void AdvanceEnd();
  void TellLeaving(absl::string_view reason);
  void Exit(absl::Status status);
  void SetWakeAt();
  void Say(LogLevel level, std::string text);

  // pairwise_links.cc
  void OnHello(uint64_t link, const v1::PeerHello& hello);
  void LinkUp(int peer, const v1::PeerHello& hello);
  void LoseLink(int peer, absl::string_view why);  // hangs up
  void LinkLost(int peer, absl::string_view why);  // is gone already
  v1::PeerMessage HelloMessage() const;
  bool IsLower(int peer) const { return self_ < peer; }  // this peer is
  bool Gone(const Neighbour& n, int timeouts) const;
  void Send(int peer, v1::PeerMessage message);
  void SendPairing(int peer, v1::PeerPairing::Kind kind);
  void ReportWaiting();

  // pairwise_exchange.cc
  void OnMessage(int peer, const v1::PeerMessage& message);
  void OnReady(int peer, const v1::PeerStep& step);
  void OnBegin(int peer, const v1::PeerBegin& begin);
  void OnDecision(int peer, const v1::PeerDecision& decision);
  void OnSettle(int peer, const v1::PeerSettle& settle);
  void OnPairing(int peer, v1::PeerPairing::Kind kind);
  v1::PeerStep StepOf(int64_t number) const;
  bool IsExchange(int peer, const v1::PeerStep& step) const;
  void BeginWant(int peer);
  void LoseWant();
  void StartExchange();
  void SendIfReady();
  void Commit();
  void EndExchange(bool used);
  void ExchangeLost();
  void CheckExchange();
  absl::Time WantDeadline() const;
  absl::Time ExchangeDeadline() const;
  void Outcome(int peer, bool committed);

  template <typename E>
  void Do(E effect) {
    effects_.emplace_back(std::move(effect));
  }
  int Next() const { return (self_ + 1) % peers_; }
  int Previous() const { return (self_ + peers_ - 1) % peers_; }
  bool OnRing(int peer) const {
    return options_.final_average && (peer == Next() || peer == Previous());
  }

  const GossipMachineOptions options_;
  const uint64_t seed_;
  const int self_;
  const int peers_;

  absl::Time now_ = absl::InfinitePast();
  std::vector<GossipEffect> effects_;  // of this step
  absl::Time wake_at_ = absl::InfiniteFuture();

  Phase phase_ = Phase::kNew;
  absl::Time phase_since_;
  absl::Duration took_;                 // its own steps
  std::optional<std::string> leaving_;  // why
  bool frozen_told_ = false;
  absl::Time others_began_ = absl::InfiniteFuture();  // before this peer
  bool anew_ = false;  // the others go on after an earlier incarnation
  absl::Time next_report_ = absl::InfiniteFuture();
  std::map<int, Neighbour> neighbours_;
  Dialer dialer_;

  // The step.
  int64_t step_ = 1;
  bool trained_ = false;
  bool mixing_ = false;
  std::optional<Want> want_;
  std::set<int> used_;
  std::set<int> lost_;

  // Whom to offer an exchange, or whose offer to take, next.
  pairwise_parts::PeerQueue queue_;
  std::optional<Exchange> exchange_;
  bool preparing_ = false;  // perhaps for one that was given up

  bool token_ = false;  // of the ring, at the end
  bool forwarded_ = false;
  bool go_ = false;  // the average is to begin
  bool averages_ = false;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_PAIRWISE_PAIRWISE_MACHINE_H_
