// Peers that train while their edges break: what all have together after each
// round is what they began with and what their local steps have added.
#include <gtest/gtest.h>

#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_modes.h"
#include "tests/unit/gossip/round_sums.h"

namespace parley {
namespace {

Vector Delta(int peer, int64_t round, const Vector&) {
  Vector delta(kElements, 0.0);
  Add(0.1, RandomVector(23 + static_cast<uint64_t>(round), peer, kElements),
      &delta);
  return delta;
}

std::vector<FaultMode> Modes() {
  std::vector<FaultMode> modes(std::begin(kModes), std::end(kModes));
  modes.push_back({"float32", "ring", {}, 0, DType::kFloat32});
  modes.push_back(
      {"float32_push_sum", "ring", {.kind = "push_sum"}, 0, DType::kFloat32});
  modes.push_back({"momentum", "ring", {.combine = true, .momentum = 0.5}});
  return modes;
}

class LossTest : public testing::TestWithParam<FaultMode> {
 protected:
  void Run(int64_t peers, int64_t rounds, PeerFaults* faults) {
    GossipWorldOptions options =
        OptionsOf(GetParam(), &pool_, peers, rounds, faults, Delta);
    sums_.emplace(GetParam().algorithm);
    sums_->Watch(&options);
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
    sums_->Of(world_.get());
    ASSERT_OK(world_->Run());
    const bool single = GetParam().dtype == DType::kFloat32;
    sums_->Expect(rounds, Delta, single ? 1e-4 : 1e-10);
    if (single || !IsAudited(GetParam().algorithm) ||
        GetParam().algorithm.momentum > 0) {
      return;
    }
    if (GetParam().average_every > 0) return ExpectAuditHolds(*world_);
    ExpectAuditHolds(*world_, [rounds](int peer) {
      double sum = 0;
      for (int64_t round = 1; round <= rounds; ++round) {
        for (const double d : Delta(peer, round, {})) sum += d;
      }
      return sum;
    });
  }

  ThreadPool pool_{2};
  std::optional<RoundSums> sums_;
  std::unique_ptr<GossipWorld> world_;
};

TEST_P(LossTest, FivePercentOfTheEdgesMayBeLost) {
  RandomLoss faults(5, 0.05);
  Run(16, 60, &faults);
  EXPECT_GT(faults.broken(), 20);
  // One end of an edge may use what the other one is in doubt about; and where
  // each gives away the other share may still come in time.
  EXPECT_GT(sums_->LostShare(), 0.03);
  EXPECT_LT(sums_->LostShare(), 0.07);
  if (!TraitsOf(GetParam().algorithm).pairs) {
    EXPECT_GT(sums_->doubts(), 20);
  }
}

// What a round leaves in doubt is settled in the next one, in which the edge
// breaks again.
TEST_P(LossTest, AnEdgeMayBreakInOneRoundAfterAnother) {
  int64_t broken = 0;
  for (const EdgeFaults::Place place : EdgeFaults::kPlaces) {
    for (const bool up : {true, false}) {
      SCOPED_TRACE(absl::StrCat("place ", place, up ? " up" : " down"));
      BreakInRounds faults(place, up, 2, 4);
      Run(4, 7, &faults);
      broken += faults.broken();
    }
  }
  EXPECT_GT(broken, 10);
}

INSTANTIATE_TEST_SUITE_P(All, LossTest, testing::ValuesIn(Modes()),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace parley
