// The rendezvous machine's insides; rendezvous_machine.cc has what concerns
// sessions and registration, rendezvous_machine_rounds.cc the rest.
#ifndef PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_MACHINE_IMPL_H_
#define PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_MACHINE_IMPL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "server/registry/registry.h"
#include "server/rendezvous/epoch_keeper.h"
#include "server/rendezvous/gossip_end.h"
#include "server/rendezvous/gossip_progress.h"
#include "server/rendezvous/peer_table.h"
#include "server/rendezvous/rendezvous_machine.h"
#include "server/rendezvous/round_ledger.h"
#include "server/round/outbox.h"
#include "server/round/reception.h"

namespace parley {

class RendezvousMachine::Impl {
 public:
  explicit Impl(RendezvousMachineOptions options);

  std::vector<RendezvousEffect> Step(RendezvousEvent event, absl::Time now);

 private:
  void On(event::SessionOpened& e) { reception_.Open(e); }
  void On(event::MessageReceived& e);
  void On(event::SessionClosed& e) { reception_.Forget(e.session); }
  void On(event::TimerFired&) {}
  void On(event::StopRequested& e) { end_ = {e.state, e.reason}; }

  void OnRegister(SessionId id, Session& session, const v1::Register& request);
  void OnReports(SessionId id, Session& session,
                 const v1::PeerReports& reports);
  void OnDone(SessionId id, Session& session, const v1::PeerDone& done);
  void OnLeave(SessionId id, const std::string& name, const v1::Leave& leave);

  void Lose(const std::string& name, const std::string& reason);
  void Expire();

  void BeginIfReady();
  void ChangeEpochIfDue();
  int64_t LatestRound() const;
  void TellMembership();
  void NoteContraction(int64_t first_round);  // of the present epoch
  void TellRounds();
  std::vector<std::string> AwaitedIn(int64_t round) const;
  void Tell(RoundReport report);
  void EndRun();
  // With the end: the evaluations of the peers.
  void TellLastRound();

  RoundLedger MakeLedger(int64_t told_rounds) const;
  void TellStatus();
  void TellWaiting();
  void SetTimer();

  const RendezvousMachineOptions options_;
  const int64_t rounds_;
  Registry registry_;
  EffectOutbox<RendezvousEffect> out_;
  Reception reception_;
  PeerTable peers_;
  EpochKeeper epochs_;
  RoundLedger ledger_;
  GossipProgress progress_;
  std::map<int64_t, std::optional<double>> contractions_;  // by first round
  std::optional<RunEnd> end_;
  bool ended_ = false;
  // Of a run that was taken up again: peers that are not back by then are lost.
  absl::Time back_by_ = absl::InfinitePast();

  // State, round; peers that are done, ready, registered, lost.
  using Told = std::tuple<v1::RunState, int64_t, int, int, size_t, int>;
  Told told_;
  bool owes_ = false;  // a status
  absl::Time told_at_ = absl::InfinitePast();
  absl::Time changed_at_ = absl::InfinitePast();  // or said what it waits for
  std::string waits_for_;
  std::string stays_;  // why the membership does, as was said last
  absl::Time timer_ = absl::InfiniteFuture();
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_MACHINE_IMPL_H_
