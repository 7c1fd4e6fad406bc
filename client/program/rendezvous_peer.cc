#include "client/program/rendezvous_peer.h"

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/gossip/gossip_node.h"
#include "client/gossip/gossip_run.h"
#include "client/gossip/vectors.h"
#include "client/program/peer_evaluator.h"
#include "client/rpc/peer_service.h"
#include "client/rpc/peer_transport.h"
#include "common/base/executor.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "common/files/safetensors.h"
#include "common/model/sketch.h"
#include "common/rpc/address.h"

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
    PeerAcceptor* to;
    {
      MutexLock lock(mu_);
      to = to_;
    }
    // Whoever is turned away dials again.
    return to == nullptr ? nullptr
                         : to->Accept(std::move(origin), std::move(link));
  }

 private:
  Mutex mu_;
  PeerAcceptor* to_ GUARDED_BY(mu_) = nullptr;  // outlives the server
};

// Dials peers by their index, wherever they are at present.
class AddressBook final : public PeerTransport {
 public:
  explicit AddressBook(DialOptions dial) : dial_(std::move(dial)) {}

  void Update(const v1::Membership& membership) {
    MutexLock lock(mu_);
    for (const v1::Membership::Member& member : membership.member()) {
      addresses_[member.index()] = member.address();
      std::unique_ptr<PeerTransport>& transport = transports_[member.index()];
      if (transport != nullptr) continue;
      DialOptions dial = dial_;
      dial.expected_name = member.name();
      transport = std::make_unique<GrpcPeerTransport>(std::move(dial));
    }
  }

  std::unique_ptr<PeerLink> Dial(const std::string& index,
                                 PeerLinkListener* listener) override {
    int peer = 0;
    PARLEY_CHECK(absl::SimpleAtoi(index, &peer));
    PeerTransport* transport;
    std::string address;
    {
      MutexLock lock(mu_);
      transport = transports_.at(peer).get();
      address = addresses_.at(peer);
    }
    return transport->Dial(address, listener);
  }

 private:
  const DialOptions dial_;
  Mutex mu_;
  std::map<int, std::string> addresses_ GUARDED_BY(mu_);
  // By peer: each expects another name.
  std::map<int, std::unique_ptr<PeerTransport>> transports_ GUARDED_BY(mu_);
};

// What moved over the peer's edges so far, and what is in doubt.
void AddEdges(const GossipRound& round, const PeerState& state,
              v1::PeerReport* report) {
  std::map<int, v1::PeerReport::EdgeTraffic> edges;
  for (const auto& [peer, bytes] : round.sent) edges[peer].set_bytes(bytes);
  for (const auto& [peer, flow] : state.flows()) {
    edges[peer].set_flow(flow.sum);
    edges[peer].set_flow_omega(flow.omega);
  }
  for (const auto& [peer, kept] : state.doubts()) {
    edges[peer].set_in_doubt(true);
  }
  for (auto& [peer, edge] : edges) {
    if (peer < 0) continue;  // an average, which is no edge
    edge.set_peer(peer);
    *report->add_sent() = std::move(edge);
  }
}

v1::PeerReport ReportOf(const GossipRound& round, const PeerState& state,
                        int64_t epoch, uint64_t sketch_seed) {
  v1::PeerReport report;
  report.set_round(round.round);
  report.set_examples(round.trained.examples);
  report.mutable_scalars()->insert(round.trained.metrics.begin(),
                                   round.trained.metrics.end());
  report.set_used_edges(round.used_edges);
  report.set_lost_edges(round.lost_edges);
  report.set_bytes_sent(round.bytes_sent);
  report.set_bytes_received(round.bytes_received);
  AddEdges(round, state, &report);
  report.set_epoch(epoch);
  report.set_omega(state.omega());
  report.set_sum(SumOf(state.x()));
  report.set_neighbour_distance(round.neighbour_distance);
  report.set_seconds(absl::ToDoubleSeconds(round.elapsed));
  const int64_t elements = state.x().elements();
  const std::vector<double> sent =
      SketchOf(state.sent(), elements, sketch_seed, kSketchNumbers);
  std::vector<double> mixed =
      SketchOf(state.mixed(), elements, sketch_seed, kSketchNumbers);
  for (int i = 0; i < kSketchNumbers; ++i) mixed[i] += sent[i];
  report.mutable_sent_sketch()->Add(sent.begin(), sent.end());
  report.mutable_mixed_sketch()->Add(mixed.begin(), mixed.end());
  return report;
}

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
      members.peers.push_back({member.name(), absl::StrCat(index)});
    }
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
    spec_ = run.spec;
    rounds_ = run.node.machine.rounds;
    on_done_ = std::move(setup.on_done);
    v1::PeerHello& hello = run.node.machine.hello;
    hello.set_index(self);
    hello.set_name(setup.name);
    hello.set_incarnation(setup.incarnation);
    hello.set_run_id(setup.registered.run_id());
    run.node.on_round = [this, report = std::move(setup.on_report),
                         seed = Rng(config.seed(), kSketchSeed).Next()](
                            const GossipRound& round, const PeerState& state) {
      Tell(round, state, ReportOf(round, state, node_->machine().epoch(), seed),
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
    gate_.Open(node_.get());
    node_->Start([this](absl::Status status) {
      // Not on the node's own sequence: the rest takes long.
      evaluator_->Post([this, status = std::move(status)] { End(status); });
    });
    return absl::OkStatus();
  }

  void Update(const v1::Membership& membership) override {
    book_.Update(membership);
  }

  void Stop(const std::string& reason) override {
    {
      MutexLock lock(mu_);
      stopped_ = true;
    }
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
    std::move(on_done_)(status.ok() ? Finish() : status);
  }

  absl::StatusOr<v1::PeerDone> Finish() {
    {
      MutexLock lock(mu_);
      if (stopped_) return absl::CancelledError("the peer was stopped");
    }
    const ParameterVector model = node_->state().Model();
    v1::PeerDone done;
    done.set_model_hash(model.Hash());
    done.set_averaged(node_->machine().committed_average() > rounds_);
    if (!done.averaged()) {
      LogWarning(
          "the exact average at the end failed: this peer ends with a model of "
          "its own");
    }
    if (!options_.save_model.empty()) {
      PARLEY_RETURN_IF_ERROR(
          WriteSafetensors(options_.save_model, spec_, model));
      LogInfo("the model is in ", options_.save_model);
    }
    if (evaluator_->evaluates()) Evaluate(model, &done);
    return done;
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
  ParameterSpec spec_;
  int64_t rounds_ = 0;
  absl::AnyInvocable<void(absl::StatusOr<v1::PeerDone>) &&> on_done_;
  std::unique_ptr<GossipNode> node_;
  ParameterVector own_;  // before the average; of the node's sequence, then End

  Mutex mu_;
  bool stopped_ GUARDED_BY(mu_) = false;
};

}  // namespace

std::unique_ptr<PeerHost> MakeRendezvousPeer(RendezvousPeerOptions options) {
  return std::make_unique<RendezvousPeer>(std::move(options));
}

}  // namespace parley
