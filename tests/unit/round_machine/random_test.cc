// Thousands of short runs with clients that break off, restart, lie, repeat
// themselves and dawdle. RoundWorld checks each effect; here it is checked that
// every run ends once the faults do, and that a seed says it all.
#include "common/base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/wire/protocol.h"
#include "tests/unit/round_machine/round_world.h"

namespace parley {
namespace {

constexpr absl::Duration kFaultyTime = absl::Seconds(90);
constexpr absl::Duration kEnough = absl::Hours(1);

v1::RunConfig RandomConfig(Rng& rng, int clients) {
  v1::RunConfig config = SmallRun(clients, 2 + rng.Below(4));
  v1::Cohort& cohort = *config.mutable_cohort();
  cohort.set_min(1 + rng.Below(clients));
  cohort.set_fraction(rng.Below(2) ? 1 : 0.5);
  if (rng.Below(3) == 0) cohort.set_max(cohort.min() + 1);
  if (rng.Below(3) == 0) cohort.set_over_selection(0.5);
  if (rng.Below(2)) cohort.set_deadline_seconds(5 + rng.Below(30));
  cohort.set_quorum(rng.Below(2) ? 1 : 0.6);
  const int policy = rng.Below(8);  // mostly WAIT, the hardest
  cohort.set_too_few(policy == 0   ? v1::Cohort::FAIL
                     : policy <= 2 ? v1::Cohort::SKIP
                                   : v1::Cohort::WAIT);
  config.mutable_evaluation()->set_federated(rng.Below(2));
  config.mutable_evaluation()->set_central(rng.Below(2));
  config.mutable_limits()->set_transfers(1 + rng.Below(3));
  if (rng.Below(2)) config.mutable_wire()->set_inline_bytes(kInlineBytes);
  return config;
}

// A client that does its work, more or less.
struct Worker {
  std::string name;
  uint64_t life = 0;  // a new one with each process
  bool holds = false;
  v1::UpdateReady update;  // for the task that it had last
};

class RandomRun {
 public:
  RandomRun(uint64_t seed, bool keep_log)
      : rng_(seed, "faults"), world_(RandomConfig(rng_, 5 + seed % 4)) {
    world_.keep_log = keep_log;
    world_.central = [](int64_t) { return std::map<std::string, double>(); };
    world_.on_message = [this](const std::string& name,
                               const v1::ServerMessage& message) {
      React(name, message);
    };
    for (uint64_t i = 0; i < 5 + seed % 4; ++i) {
      const std::string name(1, 'a' + i);
      workers_[name].name = name;
      After(5, [this, name] { Connect(name, false); });
      After(5, [this, name] { Beat(name); });
      After(40, [this, name] { Trouble(name); });
    }
  }

  void Go() {
    while (!world_.end && !plan_.empty() &&
           world_.now() < absl::UnixEpoch() + kEnough) {
      auto [when, act] = std::move(*plan_.begin());
      plan_.erase(plan_.begin());
      world_.Advance(when - world_.now());
      act();
      if (::testing::Test::HasFailure()) return;
    }
    EXPECT_TRUE(world_.end) << "hangs; last said: " << world_.said.back();
  }
  const RoundWorld& world() const { return world_; }

 private:
  bool faulty() const { return world_.now() < absl::UnixEpoch() + kFaultyTime; }
  bool Chance(int percent) {
    return faulty() && static_cast<int>(rng_.Below(100)) < percent;
  }
  void After(double seconds, std::function<void()> act) {
    plan_.emplace(world_.now() + absl::Seconds(seconds * rng_.Uniform()),
                  std::move(act));
  }
  bool connected(const std::string& name) {
    return world_.client(name).session != 0;
  }

  void Connect(const std::string& name, bool restart) {
    if (connected(name)) return;
    if (restart) {
      ++workers_[name].life;
      workers_[name].holds = false;
      world_.Restart(name);
    } else {
      Join(name);
    }
  }

  // All but "a" read what comes within a message.
  void Join(const std::string& name) {
    v1::Register hello = world_.Hello(name);
    if (name != "a") hello.add_features(kInlineFeature);
    world_.Join(name, hello);
  }

  void Beat(const std::string& name) {
    if (connected(name)) world_.Beat(name);
    // Sent away, it comes back in time.
    if (!connected(name) && !faulty()) Connect(name, false);
    plan_.emplace(world_.now() + absl::Seconds(4), [=, this] { Beat(name); });
  }

  void Trouble(const std::string& name) {
    if (!faulty()) return;
    After(40, [=, this] { Trouble(name); });
    if (!connected(name)) return;
    const bool restart = rng_.Below(2);
    if (rng_.Below(5) == 0) {
      v1::ClientMessage leave;
      leave.mutable_leave();
      world_.Say(name, leave);
    } else if (rng_.Below(5) == 0) {
      v1::ClientMessage nonsense;
      world_.Say(name, nonsense);
      return;
    } else if (rng_.Below(4) > 0) {
      world_.Break(name);
    } else if (restart) {  // the old connection still stands
      ++workers_[name].life;
      workers_[name].holds = false;
      world_.Restart(name);
      return;
    } else {
      Join(name);
      return;
    }
    After(rng_.Below(2) ? 30 : 3, [=, this] { Connect(name, restart); });
  }

  void React(const std::string& name, const v1::ServerMessage& message) {
    Worker& worker = workers_[name];
    const uint64_t life = worker.life;
    if (message.has_task()) {
      const v1::Task task = message.task();
      if (rng_.Below(2)) After(1, [=, this] { Download(name); });
      const bool known =
          worker.holds && worker.update.task().SerializeAsString() ==
                              task.task().SerializeAsString();
      After(known ? 0.1 : 8, [=, this] { Work(name, life, task); });
      if (Chance(5)) After(60, [=, this] { Work(name, life, task); });
    } else if (message.has_grant_upload()) {
      if (Chance(8)) return;  // dawdles
      const v1::GrantUpload grant = message.grant_upload();
      After(2, [=, this] { Upload(name, life, grant); });
    } else if (message.has_task_over() && worker.holds) {
      worker.holds =
          worker.update.task().attempt() !=
              message.task_over().task().attempt() ||
          worker.update.task().round() != message.task_over().task().round() ||
          worker.update.task().phase() != message.task_over().task().phase();
    }
  }

  void Download(const std::string& name) {
    if (!connected(name)) return;
    const TransferId transfer = world_.OpenDownload(name, rng_.Below(49));
    After(3, [=, this] { world_.End(transfer, absl::OkStatus()); });
  }

  void Work(const std::string& name, uint64_t life, const v1::Task& task) {
    Worker& worker = workers_[name];
    if (!connected(name) || worker.life != life || !world_.client(name).task) {
      return;
    }
    if (world_.client(name).task->task().SerializeAsString() ==
        task.task().SerializeAsString()) {
      worker.update = world_.Update(name);
      worker.holds = true;
    } else if (!worker.holds) {
      return;
    }
    if (Chance(6)) {
      world_.Fail(name, "no luck");
      return;
    }
    v1::UpdateReady sent = worker.update;
    if (Chance(3)) sent.set_weight(-1);
    if (Chance(3)) sent.set_base_version(99);
    if (task.update_inline() && sent.payloads_size() > 0) {
      sent.add_chunks()->set_data("numbers");
      world_.chunks_status = Chance(4)   ? absl::DataLossError("checksum")
                             : Chance(4) ? absl::InvalidArgumentError("NaN")
                             : Chance(4) ? absl::ResourceExhaustedError("full")
                                         : absl::OkStatus();
    }
    world_.Ready(name, sent);
    sent.clear_chunks();
    if (Chance(3)) {  // and another one for a task that never was
      sent.mutable_task()->set_attempt(17);
      if (connected(name)) world_.Ready(name, sent);
    }
    if (Chance(15)) {
      After(5, [this, name, sent] {
        if (connected(name)) world_.Ready(name, sent);
      });
    }
  }

  void Upload(const std::string& name, uint64_t life,
              const v1::GrantUpload& grant) {
    if (workers_[name].life != life || !connected(name)) return;
    const SessionId session = world_.client(name).session;
    const TransferId transfer = world_.OpenUpload(name);
    const uint64_t total = world_.total();
    const uint64_t part =
        grant.offset() + rng_.Below(total - grant.offset() + 1);
    const int fault = faulty() ? rng_.Below(20) : 19;
    After(4, [=, this] {
      if (world_.client(name).session != session) {
        world_.End(transfer, absl::UnavailableError("broke"), part);
      } else if (fault == 0) {
        world_.End(transfer, absl::InvalidArgumentError("NaN"), part);
      } else if (fault == 1) {
        world_.End(transfer, absl::DataLossError("checksum"), part);
      } else if (fault == 2) {
        world_.End(transfer, absl::ResourceExhaustedError("full"),
                   grant.offset());
      } else if (fault <= 4) {
        world_.End(transfer, absl::UnavailableError("broke"), part);
      } else {
        world_.End(transfer, absl::OkStatus(), total);
      }
    });
  }

  Rng rng_;
  RoundWorld world_;
  std::map<std::string, Worker> workers_;
  std::multimap<absl::Time, std::function<void()>> plan_;
};

TEST(Random, EveryRunEndsAndKeepsTheRules) {
  int finished = 0, failed = 0, rounds = 0, refused = 0;
  for (uint64_t seed = 1; seed <= 2500; ++seed) {
    RandomRun run(seed, false);
    run.Go();
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
    finished += run.world().end->state == v1::FINISHED;
    failed += run.world().end->state == v1::FAILED;
    rounds += run.world().folded.size();
    for (const effect::ReportRound& report : run.world().reports) {
      for (const auto& o : report.round.outcomes()) refused += !o.counted();
    }
  }
  EXPECT_EQ(finished + failed, 2500);
  EXPECT_GT(finished, 1500);
  EXPECT_GT(failed, 10);
  EXPECT_GT(rounds, 5000);
  EXPECT_GT(refused, 2000);
}

TEST(Random, ASeedSaysItAll) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    RandomRun one(seed, true), two(seed, true);
    one.Go();
    two.Go();
    ASSERT_TRUE(one.world().log == two.world().log) << "seed " << seed;
    ASSERT_GT(one.world().log.size(), 1000u);
  }
}

}  // namespace
}  // namespace parley
