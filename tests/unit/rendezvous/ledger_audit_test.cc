// The audit of what peers tell, over runs in which edges fail and peers die,
// come and go: the sums add up to what the peers added, to rounding; and do not
// where one tells what is not so.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/gossip/peer_report.h"
#include "server/rendezvous/round_ledger.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_bench.h"

namespace parley {
namespace {

constexpr int kPeers = 6;
constexpr int64_t kRounds = 60;
constexpr double kLoss = 0.05;
constexpr double kRounding = 1e-12;

struct Mode {
  const char* name;
  const char* topology;
  AlgorithmOptions algorithm;
  int64_t average_every = 0;
};
void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

std::string NameOf(int peer) { return absl::StrCat("peer-", peer); }

class LedgerAuditTest : public testing::TestWithParam<Mode> {
 protected:
  void SetUp() override { Make(kLoss); }
  void Make(double loss) {
    world_.reset();
    names_.clear();
    members_.clear();
    loss_.emplace(5, loss);
    GossipWorldOptions options = BenchOptions(
        &pool_, ScheduleOf(kPeers), kRounds, kElements,
        [this](int peer, int64_t round, const Vector&) {
          return trains_ ? RandomVector(100 + round, peer, kElements)
                         : Vector(kElements, 0.0);
        });
    options.algorithm = GetParam().algorithm;
    options.average_every = GetParam().average_every;
    options.most_peers = kPeers + 1;
    options.faults = &*loss_;
    options.edge_timeout = absl::Seconds(2);
    options.step_time = [](int peer) {
      return absl::Milliseconds(100 + 7 * peer);
    };
    options.on_round = [this](int peer, const GossipRound& round,
                              const PeerState& state) {
      const int64_t epoch = world_->node(peer).machine().epoch();
      v1::PeerReport report = ReportOf(round, state, epoch, 1, 4);
      if (spoil_) spoil_(peer, &report);
      ledger_->Add(NameOf(peer), std::move(report), &names_[epoch]);
    };
    for (int peer = 0; peer < kPeers; ++peer) members_.push_back(peer);
    Note();
    ledger_.emplace(names_[0], kRounds, 0,
                    !TraitsOf(GetParam().algorithm).pairs);
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
  }
  std::shared_ptr<const Schedule> ScheduleOf(int64_t peers) {
    TopologyOptions topology = Kind(GetParam().topology);
    topology.lazy = TraitsOf(GetParam().algorithm).lazy;
    return MakeSchedule(topology, peers);
  }
  void Note() {
    std::vector<std::string>& names = names_.emplace_back();
    for (const int peer : members_) names.push_back(NameOf(peer));
  }
  void At(double seconds, std::function<void()> f) {
    world_->world().RunAt(absl::UnixEpoch() + absl::Seconds(seconds),
                          [f = std::move(f)] { f(); });
  }
  void ChangeMembership(std::vector<int> members) {
    members_ = std::move(members);
    const auto epoch = static_cast<int64_t>(names_.size());
    Note();
    if (world_->node_or_null(kPeers) == nullptr && members_.back() == kPeers) {
      ledger_->WriteOff(NameOf(kPeers), epoch);
    }
    ASSERT_OK(world_->ChangeMembership(
        members_, epoch, world_->node(0).machine().round() + 2,
        ScheduleOf(static_cast<int64_t>(members_.size()))));
  }
  // With all that can happen; the metrics of the rounds.
  std::vector<std::map<std::string, double>> Run() {
    At(2.05, [this] { world_->Kill(4); });
    if (!TraitsOf(GetParam().algorithm).pairs) {
      At(3.5, [this] { ChangeMembership({0, 1, 2, 3, 5}); });
      At(5, [this] { ChangeMembership({0, 1, 2, 3, 5, 6}); });
    }
    EXPECT_OK(world_->Run());
    EXPECT_GT(loss_->broken(), 5);
    std::vector<std::map<std::string, double>> found;
    const auto nobody = [](int64_t) { return std::vector<std::string>(); };
    while (const auto round = ledger_->Next(nobody)) {
      found.push_back(round->metrics);
    }
    const auto last = ledger_->TakeLast();
    EXPECT_TRUE(last && last->round == kRounds);
    if (last) found.push_back(last->metrics);
    return found;
  }

  ThreadPool pool_{1};
  std::optional<RandomLoss> loss_;
  bool trains_ = true;
  std::function<void(int peer, v1::PeerReport* report)> spoil_;
  std::vector<int> members_;
  std::vector<std::vector<std::string>> names_;  // by epoch
  std::optional<RoundLedger> ledger_;
  std::unique_ptr<GossipWorld> world_;
};

TEST_P(LedgerAuditTest, TheSumsAddUp) {
  const auto rounds = Run();
  double doubts = 0, flight = 0;
  for (size_t i = 0; i < rounds.size(); ++i) {
    SCOPED_TRACE(i + 1);
    const auto& found = rounds[i];
    EXPECT_LT(found.at(kConservationError), kRounding);
    EXPECT_LT(found.at(kBalanceError), kRounding);
    EXPECT_NEAR(
        found.at(kSum) + found.at(kSumInFlight) + found.at(kSumWrittenOff),
        found.at(kSumAdded), 1e-8);
    doubts += found.at(kInDoubt);
    flight += std::abs(found.at(kSumInFlight));
  }
  EXPECT_GT(doubts, 0);
  EXPECT_GT(flight, 0);
  EXPECT_NE(rounds.back().at(kSumWrittenOff), 0);
  // What the peers say is what they have.
  if (TraitsOf(GetParam().algorithm).pairs) return;  // it has gone on since
  double x = 0, omega = 0;
  for (const int peer : members_) {
    const PeerState& state = world_->node(peer).state();
    for (const double number : ToVector(state.x())) x += number;
    omega += state.omega();
  }
  EXPECT_NEAR(rounds.back().at(kMass), omega, 1e-12);
  if (GetParam().algorithm.kind != "gradient_tracking") {  // of x and y
    EXPECT_NEAR(rounds.back().at(kSum), x, 1e-9);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, LedgerAuditTest,
    testing::Values(
        Mode{"adapt_while_communicating", "ring", {}},
        Mode{"momentum", "ring", {.combine = true, .momentum = 0.5}},
        Mode{"heavy_ball", "ring", {.momentum = 0.5}},
        Mode{"decent_lam", "ring", {.kind = "decent_lam", .momentum = 0.5}},
        Mode{"tracking", "ring", {.kind = "gradient_tracking"}},
        Mode{"d2", "ring", {.kind = "d2"}},
        Mode{"choco",
             "ring",
             {.kind = "choco",
              .compressor = "top",
              .share = 0.5,
              .consensus_step = 0.5}},
        Mode{"push_sum", "ring", {.kind = "push_sum"}},
        Mode{"one_peer", "one_peer_exponential", {}},
        Mode{"gossip_pga", "ring", {}, 4},
        Mode{"tracking_pga", "ring", {.kind = "gradient_tracking"}, 4},
        Mode{"push_sum_pga", "ring", {.kind = "push_sum"}, 4},
        Mode{"ad_psgd", "ring", {.kind = "ad_psgd"}}),
    [](const auto& info) { return std::string(info.param.name); });

// Without local steps: where nobody brings a copy, what was added is the start.
using PlainLedgerAuditTest = LedgerAuditTest;

TEST_P(PlainLedgerAuditTest, TheLivingAndTheWrittenOffAreTheStart) {
  trains_ = false;
  double start = 0;
  for (int peer = 0; peer < kPeers; ++peer) {
    for (const double x : RandomVector(7, peer, kElements)) start += x;
  }
  const bool flows = TraitsOf(GetParam().algorithm).flows;
  for (const auto& found : Run()) {
    const double brought = found.at(kSumAdded) - start;
    const bool joined = found.at(kMassAdded) > kPeers + 0.5;
    EXPECT_FALSE(joined && flows);
    if (!joined) {
      EXPECT_NEAR(brought, 0, 1e-11);
    }
    EXPECT_NEAR(
        found.at(kMass) + found.at(kMassInFlight) + found.at(kWrittenOff),
        joined ? kPeers + 1 : kPeers, 1e-11);
    EXPECT_NEAR(found.at(kSum) + found.at(kSumInFlight) +
                    found.at(kSumWrittenOff) - brought,
                start, 1e-11);
  }
}

// A peer says of one round that an exchange was not so; or that it was, and has
// not mixed it in.
TEST_P(PlainLedgerAuditTest, FindsAnEdgeThatCountsAtOneEnd) {
  for (const bool counted : {false, true}) {
    SCOPED_TRACE(counted);
    Make(0);
    double before = 0;
    spoil_ = [&](int peer, v1::PeerReport* report) {
      if (peer != 2) return;
      const double flow = report->sent(0).flow();
      if (report->round() == 3) {
        if (counted) {
          report->set_sum(report->sum() - (flow - before));
        } else {
          report->mutable_sent(0)->set_flow(before);
          report->set_sum(report->sum() - (flow - before));
        }
      }
      before = flow;
    };
    ASSERT_OK(world_->Run());
    const auto nobody = [](int64_t) { return std::vector<std::string>(); };
    while (const auto round = ledger_->Next(nobody)) {
      SCOPED_TRACE(round->round);
      const bool wrong = round->round == 3;
      const double error = round->metrics.at(kBalanceError);
      EXPECT_EQ(error > kRounding, wrong) << error;
      const double edges = round->metrics.at(kConservationError);
      EXPECT_EQ(edges > kRounding, wrong && !counted) << edges;
      if (wrong) {
        EXPECT_GT(error, 1e-4);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, PlainLedgerAuditTest,
    testing::Values(Mode{"symmetric", "ring", {}},
                    Mode{"push_sum", "ring", {.kind = "push_sum"}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace parley
