// The peers of a gossip run, from their registration to their end.
#ifndef PARLEY_SERVER_RENDEZVOUS_PEER_TABLE_H_
#define PARLEY_SERVER_RENDEZVOUS_PEER_TABLE_H_

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
  bool lost = false;   // its lease is over, or it left
  std::string reason;  // why
  std::optional<v1::PeerDone> done;
};

// Not thread-safe.
class PeerTable {
 public:
  // Of a run of `peers` peers; `membership` where it has begun.
  PeerTable(int peers, const std::optional<v1::Membership>& membership);

  int peers() const { return peers_; }
  bool begun() const { return begun_; }
  // Whether there is room for a peer of that name.
  bool Takes(const std::string& name) const;

  // A client registered. True: the membership has to be told anew, to all.
  bool Register(const v1::Register& request, std::optional<int32_t> part);
  // Before the beginning it is forgotten, later noted. It may come back.
  void Lose(const std::string& name, const std::string& reason);

  // Where all are there: gives each its index, by part or by name, and begins
  // epoch 0.
  bool Begin();
  v1::Membership membership() const;

  // By index; of a run that has begun.
  std::vector<PeerEntry>& entries() { return entries_; }
  const std::vector<PeerEntry>& entries() const { return entries_; }
  int IndexOf(const std::string& name) const;  // -1: none
  std::vector<std::string> names() const;

  // Peers that listen and can train.
  int ready() const;
  int done() const;
  int lost() const;  // and not done

 private:
  const int peers_;
  bool begun_ = false;
  int64_t epoch_ = 0;
  std::map<std::string, PeerEntry> gathering_;
  std::vector<PeerEntry> entries_;
  std::map<std::string, int> index_of_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_PEER_TABLE_H_
