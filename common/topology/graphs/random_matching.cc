// Random perfect matching: in each round the peers form pairs that average; of
// an odd number one is left out.
#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "common/base/random.h"
#include "common/topology/graphs/graphs.h"

namespace parley {
namespace {

// Thread-safe. Keeps the pairs of the last rounds asked for, so that a round
// of m peers costs O(m).
class RandomMatching : public Schedule {
 public:
  explicit RandomMatching(const ScheduleKey& key)
      : Schedule(key.peers, /*period=*/0, /*symmetric=*/true), key_(key) {}

 private:
  // Each peer's partner; its own number: none.
  using Partners = std::shared_ptr<const std::vector<int64_t>>;

  MixingRow RowOf(int64_t round, int64_t peer) const override {
    const int64_t partner = (*PartnersOf(round))[peer];
    MixingRow row;
    if (partner == peer) {
      row.in = {{peer, 1}};
    } else {
      const auto [low, high] = std::minmax(peer, partner);
      row.in = {{low, 0.5}, {high, 0.5}};
    }
    row.out = row.in;
    return row;
  }

  Partners PartnersOf(int64_t round) const {
    const size_t slot = static_cast<size_t>(round) % kKept;
    {
      MutexLock lock(mu_);
      if (kept_[slot].first == round) return kept_[slot].second;
    }
    Partners partners = Draw(round);
    MutexLock lock(mu_);
    kept_[slot] = {round, partners};
    return partners;
  }

  Partners Draw(int64_t round) const {
    std::vector<int64_t> order(peers());
    std::iota(order.begin(), order.end(), 0);
    Rng rng(key_.seed, absl::StrCat(key_.epoch), round, "random_matching");
    rng.Shuffle(absl::MakeSpan(order));
    std::vector<int64_t> partners(peers());
    std::iota(partners.begin(), partners.end(), 0);
    for (size_t i = 0; i + 1 < order.size(); i += 2) {
      partners[order[i]] = order[i + 1];
      partners[order[i + 1]] = order[i];
    }
    return std::make_shared<const std::vector<int64_t>>(std::move(partners));
  }

  // Peers without a common clock are a few rounds apart.
  static constexpr size_t kKept = 4;

  const ScheduleKey key_;
  mutable Mutex mu_;
  // Shared, since a reader may outlast the slot.
  mutable std::pair<int64_t, Partners> kept_[kKept] GUARDED_BY(mu_) = {
      {-1, nullptr}, {-1, nullptr}, {-1, nullptr}, {-1, nullptr}};
};

}  // namespace

ScheduleOr MakeRandomMatching(const TopologyOptions&, const ScheduleKey& key) {
  return std::make_unique<RandomMatching>(key);
}

}  // namespace parley
