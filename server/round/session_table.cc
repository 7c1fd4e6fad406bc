#include "server/round/session_table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace parley {

std::optional<SessionId> SessionTable::Open(SessionId id, PeerIdentity peer,
                                            absl::Time now) {
  std::optional<SessionId> crowded_out;
  if (unregistered_count_ >= kMaxUnregistered) {
    crowded_out = NextSilent(absl::InfiniteFuture());
  }
  Session& session = sessions_[id];
  session.peer = std::move(peer);
  session.budget = kBurst;
  session.budget_at = now;
  unregistered_.push_back({now + patience_, id});
  ++unregistered_count_;
  return crowded_out;
}

absl::Status SessionTable::CrowdedOut() {
  return absl::ResourceExhaustedError(
      absl::StrCat(kMaxUnregistered,
                   " connections have not registered, and no more can wait"));
}

absl::Status SessionTable::TooFast() const {
  return absl::ResourceExhaustedError(
      absl::StrFormat("more than %.0f messages a second: slow down", pace_));
}

Session* SessionTable::Find(SessionId id) {
  const auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : &it->second;
}

void SessionTable::Register(Session& session, const std::string& client) {
  if (session.client.empty()) --unregistered_count_;
  session.client = client;
}

void SessionTable::Erase(SessionId id) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return;
  if (it->second.client.empty()) --unregistered_count_;
  sessions_.erase(it);
}

void SessionTable::Clear() {
  sessions_.clear();
  unregistered_.clear();
  unregistered_count_ = 0;
}

std::optional<SessionId> SessionTable::NextSilent(absl::Time now) {
  while (!unregistered_.empty() && unregistered_.front().first <= now) {
    const SessionId id = unregistered_.front().second;
    unregistered_.pop_front();
    const Session* session = Find(id);
    if (session != nullptr && session->client.empty()) return id;
  }
  return std::nullopt;
}

absl::Time SessionTable::NextTimer() const {
  return unregistered_.empty() ? absl::InfiniteFuture()
                               : unregistered_.front().first;
}

bool SessionTable::Spend(Session& session, absl::Time now) const {
  session.budget = std::min(
      kBurst,
      session.budget + pace_ * absl::ToDoubleSeconds(now - session.budget_at));
  session.budget_at = now;
  return --session.budget >= 0;
}

void SessionTable::PayForTask(SessionId id) {
  Session* const session = Find(id);
  if (session == nullptr) return;
  session->budget = std::min(kBurst, session->budget + kMessagesATask);
}

}  // namespace parley
