#include "client/program/rendezvous_peer.h"

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/gossip/gossip_node.h"
#include "client/gossip/gossip_run.h"
#include "client/gossip/peer_report.h"
#include "client/program/peer_evaluator.h"
#include "client/rpc/peer_service.h"
#include "client/rpc/peer_transport.h"
#include "common/base/executor.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "common/config/run_gossip.h"
#include "common/files/safetensors.h"
#include "common/rpc/address.h"
#include "common/topology/schedule.h"

namespace parley {
namespace {

constexpr int kSketchNumbers = 256;
constexpr char kSketchSeed[] = "sketch";
// Connections beside the peers' own: health checks, and peers that dial again.
constexpr int kFurtherConnections = 1000;

// Takes links for the node once there is one.
class Gate final : public PeerAcceptor {
 public:
  void Open(PeerAcceptor* to) {
    MutexLock lock(mu_);
    to_ = to;
  }
  PeerLinkListener* Accept(PeerOrigin origin,
                           std::unique_ptr<PeerLink> link) override {
    MutexLock lock(mu_);  // a node that ends is not called any more
    // Whoever is turned away dials again.
    return to_ == nullptr ? nullptr
                          : to_->Accept(std::move(origin), std::move(link));
  }

 private:
  Mutex mu_;
  PeerAcceptor* to_ GUARDED_BY(mu_) = nullptr;
};

// Dials peers by their names, wherever they are at present.
class AddressBook final : public PeerTransport {
 public:
  explicit AddressBook(DialOptions dial) : dial_(std::move(dial)) {}

  void Update(const v1::Membership& membership) {
    MutexLock lock(mu_);
    for (const v1::Membership::Member& member : membership.member()) {
      Entry& entry = entries_[member.name()];
      entry.address = member.address();
      if (entry.transport != nullptr) continue;
      DialOptions dial = dial_;
      dial.expected_name = member.name();
      entry.transport = std::make_unique<GrpcPeerTransport>(std::move(dial));
    }
  }

  std::unique_ptr<PeerLink> Dial(const std::string& name,
                                 PeerLinkListener* listener) override {
    PeerTransport* transport;
    std::string address;
    {
      MutexLock lock(mu_);
      const Entry& entry = entries_.at(name);
      transport = entry.transport.get();
      address = entry.address;
    }
    return transport->Dial(address, listener);
  }

 private:
  struct Entry {
    std::string address;
    std::unique_ptr<PeerTransport> transport;  // expects the name
  };
  const DialOptions dial_;
  Mutex mu_;
  std::map<std::string, Entry> entries_ GUARDED_BY(mu_);
};

class RendezvousPeer final : public PeerHost {
 public:
  explicit RendezvousPeer(RendezvousPeerOptions options)
      : options_(std::move(options)), book_(options_.dial) {}

  ~RendezvousPeer() override {
    gate_.Open(nullptr);
    if (node_ != nullptr) node_->Stop("the client ends");
    if (evaluator_) evaluator_->Stop();
    server_.reset();
    node_.reset();
    evaluator_.reset();
  }

  absl::StatusOr<std::string> Listen(const std::string& server) override {
    std::string listen = options_.listen;
    if (listen.empty()) {
      PARLEY_ASSIGN_OR_RETURN(const std::string host, LocalHostTowards(server));
      listen = absl::StrCat(host, ":0");
    }
    PARLEY_ASSIGN_OR_RETURN(
        server_,
        PeerServer::Start({.address = listen,
                           .security = options_.dial.security,
                           .lookahead_bytes = options_.dial.lookahead_bytes,
                           .max_connections = kFurtherConnections},
                          &gate_));
    const HostAndPort own = SplitAddress(listen),
                      told = options_.address.empty()
                                 ? own
                                 : SplitAddress(options_.address);
    std::string host = absl::StrContains(told.host, ':')
                           ? absl::StrCat("[", told.host, "]")
                           : told.host;
    if (told.host.empty() || told.host == "0.0.0.0" || told.host == "::") {
      PARLEY_ASSIGN_OR_RETURN(host, LocalHostTowards(server));
    }
    return absl::StrCat(
        host, ":",
        told.port == "0" ? absl::StrCat(server_->port()) : told.port);
  }

  absl::Status Begin(Setup setup) override {
    const v1::RunConfig& config = setup.registered.config();
    Membership members;
    members.epoch = setup.membership.epoch();
    int self = -1;
    for (const v1::Membership::Member& member : setup.membership.member()) {
      const int index = static_cast<int>(members.peers.size());
      if (member.index() != index) {
        return absl::InvalidArgumentError("the membership has gaps");
      }
      if (member.name() == setup.name) self = index;
      members.peers.push_back({member.name(), member.name()});
    }
    // Of a peer that has begun before, where it was dropped.
    gate_.Open(nullptr);
    node_.reset();
    evaluator_.reset();  // what it did last is done
    work_.reset();
    control_.reset();
    own_ = ParameterVector();
    stopped_ = false;
    PARLEY_ASSIGN_OR_RETURN(GossipRun run, MakeGossipRun(config, members));
    if (run.spec.Hash() != setup.registered.spec_hash()) {
      return absl::InvalidArgumentError(
          "the coordinator's model is another one; use programs of the same "
          "version");
    }
    book_.Update(setup.membership);
    control_.emplace(1);
    work_.emplace(3);  // the node's two lanes, and evaluations
    evaluator_.emplace(config, &*work_);
    name_ = setup.name;
    config_ = config;
    saved_before_ = SavedAt();
    spec_ = run.spec;
    rounds_ = run.node.machine.rounds;
    on_done_ = std::move(setup.on_done);
    v1::PeerHello& hello = run.node.machine.hello;
    hello.set_index(self);
    hello.set_name(setup.name);
    // Each node has one of its own: none knows what an earlier one decided.
    const int64_t since = setup.membership.member(self).since();
    hello.set_incarnation(setup.incarnation + since);
    hello.set_run_id(setup.registered.run_id());
    // A peer that is lost in the last average is found out, and an epoch begins
    // without it.
    run.node.machine.epoch_wait =
        absl::Milliseconds(setup.registered.lease_ms()) +
        3 * run.node.machine.edge_timeout;
    // All were there when the membership was made. Since then one may have
    // died; or the rendezvous did, before it had told them all.
    run.node.machine.start_wait =
        GossipMachine::kAloneAfter * run.node.machine.edge_timeout;
    // Whoever was there from the beginning, and is late, has a model and may
    // begin where the others are.
    if (since > 0) {
      run.node.machine.joins = true;
      run.node.machine.first_round = setup.membership.first_round();
    }
    run.node.on_round = [this, report = std::move(setup.on_report),
                         seed = Rng(config.seed(), kSketchSeed).Next()](
                            const GossipRound& round, const PeerState& state) {
      Tell(round, state,
           ReportOf(round, state, node_->machine().epoch(), seed,
                    kSketchNumbers),
           report);
    };
    PARLEY_ASSIGN_OR_RETURN(
        node_,
        GossipNode::Create(std::move(run.node),
                           {.transport = &book_,
                            .clock = options_.clock,
                            .control = &*control_,
                            .work = &*work_,
                            .plan = std::make_shared<EdgePlan>(run.schedule),
                            .trainer = setup.trainer}));
    if (options_.at_work != nullptr) ++*options_.at_work;
    gate_.Open(node_.get());
    node_->Start([this](absl::Status status) {
      // Not on the node's own sequence: the rest takes long.
      evaluator_->Post([this, status = std::move(status)] { End(status); });
    });
    return absl::OkStatus();
  }

  void Update(const v1::Membership& membership) override {
    book_.Update(membership);
    GossipMembership next;
    next.epoch = membership.epoch();
    next.first_round = membership.first_round();
    next.self = -1;
    for (const v1::Membership::Member& member : membership.member()) {
      if (member.name() == name_) next.self = member.index();
      next.names.push_back(member.name());
      next.since.push_back(member.since());
    }
    next.addresses = next.names;
    auto schedule = Schedule::Create(GossipTopologyOf(config_),
                                     {.seed = config_.seed(),
                                      .epoch = next.epoch,
                                      .peers = membership.member_size()});
    if (!schedule.ok()) {
      // The rendezvous has made it, too.
      return node_->Stop(
          absl::StrCat("membership epoch ", next.epoch,
                       " has no schedule: ", schedule.status().message()));
    }
    next.plan = std::make_shared<EdgePlan>(*std::move(schedule));
    node_->ChangeMembership(std::move(next));
  }

  void Leave(const std::string& reason) override {
    if (node_->pairwise() != nullptr) return Stop(reason);  // nothing to give
    node_->Leave(reason);
  }

  void Stop(const std::string& reason) override {
    stopped_ = true;
    evaluator_->Stop();
    node_->Stop(reason);
  }

 private:
  using OnReport = std::function<void(v1::PeerReport)>;

  // On the node's sequence.
  void Tell(const GossipRound& round, const PeerState& state,
            v1::PeerReport report, const OnReport& on_report) {
    std::optional<ParameterVector> model;
    if (round.round == rounds_) {
      // Evaluated at the end, beside the average.
      if (evaluator_->evaluates()) own_ = state.Model();
    } else if (round.round < rounds_ && evaluator_->Evaluates(round.round)) {
      model = state.Model();
    }
    evaluator_->Tell(
        std::move(model), [report = std::move(report),
                           on_report](PeerEvaluator::Numbers found) mutable {
          report.mutable_evaluation()->insert(found.begin(), found.end());
          on_report(std::move(report));
        });
  }

  void End(const absl::Status& status) {
    absl::StatusOr<v1::PeerDone> done =
        status.ok() ? Finish() : absl::StatusOr<v1::PeerDone>(status);
    if (options_.at_work != nullptr) --*options_.at_work;
    std::move(on_done_)(std::move(done));
  }

  absl::StatusOr<v1::PeerDone> Finish() {
    if (stopped_) return absl::CancelledError("the peer was stopped");
    if (node_->left()) return absl::CancelledError("the peer left");
    const ParameterVector model = node_->state().Model();
    v1::PeerDone done;
    done.set_model_hash(model.Hash());
    done.set_averaged(node_->machine().committed_average() > rounds_);
    if (!done.averaged()) {
      LogWarning(
          "the exact average at the end failed: this peer ends with a model of "
          "its own");
    }
    if (!options_.save_model.empty() &&
        (done.averaged() || SavedAt() == saved_before_)) {
      PARLEY_RETURN_IF_ERROR(Save(model));
      LogInfo("the model is in ", options_.save_model);
    }
    if (evaluator_->evaluates()) Evaluate(model, &done);
    return done;
  }

  // Other peers of this machine may write the same file.
  absl::Status Save(const ParameterVector& model) const {
    const std::string own = absl::StrCat(options_.save_model, ".", name_);
    PARLEY_RETURN_IF_ERROR(WriteSafetensors(own, spec_, model));
    std::error_code error;
    std::filesystem::rename(own, options_.save_model, error);
    if (!error) return absl::OkStatus();
    return absl::UnknownError(absl::StrCat("cannot write ", options_.save_model,
                                           ": ", error.message()));
  }

  // When save_model was written last.
  std::filesystem::file_time_type SavedAt() const {
    std::error_code none;
    return std::filesystem::last_write_time(options_.save_model, none);
  }

  void Evaluate(const ParameterVector& model, v1::PeerDone* done) {
    const auto average = evaluator_->Evaluate(model);
    done->mutable_evaluation()->insert(average.begin(), average.end());
    if (own_.elements() == 0) return;
    const auto own = evaluator_->Evaluate(own_);
    done->mutable_own_evaluation()->insert(own.begin(), own.end());
  }

  const RendezvousPeerOptions options_;
  // Of Begin on: most runs have no use for them.
  std::optional<ThreadPool> control_;
  std::optional<ThreadPool> work_;
  AddressBook book_;
  Gate gate_;
  std::unique_ptr<PeerServer> server_;

  // Set by Begin.
  std::optional<PeerEvaluator> evaluator_;
  v1::RunConfig config_;
  std::string name_;
  std::filesystem::file_time_type saved_before_;
  ParameterSpec spec_;
  int64_t rounds_ = 0;
  absl::AnyInvocable<void(absl::StatusOr<v1::PeerDone>) &&> on_done_;
  std::unique_ptr<GossipNode> node_;
  ParameterVector own_;  // before the average; of the node's sequence, then End

  std::atomic<bool> stopped_ = false;
};

}  // namespace

std::unique_ptr<PeerHost> MakeRendezvousPeer(RendezvousPeerOptions options) {
  return std::make_unique<RendezvousPeer>(std::move(options));
}

}  // namespace parley
