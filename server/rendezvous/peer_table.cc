#include "server/rendezvous/peer_table.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/topology/topology.h"

namespace parley {

PeerTable::PeerTable(int peers, bool stays,
                     const std::optional<v1::Membership>& membership,
                     int64_t told_rounds)
    : planned_(peers), stays_(stays) {
  if (!membership) return;
  begun_ = true;
  epoch_ = membership->epoch();
  for (const v1::Membership::Member& member : membership->member()) {
    PeerEntry entry;
    entry.name = member.name();
    entry.address = member.address();
    entry.incarnation = member.incarnation();
    entry.since = member.since();
    entry.joined = told_rounds >= membership->first_round();
    entries_.push_back(std::move(entry));
  }
  Note(membership->first_round());
}

int PeerTable::peers() const {
  return begun() ? static_cast<int>(entries_.size()) : planned_;
}

bool PeerTable::Takes(const std::string& name) const {
  if (begun()) {
    return IndexOf(name) >= 0 ||
           std::any_of(waiting_.begin(), waiting_.end(),
                       [&](const PeerEntry& e) { return e.name == name; }) ||
           entries_.size() + waiting_.size() < static_cast<size_t>(kMostPeers);
  }
  return gathering_.contains(name) ||
         gathering_.size() < static_cast<size_t>(planned_);
}

PeerTable::Change PeerTable::Register(const v1::Register& request,
                                      std::optional<int32_t> part) {
  PeerEntry now;
  now.name = request.name();
  now.part = part;
  now.incarnation = request.incarnation();
  now.address = request.peer_address();
  if (!begun()) {
    gathering_[now.name] = std::move(now);
    return Change::kNone;
  }
  const bool listens = !now.address.empty();
  if (const int index = IndexOf(now.name); index >= 0) {
    PeerEntry& entry = entries_[index];
    if (stays_ && done() == 0) entry.incarnation = now.incarnation;
    if (entry.incarnation == now.incarnation) {
      // It has taken the name back from one that was to follow it.
      std::erase_if(waiting_,
                    [&](const PeerEntry& e) { return e.name == now.name; });
      entry.lost = false;
      entry.reason.clear();
      entry.part = part;
      const bool moved = listens && entry.address != now.address;
      if (moved) entry.address = now.address;
      return moved ? Change::kMoved : Change::kNone;
    }
    if (!entry.done) {
      // What the earlier process had is gone with it.
      entry.lost = true;
      entry.reason = "was started anew";
    }
  }
  const auto known =
      std::find_if(waiting_.begin(), waiting_.end(),
                   [&](const PeerEntry& e) { return e.name == now.name; });
  const bool known_so = known != waiting_.end() &&
                        known->incarnation == now.incarnation &&
                        known->address == now.address;
  if (known_so || (!listens && known == waiting_.end())) return Change::kNone;
  if (!listens) {
    if (known->incarnation != now.incarnation) waiting_.erase(known);
    return Change::kNone;
  }
  if (known != waiting_.end()) {
    *known = std::move(now);
  } else {
    waiting_.push_back(std::move(now));
  }
  return Change::kWaits;
}

void PeerTable::Lose(const std::string& name, const std::string& reason) {
  gathering_.erase(name);
  const auto waits =
      std::find_if(waiting_.begin(), waiting_.end(),
                   [&](const PeerEntry& e) { return e.name == name; });
  if (waits != waiting_.end()) waiting_.erase(waits);
  const int index = IndexOf(name);
  if (index < 0) return;
  entries_[index].lost = true;
  entries_[index].reason = reason;
}

bool PeerTable::Begin() {
  if (begun() || ready() < planned_) return false;
  for (auto& [name, entry] : gathering_) entries_.push_back(std::move(entry));
  gathering_.clear();
  // By name already; parts are given to all or to none.
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const PeerEntry& a, const PeerEntry& b) {
                     return a.part.value_or(0) < b.part.value_or(0);
                   });
  begun_ = true;
  Note(1);
  return true;
}

void PeerTable::Advance(std::vector<PeerEntry> members, int64_t first_round) {
  const std::vector<PeerEntry> before = std::exchange(entries_, {});
  ++epoch_;
  for (PeerEntry& member : members) {
    const auto waits =
        std::find_if(waiting_.begin(), waiting_.end(), [&](const PeerEntry& e) {
          return e.name == member.name && e.incarnation == member.incarnation;
        });
    if (waits != waiting_.end()) {
      waiting_.erase(waits);
      member.since = epoch_;
    }
    gone_.erase(member.name);
    entries_.push_back(std::move(member));
  }
  Note(first_round);
  for (const PeerEntry& entry : before) {
    if (IndexOf(entry.name) < 0) {
      gone_[entry.name] = {entry.reason, first_round};
    }
  }
}

void PeerTable::Note(int64_t first_round) {
  index_of_.clear();
  Epoch& epoch = epochs_[epoch_];
  epoch.first_round = first_round;
  for (const PeerEntry& entry : entries_) {
    index_of_[entry.name] = static_cast<int>(index_of_.size());
    epoch.names.push_back(entry.name);
  }
  if (epochs_.size() > kMaxEpochs) epochs_.erase(epochs_.begin());
}

v1::Membership PeerTable::membership() const {
  v1::Membership membership;
  membership.set_epoch(epoch_);
  membership.set_first_round(epochs_.at(epoch_).first_round);
  for (size_t i = 0; i < entries_.size(); ++i) {
    v1::Membership::Member& member = *membership.add_member();
    member.set_index(static_cast<int32_t>(i));
    member.set_name(entries_[i].name);
    member.set_address(entries_[i].address);
    member.set_incarnation(entries_[i].incarnation);
    member.set_since(entries_[i].since);
  }
  return membership;
}

int PeerTable::IndexOf(const std::string& name) const {
  const auto it = index_of_.find(name);
  return it == index_of_.end() ? -1 : it->second;
}

const std::vector<std::string>* PeerTable::NamesIn(int64_t epoch) const {
  const auto it = epochs_.find(epoch);
  return it == epochs_.end() ? nullptr : &it->second.names;
}

std::vector<std::string> PeerTable::MembersOf(int64_t round) const {
  for (auto it = epochs_.rbegin(); it != epochs_.rend(); ++it) {
    if (it->second.first_round <= round || std::next(it) == epochs_.rend()) {
      return it->second.names;
    }
  }
  return {};
}

int64_t PeerTable::FirstRoundOf(const PeerEntry& entry) const {
  if (entry.since == 0) return 1;
  const auto it = epochs_.find(entry.since);
  return it == epochs_.end() ? 1 : it->second.first_round;
}

bool PeerTable::Counts(const std::string& name,
                       const v1::PeerReport& report) const {
  if (IndexOf(name) < 0 && !gone_.contains(name)) return false;
  for (auto it = epochs_.upper_bound(report.epoch()); it != epochs_.end();
       ++it) {
    const std::vector<std::string>& names = it->second.names;
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return report.round() < it->second.first_round;
    }
  }
  const int index = IndexOf(name);
  if (index < 0) return false;  // it claims an epoch that it is not in
  // A member, but perhaps as another process than the one that tells.
  const PeerEntry& entry = entries_[index];
  return report.epoch() >= entry.since || report.round() < FirstRoundOf(entry);
}

int PeerTable::ready() const {
  return static_cast<int>(std::count_if(
      gathering_.begin(), gathering_.end(),
      [](const auto& item) { return !item.second.address.empty(); }));
}

int PeerTable::done() const {
  return static_cast<int>(
      std::count_if(entries_.begin(), entries_.end(),
                    [](const PeerEntry& e) { return e.done.has_value(); }));
}

bool PeerTable::AnyHasModel() const {
  return std::any_of(entries_.begin(), entries_.end(), [](const PeerEntry& e) {
    return !e.lost && e.has_model();
  });
}

int PeerTable::lost() const {
  return static_cast<int>(std::count_if(
      entries_.begin(), entries_.end(),
      [](const PeerEntry& e) { return e.lost && !e.done.has_value(); }));
}

}  // namespace parley
