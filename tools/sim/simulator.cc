#include "tools/sim/simulator.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/session/config_trainer.h"
#include "client/session/coordinator_session.h"
#include "common/base/executor.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"
#include "common/config/facts.h"
#include "server/round/round_driver.h"
#include "tools/sim/client_name.h"
#include "tools/sim/gossip_simulator.h"
#include "tools/sim/part_trainers.h"
#include "tools/sim/world.h"

namespace parley {
namespace {

// What trainers and the thread of the world tell each other of work that takes
// long.
struct WorkMeter {
  std::atomic<int64_t> round = 0;
  std::atomic<double> share = 0;  // done of it
};

// Trains as another does, and takes virtual time for it.
class TimedTrainer final : public Trainer {
 public:
  // `interrupted` breaks off what it does. It and `meter` are borrowed.
  TimedTrainer(std::unique_ptr<Trainer> trainer, World* world,
               absl::Duration step, const std::atomic<bool>* interrupted,
               WorkMeter* meter)
      : trainer_(std::move(trainer)),
        world_(world),
        step_(step),
        interrupted_(interrupted),
        meter_(meter) {}

  absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                    ParameterVector& parameters) override {
    // The task's own flag would be seen or not as real threads have it, and the
    // virtual time that the task takes must not depend on that.
    TrainTask own = task;
    own.cancelled = interrupted_;
    own.fraction = &meter_->share;
    meter_->share = 0;
    meter_->round = task.round;
    auto result = trainer_->Train(own, parameters);
    meter_->share = 1;
    if (result.ok()) world_->Spend(step_ * result->local_steps);
    return result;
  }
  absl::StatusOr<TrainResult> Evaluate(
      const TrainTask& task, const ParameterVector& parameters) override {
    return trainer_->Evaluate(task, parameters);
  }

 private:
  const std::unique_ptr<Trainer> trainer_;
  World* const world_;
  const absl::Duration step_;
  const std::atomic<bool>* const interrupted_;
  WorkMeter* const meter_;
};

struct Member {
  std::string name;
  std::optional<int32_t> part;
};

// All parts in turn, or who took part in a recorded run.
absl::StatusOr<std::vector<Member>> MembersOf(const SimulatorOptions& options,
                                              int64_t parts) {
  std::vector<Member> members;
  const bool has_parts = options.config.data().has_train();
  if (options.script.empty()) {
    for (int64_t i = 0; i < parts; ++i) {
      members.push_back({ClientNameOf(i, parts), std::nullopt});
      if (has_parts) members.back().part = static_cast<int32_t>(i);
    }
    return members;
  }
  std::map<std::string, std::optional<int32_t>> recorded;
  for (const v1::RoundOpened& round : options.script) {
    for (const v1::CohortMember& member : round.cohort()) {
      recorded[member.client()] =
          member.has_part() ? std::optional(member.part()) : std::nullopt;
    }
  }
  for (auto& [name, part] : recorded) {
    if (has_parts && !(part.has_value() && *part >= 0 && *part < parts)) {
      return absl::FailedPreconditionError(
          absl::StrCat(name, " trained on data of its own, which is not here"));
    }
    members.push_back({name, part});
  }
  return members;
}

struct SimulatedClient {
  std::unique_ptr<InProcessTransport> transport;
  std::unique_ptr<CoordinatorSession> session;
};

// What a run needs, in the order in which it may go.
struct Federation {
  explicit Federation(int threads) : pool(threads), world(&pool) {}

  std::atomic<bool> interrupted = false;
  std::deque<WorkMeter> meters;  // one a client
  ThreadPool pool;
  World world;
  std::unique_ptr<RoundDriver> driver;
  std::vector<SimulatedClient> clients;
  int64_t clients_running = 0;
  bool driver_running = true;
  absl::Status client_error;  // the first
  v1::RunStatus status;
};

// On the thread of the world, often.
class Watcher {
 public:
  Watcher(const SimulatorOptions* options, Federation* federation)
      : options_(*options), federation_(*federation) {}

  void Look() {
    if (options_.keep_going && !federation_.interrupted &&
        !options_.keep_going()) {
      federation_.interrupted = true;
      federation_.driver->Stop("interrupted");
    }
    if (!options_.on_share || absl::Now() < next_) return;
    next_ = absl::Now() + kShareEvery;
    int64_t round = 0;
    double done = 0;
    for (const WorkMeter& meter : federation_.meters) {
      if (meter.round > round) {
        round = meter.round;
        done = 0;
      }
      if (meter.round == round) done += std::max(0.0, meter.share.load());
    }
    const double share = done / static_cast<double>(federation_.meters.size());
    if (share > 0 && share < 1) options_.on_share(share);
  }

 private:
  static constexpr absl::Duration kShareEvery = absl::Milliseconds(100);

  const SimulatorOptions& options_;
  Federation& federation_;
  absl::Time next_ = absl::Now() + kShareEvery;
};

absl::Status AddClient(const SimulatorOptions& options,
                       const MakeTrainer& make_trainer, int64_t index,
                       const Member& member, Federation* federation) {
  const std::string& name = member.name;
  World* world = &federation->world;
  SimulatedClient client;
  client.transport =
      std::make_unique<InProcessTransport>(InProcessTransport::Options{
          .world = world,
          .coordinator = federation->driver.get(),
          .client = name,
          .faults = options.faults ? options.faults(index) : nullptr});

  CoordinatorSessionOptions session;
  session.servers = {"coordinator"};
  session.name = name;
  session.incarnation = static_cast<uint64_t>(index) + 1;
  session.software = "parley simulate";
  session.wants_part = member.part.has_value();
  session.part = member.part;
  session.log = [name, say = options.say](LogLevel level,
                                          absl::string_view text) {
    if (level == LogLevel::kInfo) return;  // thousands of clients join
    const std::string line = absl::StrCat(name, ": ", text);
    say ? say(level, line) : Log(level, line);
  };
  const double speed =
      0.5 + Rng(options.config.seed(), name, 0, "speed").Uniform();
  PARLEY_ASSIGN_OR_RETURN(
      client.session,
      CoordinatorSession::Create(
          std::move(session),
          {.transport = client.transport.get(),
           .clock = world,
           .control = world->control(),
           .work = world->work()},
          [make_trainer, data = member.part.value_or(index), world, speed,
           interrupted = &federation->interrupted,
           meter = &federation->meters.emplace_back()](const v1::RunConfig&,
                                                       std::optional<int32_t>)
              -> absl::StatusOr<std::unique_ptr<Trainer>> {
            PARLEY_ASSIGN_OR_RETURN(std::unique_ptr<Trainer> trainer,
                                    make_trainer(data));
            return std::make_unique<TimedTrainer>(std::move(trainer), world,
                                                  absl::Milliseconds(speed),
                                                  interrupted, meter);
          }));
  federation->clients.push_back(std::move(client));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SimulatorResult> Simulate(SimulatorOptions options) {
  if (options.config.has_gossip()) return SimulateGossip(std::move(options));
  MakeTrainer make_trainer = options.make_trainer;
  Federation federation(options.threads);
  int64_t parts = options.config.cohort().min();
  if (!make_trainer) {
    PARLEY_ASSIGN_OR_RETURN(const DataFacts facts, ProbeData(options.config));
    StateFacts(facts, &options.config);
    parts = facts.parts;
    PARLEY_ASSIGN_OR_RETURN(make_trainer,
                            PartTrainers(options.config, &federation.pool));
  }

  PARLEY_ASSIGN_OR_RETURN(const std::vector<Member> members,
                          MembersOf(options, parts));

  RoundDriverOptions driver;
  driver.config = options.config;
  driver.folder = options.folder;
  driver.durable = false;  // it is not waited for: run it again
  driver.clock = &federation.world;
  driver.control = federation.world.control();
  driver.work = federation.world.work();
  driver.parallel = &federation.pool;
  driver.script = std::move(options.script);
  if (options.on_round) driver.on_round = options.on_round;
  if (options.say) driver.say = options.say;
  driver.on_end = [&federation](const v1::RunStatus& status) {
    federation.status = status;
    federation.driver_running = false;
    for (SimulatedClient& client : federation.clients) {
      client.session->Stop("the run is over");
    }
  };
  PARLEY_ASSIGN_OR_RETURN(federation.driver,
                          RoundDriver::Create(std::move(driver)));
  federation.clients.reserve(members.size());
  for (size_t i = 0; i < members.size(); ++i) {
    PARLEY_RETURN_IF_ERROR(
        AddClient(options, make_trainer, i, members[i], &federation));
  }

  federation.driver->Start();
  federation.clients_running = static_cast<int64_t>(members.size());
  for (SimulatedClient& client : federation.clients) {
    client.session->Start([&federation](absl::Status status) {
      --federation.clients_running;
      if (status.ok()) return;
      // The others could wait for it in vain, in virtual time without end.
      federation.client_error.Update(status);
      federation.driver->Stop("a client failed");
    });
  }
  Watcher watcher(&options, &federation);
  if (options.keep_going || options.on_share) {
    federation.world.set_poll([&watcher] { watcher.Look(); });
  }
  const bool over = federation.world.Run([&federation] {
    return !federation.driver_running && federation.clients_running == 0;
  });
  federation.world.Finish();
  if (!over) {
    return absl::InternalError("the simulated run is stuck");
  }
  // Where the run failed, its clients were told so and that is all they say.
  if (federation.status.state() != v1::FAILED) {
    PARLEY_RETURN_IF_ERROR(federation.client_error);
  }
  SimulatorResult result;
  result.status = std::move(federation.status);
  result.spec = federation.driver->spec();
  result.model = federation.driver->model().Clone();
  result.virtual_time = federation.world.Now() - absl::UnixEpoch();
  federation.clients.clear();
  return result;
}

}  // namespace parley
