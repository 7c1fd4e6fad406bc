// When the membership of a gossip run changes, and to what.
#ifndef PARLEY_SERVER_RENDEZVOUS_EPOCH_KEEPER_H_
#define PARLEY_SERVER_RENDEZVOUS_EPOCH_KEEPER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "parley/v1/run.pb.h"
#include "server/rendezvous/peer_table.h"

namespace parley {

// Whether the run's algorithm lets peers come and go, and its graph can be had
// for so many, with edges as those that the run began with.
absl::Status CanHavePeers(const v1::RunConfig& config, int64_t epoch,
                          int peers);

// Decides; the table is changed by its caller. Not thread-safe.
class EpochKeeper {
 public:
  // Epochs are no closer together: each makes all peers dial anew.
  static constexpr absl::Duration kEvery = absl::Seconds(2);
  // Changes that come together make one epoch: after the first one it waits for
  // a third of the lease, at most so long.
  static constexpr absl::Duration kGather = absl::Seconds(1);
  // A peer that keeps going and coming back is let in no sooner after its last
  // time than this, doubled each time.
  static constexpr absl::Duration kReturn = absl::Seconds(2);
  static constexpr absl::Duration kMostReturn = absl::Minutes(5);

  // Borrows `peers`.
  EpochKeeper(const v1::RunConfig& config, const PeerTable* peers);

  struct Next {
    std::vector<PeerEntry> members;  // by index
    int64_t first_round = 0;
    std::string what;  // "client-0002 is lost; client-0005 joins"
  };
  // The next epoch, where it is time for one: it is taken as made; none once a
  // peer is done. `latest` is the round that the peers have told of.
  std::optional<Next> Decide(int64_t latest, absl::Time now);

  // When Decide may say something else, whatever happens.
  absl::Time wake_at() const { return wake_at_; }
  // Why the membership stays although peers are lost or wait, and what it waits
  // for; else empty.
  const std::string& stays() const { return stays_; }

 private:
  struct Return {
    int times = 0;
    absl::Time admitted = absl::InfinitePast();
  };

  absl::Duration Pause(const Return& known) const;
  const absl::Status& Fits(int peers);
  void StayWith(int staying, int wanted);
  Next Make(const std::vector<PeerEntry>& joiners, int64_t first_round,
            absl::Time now);

  const v1::RunConfig& config_;
  const PeerTable& peers_;
  const int64_t rounds_;
  const absl::Duration gather_;

  std::map<int, absl::Status> fits_;  // of the next epoch, by its peers
  std::map<std::string, Return> returns_;
  absl::Time changed_at_ = absl::InfiniteFuture();  // first, since the last one
  absl::Time last_at_ = absl::InfinitePast();
  absl::Time wake_at_ = absl::InfiniteFuture();
  std::string stays_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_EPOCH_KEEPER_H_
