// Whose turn it is to move numbers: so many downloads and so many uploads at
// once, the lowest cohort slot first.
#ifndef PARLEY_SERVER_ROUND_TRANSFER_DESK_H_
#define PARLEY_SERVER_ROUND_TRANSFER_DESK_H_

#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "server/round/round_events.h"

namespace parley {

// The permits of one direction, and who waits for one. Not thread-safe.
class PermitQueue {
 public:
  explicit PermitQueue(int permits) : free_(permits) {}

  // The slot wants a permit: lower `rank` first, then lower slot. A slot waits
  // once; the later rank holds.
  void Want(size_t slot, int rank);
  void Withdraw(size_t slot);
  void WithdrawAll();
  // Whose turn it is: takes the slot out of the queue and a permit for it.
  std::optional<size_t> Next();
  void Release() { ++free_; }

 private:
  int free_;
  std::set<std::pair<int, size_t>> waiting_;
  absl::flat_hash_map<size_t, int> rank_;
};

// Both directions, and the transfers that run. A transfer keeps its permit
// until the driver says that it ended, also when nobody wants it any more.
class TransferDesk {
 public:
  enum class Way { kDown, kUp };
  struct Ended {
    Way way;
    std::optional<size_t> slot;  // none: was detached
  };

  explicit TransferDesk(int permits)
      : downloads(permits), uploads(permits), permits_(permits) {}

  int permits() const { return permits_; }  // each way

  PermitQueue downloads;
  PermitQueue uploads;

  // A transfer begins with a permit that its slot holds.
  void Start(TransferId transfer, Way way, size_t slot) {
    running_[transfer] = {way, slot};
  }
  // Its end is of no interest to its slot any more.
  void Detach(TransferId transfer);
  // Gives its permit back; nullopt: does not run.
  std::optional<Ended> End(TransferId transfer);

 private:
  const int permits_;
  absl::flat_hash_map<TransferId, Ended> running_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_TRANSFER_DESK_H_
