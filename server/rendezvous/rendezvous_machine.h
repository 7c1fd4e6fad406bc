// The rendezvous of a gossip run: who its peers are, where they are, what they
// tell of their rounds, and when all are done. It has no part in the rounds
// themselves, and sees no parameter. A pure state machine: no I/O, no threads,
// no clock. What it wants done it returns as effects; what happens comes as
// events.
//
// It is the one writer of membership. Whoever is lost or leaves is dropped by a
// new epoch, whoever comes later, or was started anew, is let in by one: with a
// part of the data that was freed or with data of its own. Where the run's
// graph cannot be had for the peers that there are, the membership stays what
// it is.
#ifndef PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_MACHINE_H_
#define PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_MACHINE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/model/parameters.h"
#include "parley/v1/coordinator.pb.h"
#include "parley/v1/run.pb.h"
#include "server/rendezvous/rendezvous_events.h"

namespace parley {

struct RendezvousMachineOptions {
  v1::RunConfig config;  // with gossip; defaults filled in and validated
  std::string run;       // its name
  uint64_t term = 1;
  uint64_t run_id = 0;
  ParameterSpec spec;  // of the model
  std::string token_key;
  // Of a run that is taken up again: its latest membership, and the rounds that
  // were told.
  std::optional<v1::Membership> membership;
  int64_t told_rounds = 0;
  // ρ of the topology, where it has one for each round.
  std::optional<double> contraction;
};

// Single-threaded; the driver calls Step from one sequence.
class RendezvousMachine {
 public:
  static constexpr absl::Duration kSayEvery = absl::Seconds(10);
  static constexpr absl::Duration kStatusEvery = absl::Milliseconds(100);
  // What peers have at least to come back to a rendezvous that was resumed.
  static constexpr absl::Duration kComeBack = absl::Seconds(20);

  explicit RendezvousMachine(RendezvousMachineOptions options);
  ~RendezvousMachine();

  // The effects to perform, in order. `now` never goes back. TimerFired may
  // come at any time, and begins.
  std::vector<RendezvousEffect> Step(RendezvousEvent event, absl::Time now);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_MACHINE_H_
