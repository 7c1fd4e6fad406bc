#include "server/rendezvous/peer_table.h"

#include <algorithm>
#include <utility>

namespace parley {

PeerTable::PeerTable(int peers, const std::optional<v1::Membership>& membership)
    : peers_(peers) {
  if (!membership) return;
  begun_ = true;
  epoch_ = membership->epoch();
  for (const v1::Membership::Member& member : membership->member()) {
    index_of_[member.name()] = static_cast<int>(entries_.size());
    PeerEntry entry;
    entry.name = member.name();
    entry.address = member.address();
    entry.incarnation = member.incarnation();
    entries_.push_back(std::move(entry));
  }
}

bool PeerTable::Takes(const std::string& name) const {
  if (begun()) return index_of_.contains(name);
  return gathering_.contains(name) ||
         gathering_.size() < static_cast<size_t>(peers_);
}

bool PeerTable::Register(const v1::Register& request,
                         std::optional<int32_t> part) {
  if (!begun()) {
    PeerEntry& entry = gathering_[request.name()];
    entry.name = request.name();
    entry.part = part;
    entry.incarnation = request.incarnation();
    entry.address = request.peer_address();
    return false;
  }
  PeerEntry& entry = entries_[index_of_.at(request.name())];
  entry.lost = false;
  entry.reason.clear();
  if (request.peer_address().empty()) return false;  // it does not listen yet
  if (entry.incarnation != request.incarnation()) entry.done.reset();
  const bool changed = entry.address != request.peer_address() ||
                       entry.incarnation != request.incarnation();
  entry.address = request.peer_address();
  entry.incarnation = request.incarnation();
  return changed;
}

void PeerTable::Lose(const std::string& name, const std::string& reason) {
  gathering_.erase(name);
  const int index = IndexOf(name);
  if (index < 0) return;
  entries_[index].lost = true;
  entries_[index].reason = reason;
}

bool PeerTable::Begin() {
  if (begun() || ready() < peers_) return false;
  for (auto& [name, entry] : gathering_) entries_.push_back(std::move(entry));
  gathering_.clear();
  // By name already; parts are given to all or to none.
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const PeerEntry& a, const PeerEntry& b) {
                     return a.part.value_or(0) < b.part.value_or(0);
                   });
  for (size_t i = 0; i < entries_.size(); ++i) {
    index_of_[entries_[i].name] = static_cast<int>(i);
  }
  begun_ = true;
  return true;
}

v1::Membership PeerTable::membership() const {
  v1::Membership membership;
  membership.set_epoch(epoch_);
  membership.set_first_round(1);
  for (size_t i = 0; i < entries_.size(); ++i) {
    v1::Membership::Member& member = *membership.add_member();
    member.set_index(static_cast<int32_t>(i));
    member.set_name(entries_[i].name);
    member.set_address(entries_[i].address);
    member.set_incarnation(entries_[i].incarnation);
  }
  return membership;
}

int PeerTable::IndexOf(const std::string& name) const {
  const auto it = index_of_.find(name);
  return it == index_of_.end() ? -1 : it->second;
}

std::vector<std::string> PeerTable::names() const {
  std::vector<std::string> names;
  for (const PeerEntry& entry : entries_) names.push_back(entry.name);
  return names;
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

int PeerTable::lost() const {
  return static_cast<int>(std::count_if(
      entries_.begin(), entries_.end(),
      [](const PeerEntry& e) { return e.lost && !e.done.has_value(); }));
}

}  // namespace parley
