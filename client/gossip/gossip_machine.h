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
#include "client/gossip/gossip_parts.h"
#include "common/base/random.h"
#include "parley/v1/peer.pb.h"

namespace parley {

// Whether two steps are the same one.
bool SameStep(const v1::PeerStep& a, const v1::PeerStep& b);

// Single-threaded; the driver calls Step from one sequence.
class GossipMachine {
 public:
  // A neighbour that does not answer a dial for so long is dialled again.
  static constexpr absl::Duration kDialTimeout = absl::Seconds(20);
  static constexpr absl::Duration kFirstDelay = absl::Milliseconds(100);
  static constexpr absl::Duration kMaxDelay = absl::Seconds(5);
  // Without any link it waits for so many edge timeouts before it goes on.
  static constexpr int kAloneAfter = 4;
  static constexpr absl::Duration kReportEvery = absl::Seconds(10);
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

  int64_t round() const { return round_; }
  int64_t epoch() const { return hello_.epoch(); }
  uint64_t schedule_hash() const { return hello_.schedule_hash(); }
  // Edges of the last round that were used and given up, for reports.
  int used_edges() const { return used_edges_; }
  int lost_edges() const { return lost_edges_; }
  // The last round whose exchange or flow with `peer` this peer committed; 0:
  // none. What it may be in doubt about itself.
  int64_t committed(int peer) const;
  std::optional<int64_t> doubt(int peer) const;
  // Of averages: the last one known to be committed.
  int64_t committed_average() const { return averages_.committed; }
  // It ends before its last round, since it was asked to leave.
  bool left() const { return left_; }

 private:
  enum class Phase {
    kNew,
    kJoining,   // waits for its links before the first round
    kIsolated,  // waits for any link
    kCopying,   // waits for a neighbour's model
    kRound,
    kMixing,
    kFinishing,  // done; others may still need to hear what was decided
    kOver
  };
  using Part = gossip_parts::Part;
  using Doubt = gossip_parts::Doubt;
  using Stranger = gossip_parts::Stranger;
  using Neighbour = gossip_parts::Neighbour;
  using Edge = gossip_parts::Edge;
  using Average = gossip_parts::Average;
  using Averages = gossip_parts::Averages;
  using Leaving = gossip_parts::Leaving;

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
  absl::Duration StartWait() const;
  void BeginRun();
  void BeginRound();
  int64_t LastRound() const {
    return options_.rounds + (options_.final_average ? 1 : 0);
  }
  bool LacksAverage() const {
    return options_.final_average && !IsAveraged() && !left_;
  }
  void Advance();
  void PerformSettlements();
  void PerformSettlement(int peer, std::optional<Doubt>* doubt);
  void FinishIfDone();
  absl::Time GoneAt(const Neighbour& n) const;
  void TellLeaving(absl::string_view reason);
  void Exit(absl::Status status);
  bool IsAverage(int64_t round) const;
  bool IsFinal() const { return round_ > options_.rounds; }

  // ..._leave.cc
  bool HandsOver() const { return leave_ && leave_->now && options_.flows; }
  double ShareOf(const Edge& edge) const;  // that it gives away
  void BeginLastRound();
  bool LeavesAfterRound();
  double MostScale(int peer) const;
  void Finish();

  // ..._epochs.cc
  bool EpochIsDue() const;
  bool HasGoneOn(int peer) const;
  void HearOfEpoch(uint64_t link, const v1::PeerHello& hello);
  int64_t CurrentRound() const;
  void ChangeEpoch();
  void AdvanceCopy();
  void ServeCopies();
  void ChangeEpochAtEnd();
  void TryAverageAgain();

  // ..._links.cc
  void DialDue();
  void OnHello(uint64_t link, const v1::PeerHello& hello);
  std::string WhyNot(uint64_t link, const v1::PeerHello& hello) const;
  bool IsRefusedByAll() const;
  void ExitRefused();
  void Refuse(uint64_t link, absl::string_view reason, bool retry);
  void LinkUp(int peer, uint64_t link, const v1::PeerHello& hello);
  void LoseLink(int peer, absl::string_view why);  // hangs up
  void LinkLost(int peer, absl::string_view why);  // is gone already
  void TendLinks();
  void OnSettle(int peer, const v1::PeerSettle& settle);
  void Outcome(Doubt* doubt, bool committed);
  v1::PeerMessage HelloMessage(const Neighbour& to) const;
  int PeerOf(uint64_t link) const;  // -1: none that is up
  bool Dials(int peer) const { return self_ < peer; }
  void Send(int peer, v1::PeerMessage message);
  void SendDecision(int peer, const v1::PeerStep& step, bool committed,
                    absl::string_view reason);

  // ..._edges.cc
  v1::PeerUse Use() const { return options_.flows ? v1::FLOW : v1::EXCHANGE; }
  v1::PeerStep StepOf(v1::PeerUse use, int32_t step = 0) const;
  bool IsNow(const v1::PeerStep& step, v1::PeerUse use) const;
  bool DecidesExchange(int peer) const { return self_ < peer; }
  void AdvanceEdges();
  Edge* EdgeOf(int peer);
  bool HasGivenUp(int peer);
  void Commit(Edge& edge);
  void FailEdge(Edge& edge, absl::string_view why);
  void EdgeLinkLost(Edge& edge, absl::string_view why);
  void EnterDoubt(Edge& edge);
  void OnPayload(int peer);
  void OnDecision(int peer, const v1::PeerDecision& decision);
  bool EdgesDone() const;

  // ..._average.cc
  int Next() const { return (self_ + 1) % peers_; }
  int Previous() const { return (self_ + peers_ - 1) % peers_; }
  int AverageSteps() const { return 2 * (peers_ - 1); }
  void AdvanceAverage();
  bool AverageMoves() const;
  void FailAverage(absl::string_view why);
  void EndAverage(bool committed);
  void OnToken();
  void OnAverageDecision(bool committed, const v1::PeerStep& step);
  void TellAverage(int64_t round, bool committed);
  void HearOfAverages(const v1::PeerSettle& settle);
  void SettleAverage(bool committed);
  bool IsAveraged() const { return averages_.committed > options_.rounds; }
  v1::PeerMessage AveragesMessage() const;

  // ..._time.cc
  void CheckDeadlines();
  absl::Time DeadlineOf(const Edge& edge) const;
  void ReportWaiting();
  void SetWakeAt();
  void Say(LogLevel level, std::string text);
  template <typename E>
  void Do(E effect) {
    effects_.emplace_back(std::move(effect));
  }

  // Constant after construction.
  const GossipMachineOptions options_;

  // The epoch.
  v1::PeerHello hello_;
  std::vector<std::string> names_;
  std::shared_ptr<EdgePlan> plan_;  // shared by all peers of a process
  int self_;
  int peers_;
  std::optional<GossipMembership> next_epoch_;

  Rng jitter_;
  absl::Time now_ = absl::InfinitePast();
  std::vector<GossipEffect> effects_;  // of this step
  absl::Time wake_at_ = absl::InfiniteFuture();

  Phase phase_ = Phase::kNew;
  absl::Time phase_since_;
  std::map<int, Neighbour> neighbours_;
  bool tended_ = false;
  std::map<uint64_t, Stranger> strangers_;
  uint64_t last_link_ = 1;  // odd: of dialled links

  // The round.
  int64_t round_;
  bool prepared_ = false;
  bool trained_ = false;
  bool alone_ = false;   // goes on without reaching anybody
  bool leaves_ = false;  // has said so
  absl::Time lacks_since_ = absl::InfinitePast();  // the average at the end
  std::optional<Leaving> leave_;
  bool left_ = false;
  bool copies_ = false;  // still has to get a model
  bool anew_ = false;    // the others go on after an earlier incarnation
  std::vector<Edge> edges_;
  std::optional<Average> average_;
  // The staging buffer: what was armed last, and whether it is in use.
  uint64_t armed_link_ = 0;
  v1::PeerStep armed_;
  bool armed_begun_ = false;
  double armed_omega_ = 1;
  double armed_scale_ = 1;
  bool staging_busy_ = false;
  int used_edges_ = 0;
  int lost_edges_ = 0;

  Averages averages_;

  absl::Time next_report_ = absl::InfiniteFuture();
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_GOSSIP_MACHINE_H_
