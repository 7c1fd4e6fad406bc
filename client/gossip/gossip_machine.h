// One peer's side of gossip: whom to reach, when to train, what to exchange
// over which edge, what became of it, when to go on. A pure state machine: no
// I/O, no threads, no clock, no numbers of the model.
//
// A round: prepare what is sent (and train, before or beside it), use each edge
// or give it up, mix. An edge counts at both ends or at neither (peer.proto):
// the end that decides (`committed`, `decided`) tells the other one, which is
// in doubt meanwhile; if it goes on in doubt, what the edge would have changed
// is kept and settled when the two meet again. So the sum over all peers is
// what it was, whatever breaks when.
//
// An exact average is taken by all its peers or by none: the first peer commits
// it when all hold it, and who has passed the token on is in doubt until it
// hears of that, also from others and in a later epoch, of which all say first
// what they have taken. Where nobody that is left knows, nobody takes it. So
// whatever peer dies at whatever step, all that live and take an average take
// the same one, to the last bit. The average after all rounds is tried again,
// in a new epoch without the dead or in the same one, for options.epoch_wait.
// Not promised: that none is left in doubt where all who know of the average's
// end die, are out of reach for longer than that, or have ended the run with
// it. No epoch begins then (epoch_keeper.h): the others end without an average,
// and the run's end says so. What is settled after the last one is written off.
#ifndef PARLEY_CLIENT_GOSSIP_GOSSIP_MACHINE_H_
#define PARLEY_CLIENT_GOSSIP_GOSSIP_MACHINE_H_

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
#include "client/gossip/gossip_machine_state.h"
#include "client/gossip/gossip_parts.h"
#include "client/gossip/peer_dialer.h"
#include "common/base/random.h"
#include "parley/v1/peer.pb.h"

namespace parley {

// Single-threaded; the driver calls Step from one sequence.
class GossipMachine : public GossipMachineState {
  using Dialer = PeerDialer<gossip_parts::Neighbour>;

 public:
  static constexpr absl::Duration kDialTimeout = Dialer::kDialTimeout;
  static constexpr absl::Duration kFirstDelay = Dialer::kFirstDelay;
  static constexpr absl::Duration kMaxDelay = Dialer::kMaxDelay;
  // Without any link it waits for so many edge timeouts before it goes on.
  static constexpr int kAloneAfter = 4;
  // So long after the average at the end failed it is tried again.
  static constexpr absl::Duration kTryAfter = absl::Milliseconds(500);
  // A peer that leaves ends after so many rounds, whether any edge of them
  // counted or not.
  static constexpr int kLeaveTries = 3;

  // `jitter` spreads the tries of many peers.
  GossipMachine(GossipMachineOptions options, std::shared_ptr<EdgePlan> plan,
                Rng jitter);

  // The effects to perform, in order. `now` never goes back. After an Exit
  // there are none any more.
  std::vector<GossipEffect> Step(GossipEvent event, absl::Time now);

  // When TimerFired is due; earlier or repeated ones do no harm.
  absl::Time wake_at() const { return wake_at_; }

 private:
  // Each group in a file of its own: gossip_machine.cc, ...
  //
  // Events.
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
  void On(gossip_event::MembershipChanged& event);
  void On(const gossip_event::StopRequested& event);
  void On(const gossip_event::LeaveRequested& event);
  void OnMessage(int peer, v1::PeerMessage& message);

  // Rounds.
  void JoinIfReady();
  void BeginRun();
  void BeginRound();
  void TellOfSkippedRounds();
  void Advance();
  void PerformSettlements();
  void PerformSettlement(int peer, const Doubt& doubt);
  void FinishIfDone();
  absl::Time GoneAt(const Neighbour& n) const;
  void TellLeaving(absl::string_view reason);
  void Exit(absl::Status status);

  // ..._leave.cc
  void BeginLastRound();
  bool LeavesAfterRound();
  void Finish();

  // ..._epochs.cc
  bool EpochIsDue() const;
  bool HasGoneOn(int peer) const;
  int64_t CurrentRound() const;
  void ChangeEpoch();
  void AdvanceCopy();
  void AskForModel(int peer);
  void ServeCopies();
  void ChangeEpochAtEnd();
  void TryAverageAgain();

  // ..._links.cc
  void DialDue();
  void OnHello(uint64_t link, const v1::PeerHello& hello);
  bool ExitIfRefused();
  void LinkUp(int peer, const v1::PeerHello& hello);
  void LoseLink(int peer, absl::string_view why);  // hangs up
  void LinkLost(int peer, absl::string_view why);  // is gone already
  void TendLinks();
  void OnSettle(int peer, const v1::PeerSettle& settle);
  void Outcome(Neighbour& n, bool committed);
  v1::PeerMessage HelloMessage(const Neighbour& to) const;
  void Send(int peer, v1::PeerMessage message);
  void SendDecision(int peer, const v1::PeerStep& step, bool committed,
                    absl::string_view reason);

  // ..._edges.cc
  void AdvanceEdges();
  bool HasGivenUp(int peer);
  void Commit(Edge& edge);
  void FailEdge(Edge& edge, absl::string_view why);
  void EdgeLinkLost(Edge& edge, absl::string_view why);
  void Lose(Edge& edge);
  void EnterDoubt(Edge& edge);
  void OnBegin(int peer, const v1::PeerBegin& begin);
  void OnPayload(int peer);
  void OnDecision(int peer, const v1::PeerDecision& decision);

  // ..._average.cc
  void AdvanceAverage();
  void FailAverage(absl::string_view why);
  void EndAverage(bool committed);
  void OnToken();
  void OnAverageDecision(bool committed, const v1::PeerStep& step);
  void TellAverage(int64_t round, bool committed);
  void HearOfAverages(const v1::PeerSettle& settle);
  void SettleAverage(bool committed);

  // ..._time.cc
  void CheckDeadlines();
  absl::Time BeginsBy() const;
  void HearOfRound(Neighbour* n, int64_t round);
  absl::Time StartBreaksAt() const;
  absl::Time DeadlineOf(const Edge& edge) const;
  absl::Time DeadlineOf(const Average& average) const;
  void ReportWaiting();
  void SetWakeAt();
  void Say(LogLevel level, std::string text);
  template <typename E>
  void Do(E effect) {
    effects_.emplace_back(std::move(effect));
  }

  absl::Time now_ = absl::InfinitePast();
  std::vector<GossipEffect> effects_;  // of this step
  absl::Time wake_at_ = absl::InfiniteFuture();
  absl::Time next_report_ = absl::InfiniteFuture();
  Dialer dialer_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_GOSSIP_MACHINE_H_
