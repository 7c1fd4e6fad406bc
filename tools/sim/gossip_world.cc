#include "tools/sim/gossip_world.h"

#include <algorithm>
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

int MostPeers(const GossipWorldOptions& options) {
  return std::max(options.most_peers,
                  static_cast<int>(options.schedule->peers()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<GossipWorld>> GossipWorld::Create(
    GossipWorldOptions options) {
  std::unique_ptr<GossipWorld> world(new GossipWorld(std::move(options)));
  std::vector<int> members(world->options_.schedule->peers());
  for (size_t i = 0; i < members.size(); ++i) members[i] = static_cast<int>(i);
  world->first_ = world->MembershipOf(
      members, 0, 1, std::make_shared<EdgePlan>(world->options_.schedule));
  GossipMembership membership = world->first_;
  for (const int peer : members) {
    membership.self = peer;
    PARLEY_RETURN_IF_ERROR(world->AddNode(peer, membership));
  }
  return world;
}

GossipWorld::GossipWorld(GossipWorldOptions options)
    : options_(std::move(options)),
      world_(options_.pool),
      network_({.world = &world_,
                .peers = MostPeers(options_),
                .latency = options_.latency,
                .faults = options_.faults}),
      nodes_(MostPeers(options_)),
      killed_(MostPeers(options_), false),
      done_(MostPeers(options_), false),
      incarnations_(MostPeers(options_), 0) {}

GossipWorld::~GossipWorld() {
  nodes_.clear();
  dead_.clear();
}

GossipMembership GossipWorld::MembershipOf(
    const std::vector<int>& members, int64_t epoch, int64_t first_round,
    std::shared_ptr<EdgePlan> plan) const {
  GossipMembership membership;
  membership.epoch = epoch;
  membership.first_round = first_round;
  for (const int peer : members) {
    membership.names.push_back(NameOf(options_, peer));
    membership.addresses.push_back(absl::StrCat(peer));
  }
  membership.plan = std::move(plan);
  return membership;
}

absl::Status GossipWorld::AddNode(int peer, GossipMembership membership) {
  GossipNodeOptions node;
  v1::PeerHello& hello = node.machine.hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_run(options_.run);
  hello.set_run_id(1);
  hello.set_spec_hash(options_.spec_hash);
  hello.set_name(NameOf(options_, peer));
  hello.set_index(membership.self);
  hello.set_incarnation(static_cast<uint64_t>(peer) + 1 +
                        1000000 * incarnations_[peer]++);
  hello.set_epoch(membership.epoch);
  hello.set_software("parley simulate");
  node.machine.names = std::move(membership.names);
  node.addresses = std::move(membership.addresses);
  node.machine.rounds = options_.rounds;
  node.machine.average_every = options_.average_every;
  node.machine.final_average = options_.final_average;
  node.machine.edge_timeout = options_.edge_timeout;
  node.machine.start_wait = options_.start_wait;
  node.machine.epoch_wait = options_.epoch_wait;
  node.machine.first_round = membership.first_round;
  node.machine.joins = membership.epoch > 0;
  node.algorithm = options_.algorithm;
  node.start = options_.start(peer);
  if (options_.on_round) {
    node.on_round = [this, peer, life = incarnations_[peer]](
                        const GossipRound& round, const PeerState& state) {
      if (!killed_[peer] && life == incarnations_[peer]) {
        options_.on_round(peer, round, state);
      }
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
      nodes_[peer], GossipNode::Create(std::move(node),
                                       {.transport = network_.TransportOf(peer),
                                        .clock = &world_,
                                        .control = world_.control(),
                                        .work = world_.work(),
                                        .plan = std::move(membership.plan),
                                        .trainer = trainers_.back().get()}));
  network_.Listen(peer, nodes_[peer].get());
  return absl::OkStatus();
}

absl::Status GossipWorld::ChangeMembership(
    const std::vector<int>& members, int64_t epoch, int64_t first_round,
    std::shared_ptr<const Schedule> schedule) {
  GossipMembership membership =
      MembershipOf(members, epoch, first_round,
                   std::make_shared<EdgePlan>(std::move(schedule)));
  for (size_t i = 0; i < members.size(); ++i) {
    membership.self = static_cast<int>(i);
    const int peer = members[i];
    if (nodes_[peer] != nullptr) {
      if (!options_.membership_after) {
        nodes_[peer]->ChangeMembership(membership);
        continue;
      }
      world_.RunAt(world_.Now() + options_.membership_after(peer),
                   [node = nodes_[peer].get(), membership] {
                     node->ChangeMembership(membership);
                   });
      continue;
    }
    PARLEY_RETURN_IF_ERROR(AddNode(peer, membership));
    StartNode(peer);
  }
  return absl::OkStatus();
}

void GossipWorld::StartNode(int peer) {
  ++running_;
  done_[peer] = false;
  nodes_[peer]->Start(
      [this, peer, node = nodes_[peer].get()](absl::Status status) {
        --running_;
        if (node != nodes_[peer].get()) return;  // one that was killed
        done_[peer] = true;
        if (!status.ok() && !killed_[peer]) error_.Update(status);
      });
}

void GossipWorld::Kill(int peer) {
  if (killed_[peer]) return;
  killed_[peer] = true;
  network_.Listen(peer, nullptr);
  network_.CutOff(peer, true);
  nodes_[peer]->Stop("killed");
}

absl::Status GossipWorld::Restart(int peer) {
  dead_.push_back(std::move(nodes_[peer]));
  killed_[peer] = false;
  network_.CutOff(peer, false);
  GossipMembership membership = first_;
  membership.self = peer;
  PARLEY_RETURN_IF_ERROR(AddNode(peer, std::move(membership)));
  StartNode(peer);
  return absl::OkStatus();
}

absl::Status GossipWorld::Run() {
  for (int i = 0; i < peers(); ++i) {
    if (nodes_[i] != nullptr) StartNode(i);
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
  for (const auto& node : nodes_) {
    if (node != nullptr) node->Stop("the simulation ends");
  }
  world_.Run(all_done);
  world_.Finish();
  return error_;
}

}  // namespace parley
