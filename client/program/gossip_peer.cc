#include "client/program/gossip_peer.h"

#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/gossip/gossip_node.h"
#include "client/gossip/gossip_run.h"
#include "client/gossip/peer_report.h"
#include "client/program/outcome.h"
#include "client/program/peer_evaluator.h"
#include "client/rpc/peer_service.h"
#include "client/rpc/peer_transport.h"
#include "client/state/identity.h"
#include "common/base/executor.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/config/facts.h"
#include "common/config/load.h"
#include "common/files/file_io.h"
#include "common/files/parameter_file.h"
#include "common/report/conservation.h"
#include "common/report/metrics_log.h"
#include "common/rpc/address.h"

namespace parley {
namespace {

constexpr char kRunFile[] = "run.textproto";
constexpr char kModelFile[] = "model.safetensors";
constexpr absl::Duration kSayEvery = absl::Seconds(10);
// Connections beside the peers' own: health checks, and peers that dial again.
constexpr int kFurtherConnections = 64;

absl::StatusOr<int> FindPeer(const Membership& membership,
                             const std::optional<int64_t>& index,
                             const std::string& name) {
  const int64_t peers = static_cast<int64_t>(membership.peers.size());
  if (index) {
    if (*index < 0 || *index >= peers) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--index is ", *index, ": the list has the peers 0 to ", peers - 1));
    }
    if (!name.empty() && membership.peers[*index].name != name) {
      return absl::InvalidArgumentError(
          absl::StrCat("--index ", *index, " is ",
                       membership.peers[*index].name, ", --name says ", name));
    }
    return static_cast<int>(*index);
  }
  if (name.empty()) {
    return absl::InvalidArgumentError(
        "--index N or --name NAME is missing: which peer of the list is this?");
  }
  for (int i = 0; i < peers; ++i) {
    if (membership.peers[i].name == name) return i;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--name: no peer of the list is ", name));
}

absl::Status CheckPeers(const Membership& membership, const std::string& path) {
  for (const GossipPeer& peer : membership.peers) {
    absl::Status status = CheckClientName(peer.name);
    if (status.ok()) status = CheckAddress(peer.address);
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": ", status.message()));
    }
  }
  return absl::OkStatus();
}

// What the peer says for the audit: its own share of it, and what whoever has
// all peers' says needs for the rest.
void AddBalance(const PeerState& state, RoundReport* report) {
  const PeerBooks books = BooksOf(/*peer=*/0, state);
  report->metrics[kMass] = books.has.omega;
  report->metrics[kMassAdded] = books.added->omega;
  report->metrics[kSum] = books.has.sum;
  report->metrics[kSumAdded] = books.added->sum;
  report->metrics[kBalanceError] = OwnBalanceError(books);
  double doubts = 0;
  for (const PeerBooks::Edge& edge : books.edges) {
    doubts += edge.in_doubt ? 1 : 0;
    report->flows.push_back({edge.peer, edge.flow.sum, edge.flow.omega,
                             edge.in_doubt, edge.doubt.sum, edge.doubt.omega});
  }
  report->metrics[kInDoubt] = doubts;
}

// Writes the metrics, and tells a person now and then.
class Reporter {
 public:
  Reporter(std::unique_ptr<MetricsLog> log, std::string name, int64_t rounds,
           PeerEvaluator* evaluator)
      : log_(std::move(log)),
        name_(std::move(name)),
        rounds_(rounds),
        evaluator_(evaluator) {}

  // Called on the node's sequence. `averaged`: the state has the average that
  // the run ends with.
  void OnRound(const GossipRound& round, const PeerState& state,
               bool averaged) {
    RoundReport report;
    report.round = round.round;
    report.asked = report.counted = {name_};
    report.metrics = round.trained.metrics;
    if (const auto loss = report.metrics.extract("loss")) {
      report.train_loss = loss.mapped();
    }
    report.metrics[kUsedEdges] = round.used_edges;
    report.metrics[kLostEdges] = round.lost_edges;
    report.metrics[kNeighbourDistance] = round.neighbour_distance;
    AddBalance(state, &report);
    report.bytes_up = round.bytes_sent;
    report.bytes_down = round.bytes_received;
    report.seconds = {{"round", absl::ToDoubleSeconds(round.elapsed)}};
    report.model_hash =
        state.omega() == 1 ? state.x().Hash() : state.Model().Hash();
    elapsed_ += round.elapsed;
    report.elapsed_seconds = absl::ToDoubleSeconds(elapsed_);
    if (round.round <= rounds_) Say(report, round);
    std::optional<ParameterVector> model;
    if (evaluator_->Evaluates(round.round) ||
        (evaluator_->evaluates() && round.round >= rounds_)) {
      model = state.Model();
    }
    evaluator_->Tell(std::move(model),
                     [this, report = std::move(report),
                      averaged](PeerEvaluator::Numbers found) mutable {
                       Write(std::move(report), found, averaged);
                     });
  }

 private:
  void Write(RoundReport report, const PeerEvaluator::Numbers& found,
             bool averaged) {
    const auto number = [&](const char* name) -> std::optional<double> {
      const auto it = found.find(name);
      if (it == found.end()) return std::nullopt;
      return it->second;
    };
    const EvaluationReport quality = {.loss = number("loss"),
                                      .accuracy = number("accuracy")};
    if (averaged) {
      report.central = quality;
    } else if (!found.empty()) {
      report.federated = quality;
      report.evaluations = {{.client = name_,
                             .examples = 1,
                             .loss = quality.loss,
                             .accuracy = quality.accuracy}};
    }
    if (const absl::Status status = log_->Append(report); !status.ok()) {
      LogError(status.message());
    }
    if (!found.empty()) {
      LogInfo(absl::StrFormat("round %d: on data.test", report.round),
              quality.loss ? absl::StrFormat("  loss %.4g", *quality.loss) : "",
              quality.accuracy ? absl::StrFormat("  accuracy %.1f %%",
                                                 100 * *quality.accuracy)
                               : "");
    }
  }

  void Say(const RoundReport& report, const GossipRound& round) {
    const absl::Time now = absl::Now();
    if (now < say_at_ && round.round < rounds_) return;
    say_at_ = now + kSayEvery;
    LogInfo(
        absl::StrFormat("round %d/%d", report.round, rounds_),
        report.train_loss ? absl::StrFormat("  loss %.4g", *report.train_loss)
                          : "",
        "  edges ", round.used_edges,
        round.lost_edges > 0 ? absl::StrCat(", lost ", round.lost_edges) : "");
  }

  const std::unique_ptr<MetricsLog> log_;
  const std::string name_;
  const int64_t rounds_;
  PeerEvaluator* const evaluator_;
  absl::Duration elapsed_;
  absl::Time say_at_;
};

absl::StatusOr<std::unique_ptr<MetricsLog>> PrepareFolder(
    const GossipPart& part) {
  const std::string metrics = absl::StrCat(part.folder, "/", kMetricsFile);
  std::error_code error;
  if (std::filesystem::exists(metrics, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat(part.folder, " holds a run already; take another --dir"));
  }
  std::filesystem::create_directories(part.folder, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat(
        "cannot make the folder ", part.folder, ": ", error.message()));
  }
  PARLEY_RETURN_IF_ERROR(ReplaceFile(absl::StrCat(part.folder, "/", kRunFile),
                                     PrintRun(part.config)));
  return MetricsLog::Open(metrics);
}

}  // namespace

absl::StatusOr<GossipPart> ReadGossipPart(const GossipFlags& flags,
                                          const std::string& name,
                                          bool own_data,
                                          std::optional<int32_t> data_part) {
  const std::pair<const std::string*, const char*> kNeeded[] = {
      {&flags.run_file, "--gossip FILE"},
      {&flags.peers_file, "--peers FILE"},
      {&flags.folder, "--dir DIR"}};
  for (const auto& [value, flag] : kNeeded) {
    if (value->empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag,
                       " is missing: a peer needs --gossip, --peers, "
                       "--dir, and --index or --name"));
    }
  }
  GossipPart part;
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReader::Open(flags.peers_file));
  PARLEY_ASSIGN_OR_RETURN(const std::string text, file->Read(0, file->size()));
  PARLEY_ASSIGN_OR_RETURN(part.membership,
                          MembershipFromText(text, flags.peers_file));
  PARLEY_RETURN_IF_ERROR(CheckPeers(part.membership, flags.peers_file));
  PARLEY_ASSIGN_OR_RETURN(part.index,
                          FindPeer(part.membership, flags.index, name));
  part.listen = flags.listen.empty() ? part.membership.peers[part.index].address
                                     : flags.listen;
  if (absl::Status status = CheckAddress(part.listen); !status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--listen: ", status.message()));
  }
  part.folder = flags.folder;
  PARLEY_ASSIGN_OR_RETURN(part.config, LoadRunFile(flags.run_file));
  if (own_data) {
    StateFacts(StatedFacts(part.config.model()), &part.config);
    return part;
  }
  PARLEY_ASSIGN_OR_RETURN(const DataFacts facts, ProbeData(part.config));
  StateFacts(facts, &part.config);
  part.data_part = data_part ? *data_part : part.index;
  const int64_t peers = static_cast<int64_t>(part.membership.peers.size());
  if (facts.parts != peers && !data_part) {
    return absl::InvalidArgumentError(absl::StrCat(
        flags.run_file, ": data.train has ", facts.parts, " parts, the list ",
        peers, " peers; --data part:N names a part"));
  }
  return part;
}

absl::Status RunGossipPeer(GossipPart part, const TrainerFactory& factory,
                           StopSignals* signals) {
  const std::string name = part.membership.peers[part.index].name;
  PARLEY_ASSIGN_OR_RETURN(GossipRun run,
                          MakeGossipRun(part.config, part.membership));
  if (run.spec.bytes() > part.max_model_bytes) {
    return absl::FailedPreconditionError(
        absl::StrCat("the model has ", run.spec.bytes(),
                     " bytes, more than --max-model-bytes ",
                     part.max_model_bytes, " allows"));
  }
  PARLEY_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer,
                          factory(part.config, part.data_part));
  PARLEY_RETURN_IF_ERROR(trainer->Accepts(run.spec));
  PARLEY_ASSIGN_OR_RETURN(std::unique_ptr<MetricsLog> metrics,
                          PrepareFolder(part));
  ThreadPool control(1), work(3);  // the node's two lanes, and evaluations
  const int64_t rounds = run.node.machine.rounds;
  // Reset once the node is done, before what it tells is gone.
  std::optional<PeerEvaluator> evaluator(std::in_place, part.config, &work);
  Reporter reporter(std::move(metrics), name, rounds, &*evaluator);
  run.node.machine.hello.set_index(part.index);
  run.node.machine.hello.set_name(name);
  run.node.machine.hello.set_incarnation(NewIncarnation());
  GossipNode* running = nullptr;
  run.node.on_round = [&](const GossipRound& round, const PeerState& state) {
    reporter.OnRound(round, state,
                     running->machine().committed_average() > rounds);
  };

  const auto plan = std::make_shared<EdgePlan>(run.schedule);
  const std::unique_ptr<Clock> clock = MakeRealClock();
  GrpcPeerTransport transport(part.dial);
  PARLEY_ASSIGN_OR_RETURN(
      const std::unique_ptr<GossipNode> node,
      GossipNode::Create(std::move(run.node), {.transport = &transport,
                                               .clock = clock.get(),
                                               .control = &control,
                                               .work = &work,
                                               .plan = plan,
                                               .trainer = trainer.get()}));
  PARLEY_ASSIGN_OR_RETURN(
      const std::unique_ptr<PeerServer> server,
      PeerServer::Start(
          {.address = part.listen,
           .security = part.dial.security,
           .lookahead_bytes = part.dial.lookahead_bytes,
           .max_connections = plan->peers() + kFurtherConnections},
          node.get()));
  LogInfo("peer ", part.index, " of ", plan->peers(), ", ", name,
          ", listens at ", part.listen);

  running = node.get();
  Outcome outcome(signals);
  node->Start(
      [&outcome](absl::Status status) { outcome.Set(std::move(status)); });
  const Outcome::End end = outcome.Wait(
      [&node](const std::string& reason) {
        LogInfo("hands over and leaves (a second signal ends it at once): ",
                reason);
        node->Leave(reason);
        return true;
      },
      [&node](const std::string& reason) { node->Stop(reason); });
  if (end != Outcome::End::kByItself) evaluator->Stop();
  evaluator.reset();  // waits for what is still to be told
  if (end == Outcome::End::kStopped) return outcome.status();
  PARLEY_RETURN_IF_ERROR(outcome.status());
  if (node->left()) {
    LogInfo("has left the other peers, which go on");
    return absl::OkStatus();
  }
  const ParameterVector model = node->state().Model();
  const std::string path = absl::StrCat(part.folder, "/", kModelFile);
  PARLEY_RETURN_IF_ERROR(SaveParameters(path, run.spec, model));
  LogInfo("all rounds are done; ",
          node->machine().committed_average() > rounds
              ? "the exact average of all peers"
              : "the model of this peer alone, as the last average failed,",
          " is in ", path);
  return absl::OkStatus();
}

}  // namespace parley
