#include "tools/sim/gossip_world.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/wire/protocol.h"

namespace parley {
namespace {

// Trains as another does, and takes virtual time for it.
class TimedTrainer final : public Trainer {
 public:
  TimedTrainer(std::unique_ptr<Trainer> trainer, World* world,
               absl::Duration step)
      : trainer_(std::move(trainer)), world_(world), step_(step) {}

  absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                    ParameterVector& parameters) override {
    auto result = trainer_->Train(task, parameters);
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
};

std::string NameOf(const GossipWorldOptions& options, int peer) {
  return options.name ? options.name(peer) : absl::StrCat("peer-", peer);
}

}  // namespace

absl::StatusOr<std::unique_ptr<GossipWorld>> GossipWorld::Create(
    GossipWorldOptions options) {
  std::unique_ptr<GossipWorld> world(new GossipWorld(std::move(options)));
  for (int i = 0; i < world->plan_->peers(); ++i) {
    PARLEY_RETURN_IF_ERROR(world->AddNode(i));
  }
  return world;
}

GossipWorld::GossipWorld(GossipWorldOptions options)
    : options_(std::move(options)),
      world_(options_.pool),
      network_({.world = &world_,
                .peers = static_cast<int>(options_.schedule->peers()),
                .faults = options_.faults}),
      plan_(std::make_shared<EdgePlan>(options_.schedule)),
      killed_(plan_->peers(), false) {}

GossipWorld::~GossipWorld() { nodes_.clear(); }

absl::Status GossipWorld::AddNode(int peer) {
  GossipNodeOptions node;
  v1::PeerHello& hello = node.machine.hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_run(options_.run);
  hello.set_run_id(1);
  hello.set_spec_hash(options_.spec_hash);
  hello.set_name(NameOf(options_, peer));
  hello.set_index(peer);
  hello.set_incarnation(static_cast<uint64_t>(peer) + 1);
  hello.set_software("parley simulate");
  for (int i = 0; i < plan_->peers(); ++i) {
    node.machine.names.push_back(NameOf(options_, i));
    node.addresses.push_back(absl::StrCat(i));
  }
  node.machine.rounds = options_.rounds;
  node.machine.average_every = options_.average_every;
  node.machine.final_average = options_.final_average;
  node.machine.edge_timeout = options_.edge_timeout;
  node.machine.start_wait = options_.start_wait;
  node.algorithm = options_.algorithm;
  node.start = options_.start(peer);
  if (options_.on_round) {
    node.on_round = [this, peer](const GossipRound& round,
                                 const PeerState& state) {
      if (!killed_[peer]) options_.on_round(peer, round, state);
    };
  }
  node.log = [this, peer](LogLevel level, absl::string_view text) {
    if (options_.log) options_.log(peer, level, text);
  };
  PARLEY_ASSIGN_OR_RETURN(std::unique_ptr<Trainer> trainer,
                          options_.trainer(peer));
  if (options_.step_time) {
    trainer = std::make_unique<TimedTrainer>(std::move(trainer), &world_,
                                             options_.step_time(peer));
  }
  trainers_.push_back(std::move(trainer));
  PARLEY_ASSIGN_OR_RETURN(
      std::unique_ptr<GossipNode> made,
      GossipNode::Create(std::move(node),
                         {.transport = network_.TransportOf(peer),
                          .clock = &world_,
                          .control = world_.control(),
                          .work = world_.work(),
                          .plan = plan_,
                          .trainer = trainers_.back().get()}));
  network_.Listen(peer, made.get());
  nodes_.push_back(std::move(made));
  return absl::OkStatus();
}

void GossipWorld::Kill(int peer) {
  if (killed_[peer]) return;
  killed_[peer] = true;
  network_.Listen(peer, nullptr);
  network_.CutOff(peer, true);
  nodes_[peer]->Stop("killed");
}

absl::Status GossipWorld::Run() {
  running_ = peers();
  for (int i = 0; i < peers(); ++i) {
    nodes_[i]->Start([this, i](absl::Status status) {
      --running_;
      if (!status.ok() && !killed_[i]) error_.Update(status);
    });
  }
  const absl::Time end = options_.limit == absl::InfiniteDuration()
                             ? absl::InfiniteFuture()
                             : world_.Now() + options_.limit;
  const auto all_done = [this] { return running_ == 0; };
  bool over = world_.Run(
      [&] { return running_ == 0 || !error_.ok() || world_.Now() > end; });
  if (over && running_ == 0) {
    world_.Finish();
    return error_;
  }
  if (error_.ok()) {
    error_ = over ? absl::DeadlineExceededError("the simulated run is stuck")
                  : absl::InternalError("the simulated run is stuck");
  }
  for (const auto& node : nodes_) node->Stop("the simulation ends");
  world_.Run(all_done);
  world_.Finish();
  return error_;
}

}  // namespace parley
