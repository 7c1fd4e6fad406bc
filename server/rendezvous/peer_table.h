// The peers of a gossip run, from their registration to their end, and the
// membership epochs that they take part in.
#ifndef PARLEY_SERVER_RENDEZVOUS_PEER_TABLE_H_
#define PARLEY_SERVER_RENDEZVOUS_PEER_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "parley/v1/admin.pb.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

struct PeerEntry {
  std::string name;
  std::string address;  // empty: it does not listen yet
  uint64_t incarnation = 0;
  std::optional<int32_t> part;
  int64_t since = 0;    // the epoch with which it came in
  bool joined = false;  // came in later, and told of a round with some of ω
  bool lost = false;    // its lease is over, it left, or was started anew
  std::string reason;   // why
  std::optional<v1::PeerDone> done;

  // One that joins has none before its first round.
  bool has_model() const { return since == 0 || joined; }
};

// A peer that an epoch has dropped.
struct GonePeer {
  std::string reason;
  int64_t first_round = 0;  // of that epoch
};

// Not thread-safe.
class PeerTable {
 public:
  // So many epochs are remembered.
  static constexpr size_t kMaxEpochs = 100;

  // Of a run of `peers` peers; `membership`, and the rounds that all have told
  // of, where it has begun. Where it
  // `stays` there are no epochs to come: a process takes the place of an
  // earlier one of its name as it is, as long as nobody is done.
  PeerTable(int peers, bool stays,
            const std::optional<v1::Membership>& membership,
            int64_t told_rounds);

  // Of the present epoch; before the beginning: that it needs.
  int peers() const;
  bool begun() const { return begun_; }
  // Whether there is room for a peer of that name.
  bool Takes(const std::string& name) const;

  enum class Change {
    kNone,
    kMoved,  // a member is elsewhere: all have to be told
    kWaits,  // to be taken in by another epoch
  };
  // A client registered.
  Change Register(const v1::Register& request, std::optional<int32_t> part);
  // Before the beginning it is forgotten, later noted. It may come back.
  void Lose(const std::string& name, const std::string& reason);

  // Where all are there: gives each its index, by part or by name, and begins
  // epoch 0.
  bool Begin();
  // The next epoch. Whoever is not among `members` is gone; those that wait and
  // are among them come in with it.
  void Advance(std::vector<PeerEntry> members, int64_t first_round);
  v1::Membership membership() const;
  int64_t epoch() const { return epoch_; }

  // By index; of a run that has begun.
  std::vector<PeerEntry>& entries() { return entries_; }
  const std::vector<PeerEntry>& entries() const { return entries_; }
  int IndexOf(const std::string& name) const;  // -1: no member
  // That listen and want to be taken in, in the order in which they came.
  const std::vector<PeerEntry>& waiting() const { return waiting_; }
  // That were dropped and are not back.
  const std::map<std::string, GonePeer>& gone() const { return gone_; }

  // By index; null: that epoch is not known (any more).
  const std::vector<std::string>* NamesIn(int64_t epoch) const;
  // The members of the epoch that `round` belongs to, as far as is known.
  std::vector<std::string> MembersOf(int64_t round) const;
  // The first round that waits for this member.
  int64_t FirstRoundOf(const PeerEntry& entry) const;
  // Whether what the client tells of the round counts: not what a peer has done
  // beside the others, in an epoch that they had left without it.
  bool Counts(const std::string& name, const v1::PeerReport& report) const;

  // Peers that listen and can train.
  int ready() const;
  int done() const;
  int lost() const;  // and not done
  // Whether any that is not lost has the model.
  bool AnyHasModel() const;

 private:
  struct Epoch {
    int64_t first_round;
    std::vector<std::string> names;
  };

  void Note(int64_t first_round);  // the present epoch

  const int planned_;
  const bool stays_;
  bool begun_ = false;
  int64_t epoch_ = 0;
  std::map<std::string, PeerEntry> gathering_;
  std::vector<PeerEntry> entries_;
  std::map<std::string, int> index_of_;
  std::vector<PeerEntry> waiting_;
  std::map<std::string, GonePeer> gone_;
  std::map<int64_t, Epoch> epochs_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_PEER_TABLE_H_
