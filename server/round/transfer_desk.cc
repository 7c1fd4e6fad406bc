#include "server/round/transfer_desk.h"

namespace parley {

void PermitQueue::Want(size_t slot, int rank) {
  Withdraw(slot);
  waiting_.insert({rank, slot});
  rank_[slot] = rank;
}

void PermitQueue::Withdraw(size_t slot) {
  const auto it = rank_.find(slot);
  if (it == rank_.end()) return;
  waiting_.erase({it->second, slot});
  rank_.erase(it);
}

void PermitQueue::WithdrawAll() {
  waiting_.clear();
  rank_.clear();
}

std::optional<size_t> PermitQueue::Next() {
  if (free_ <= 0 || waiting_.empty()) return std::nullopt;
  const size_t slot = waiting_.begin()->second;
  Withdraw(slot);
  --free_;
  return slot;
}

void TransferDesk::Detach(TransferId transfer) {
  const auto it = running_.find(transfer);
  if (it != running_.end()) it->second.slot.reset();
}

std::optional<TransferDesk::Ended> TransferDesk::End(TransferId transfer) {
  const auto it = running_.find(transfer);
  if (it == running_.end()) return std::nullopt;
  const Ended ended = it->second;
  running_.erase(it);
  (ended.way == Way::kDown ? downloads : uploads).Release();
  return ended;
}

}  // namespace parley
