// A rendezvous machine in virtual time, and peers that a test speaks for.
#ifndef PARLEY_TESTS_UNIT_RENDEZVOUS_RENDEZVOUS_WORLD_H_
#define PARLEY_TESTS_UNIT_RENDEZVOUS_RENDEZVOUS_WORLD_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/report/gossip_facts.h"
#include "server/rendezvous/rendezvous_machine.h"

namespace parley {

// A ring of `peers` with parts of data.train.
v1::RunConfig GossipRun(int peers, int rounds);

// What a peer has been told.
struct FakePeer {
  SessionId session = 0;  // 0: not connected
  uint64_t incarnation = 1;
  std::optional<v1::Registered> welcome;
  std::vector<v1::Membership> memberships;
  int64_t taken = 0;
  std::optional<v1::Goodbye> goodbye;
};

class RendezvousWorld {
 public:
  explicit RendezvousWorld(v1::RunConfig config) {
    options_.config = std::move(config);
    options_.run = options_.config.name();
    options_.run_id = 77;
    options_.token_key = "key";
    const auto rho = ContractionOf(options_.config, 0,
                                   options_.config.data().partition().parts());
    if (rho.ok()) options_.contraction = *rho;
    machine_.emplace(options_);
  }
  // A coordinator that takes the run up again, after `told` rounds.
  void Resume(int64_t told);

  void Step(RendezvousEvent event);
  void Advance(absl::Duration d);  // fires the timers on the way
  // All of them send heartbeats meanwhile.
  void AdvanceWith(absl::Duration d, const std::vector<std::string>& names);

  FakePeer& peer(const std::string& name) { return peers_[name]; }
  v1::Register Hello(const std::string& name) const;
  void Join(const std::string& name, const v1::Register& hello);
  // Registers, and again once it listens at `address`.
  void Join(const std::string& name, const std::string& address);
  void Break(const std::string& name);
  void Say(const std::string& name, v1::ClientMessage message);
  void Report(const std::string& name, int64_t round, double loss = 1,
              int64_t epoch = 0, double omega = 1);
  void Done(const std::string& name, uint64_t hash = 5, bool averaged = true);
  void Leave(const std::string& name, const std::string& reason);
  // Another process under that name, at `address`.
  void Restart(const std::string& name, const std::string& address);

  bool Said(const std::string& text) const { return TimesSaid(text) > 0; }
  int TimesSaid(const std::string& text) const;
  // "epoch 1 from 3: 0=a@h:1 1=b@h:2 since 1" of what `name` was told last.
  std::string Told(const std::string& name);

  std::vector<RoundReport> reports;
  std::vector<v1::JournalRecord> records;
  std::vector<std::string> said;
  std::optional<v1::RunStatus> status;
  std::optional<effect::EndRun> end;

 private:
  RendezvousMachineOptions options_;
  std::optional<RendezvousMachine> machine_;
  absl::Time now_ = absl::UnixEpoch();
  absl::Time timer_ = absl::InfiniteFuture();
  SessionId last_session_ = 0;
  std::map<std::string, FakePeer> peers_;
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_RENDEZVOUS_RENDEZVOUS_WORLD_H_
