#include "server/run/status_board.h"

#include <utility>
#include <vector>

namespace parley {

uint64_t StatusBoard::Add(StatusCallback callback) {
  auto shared = std::make_shared<StatusCallback>(std::move(callback));
  MutexLock lock(mu_);
  watchers_[++last_id_] = std::move(shared);
  return last_id_;
}

void StatusBoard::Remove(uint64_t id) {
  MutexLock lock(mu_);
  watchers_.erase(id);
  if (teller_ == std::this_thread::get_id()) return;
  while (telling_ == id && id != 0) told_.Wait(mu_);
}

bool StatusBoard::empty() {
  MutexLock lock(mu_);
  return watchers_.empty();
}

void StatusBoard::Tell(uint64_t id, const v1::RunStatus& status) {
  std::shared_ptr<StatusCallback> callback;
  {
    MutexLock lock(mu_);
    const auto it = watchers_.find(id);
    if (it == watchers_.end()) return;
    callback = it->second;
    telling_ = id;
    teller_ = std::this_thread::get_id();
  }
  (*callback)(status);
  callback.reset();  // what it holds goes before Remove returns
  MutexLock lock(mu_);
  telling_ = 0;
  teller_ = std::thread::id();
  told_.SignalAll();
}

void StatusBoard::TellAll(const v1::RunStatus& status) {
  std::vector<uint64_t> ids;
  {
    MutexLock lock(mu_);
    for (const auto& [id, callback] : watchers_) ids.push_back(id);
  }
  for (uint64_t id : ids) Tell(id, status);
}

}  // namespace parley
