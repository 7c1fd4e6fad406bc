// Complete: everybody averages with everybody. Rows are made when asked for,
// since all of them together are m² numbers.
#include <memory>

#include "common/topology/graphs/graphs.h"

namespace parley {
namespace {

class Complete : public Schedule {
 public:
  explicit Complete(int64_t peers)
      : Schedule(peers, /*period=*/1, /*symmetric=*/true) {}

 private:
  MixingRow RowOf(int64_t, int64_t) const override {
    MixingRow row;
    row.in.reserve(peers());
    for (int64_t peer = 0; peer < peers(); ++peer) {
      row.in.push_back({peer, 1.0 / static_cast<double>(peers())});
    }
    row.out = row.in;
    return row;
  }
};

}  // namespace

ScheduleOr MakeComplete(const TopologyOptions&, const ScheduleKey& key) {
  return std::make_unique<Complete>(key.peers);
}

}  // namespace parley
