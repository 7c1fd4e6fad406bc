// What peers come to does not depend on how fast they and their links are: the
// same run at other times ends with the same bits.
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "tests/support/inline_executor.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_bench.h"

namespace parley {
namespace {

struct Mode {
  const char* name;
  TopologyOptions topology;
  AlgorithmOptions algorithm = {};
  int64_t average_every = 0;
};
void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

struct Pace {
  LinkLatency latency = nullptr;
  std::function<absl::Duration(int peer)> step_time = nullptr;
};

class TimingTest : public testing::TestWithParam<Mode> {
 protected:
  static constexpr int kPeers = 8;
  static constexpr int64_t kRounds = 25;

  struct Result {
    std::vector<Vector> models;  // of all rounds: [round · peers + peer]
    absl::Time end;
  };

  static Result Run(const Pace& pace) {
    const Mode& mode = GetParam();
    TopologyOptions topology = mode.topology;
    topology.lazy = TraitsOf(mode.algorithm).lazy;
    InlineExecutor pool;
    GossipWorldOptions options =
        BenchOptions(&pool, MakeSchedule(topology, kPeers), kRounds, kElements,
                     [](int peer, int64_t round, const Vector& at) {
                       Vector delta = RandomVector(13 + round, peer, kElements);
                       for (size_t i = 0; i < delta.size(); ++i) {
                         delta[i] = 0.1 * (delta[i] - at[i]);
                       }
                       return delta;
                     });
    options.algorithm = mode.algorithm;
    options.average_every = mode.average_every;
    options.final_average = true;
    options.latency = pace.latency;
    options.step_time = pace.step_time;
    options.edge_timeout = absl::Hours(1);
    Result result;
    result.models.resize((kRounds + 1) * kPeers);
    options.on_round = [&result](int peer, const GossipRound& round,
                                 const PeerState& state) {
      EXPECT_EQ(round.lost_edges, 0);
      result.models[(round.round - 1) * kPeers + peer] =
          ToVector(state.Model());
    };
    auto world = GossipWorld::Create(std::move(options));
    EXPECT_OK(world);
    EXPECT_OK((*world)->Run());
    for (int peer = 0; peer < kPeers; ++peer) {
      result.models[kRounds * kPeers + peer] =
          ToVector((*world)->node(peer).state().Model());
    }
    result.end = (*world)->world().Now();
    return result;
  }
};

TEST_P(TimingTest, ChangesNoBit) {
  const Result first = Run({});
  EXPECT_TRUE(
      absl::c_none_of(first.models, [](const Vector& v) { return v.empty(); }));
  using absl::Milliseconds;
  const Pace paces[] = {
      {[](int a, int b) { return Milliseconds(1 + 7 * (a + b)); },
       [](int peer) { return Milliseconds(1 + 31 * peer); }},
      {[](int a, int b) { return Milliseconds(a * b % 5 * 40); },
       [](int peer) { return Milliseconds(200 - 25 * peer); }},
      {nullptr, [](int peer) { return Milliseconds(90 * (peer * 3 % 8)); }}};
  for (const Pace& pace : paces) {
    const Result other = Run(pace);
    EXPECT_TRUE(other.models == first.models);  // to the last bit
    // And each round took another time.
    EXPECT_GT(other.end - first.end, kRounds * absl::Milliseconds(50));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, TimingTest,
    testing::Values(
        Mode{"adapt_while_communicating", {.kind = "hypercube"}},
        Mode{"adapt_then_combine", {.kind = "torus"}, {.combine = true}},
        Mode{"heavy_ball", {.kind = "random_matching"}, {.momentum = 0.8}},
        Mode{"push_sum", {.kind = "static_exponential"}, {.kind = "push_sum"}},
        Mode{"one_peer", {.kind = "one_peer_exponential"}},
        Mode{"decent_lam",
             {.kind = "small_world"},
             {.kind = "decent_lam", .momentum = 0.8}},
        Mode{"tracking", {.kind = "star"}, {.kind = "gradient_tracking"}},
        Mode{"d2", {.kind = "complete"}, {.kind = "d2"}},
        Mode{"choco",
             {.kind = "hypercube"},
             {.kind = "choco", .compressor = "int8", .consensus_step = 0.7}},
        Mode{"exact_average", {.kind = "ring"}, {.kind = "exact_average"}},
        Mode{"gossip_pga", {.kind = "base"}, {}, 3}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace parley
