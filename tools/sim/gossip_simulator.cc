#include "tools/sim/gossip_simulator.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/gossip/peer_report.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"
#include "common/config/facts.h"
#include "common/config/load.h"
#include "common/config/run_gossip.h"
#include "common/files/file_io.h"
#include "common/files/safetensors.h"
#include "common/report/conservation.h"
#include "common/report/evaluations.h"
#include "common/report/metrics_log.h"
#include "common/topology/spectrum.h"
#include "server/round/run_model.h"
#include "server/run/run_files.h"
#include "server/store/run_store.h"
#include "tools/sim/client_name.h"
#include "tools/sim/consensus_meter.h"
#include "tools/sim/gossip_world.h"
#include "tools/sim/part_trainers.h"

namespace parley {
namespace {

// Of more peers the spectrum takes minutes, and their evaluations do not fit a
// line.
constexpr int kMostPeersInFull = 256;

bool MixesWhatItSends(const AlgorithmTraits& traits) {
  return !traits.edge_states && !traits.pairs;
}

// A round of all peers, while they come in.
struct OpenRound {
  ConsensusMeter models, sent, mixed;
  double loss = 0;
  int losses = 0;
  RoundReport report;
  std::vector<PeerBooks> books;
};

// Takes what the peers tell and makes a line of metrics of each round.
class Recorder {
 public:
  Recorder(const SimulatorOptions& options, RunModel* model,
           std::vector<std::string> names, std::optional<double> rho)
      : options_(options),
        model_(*model),
        names_(std::move(names)),
        rho_(rho),
        in_step_(!TraitsOf(AlgorithmOptionsOf(options.config)).pairs),
        mixes_what_it_sends_(
            MixesWhatItSends(TraitsOf(AlgorithmOptionsOf(options.config)))) {}

  absl::Status Open() {
    if (options_.folder.empty()) return absl::OkStatus();
    const std::string& folder = options_.folder;
    PARLEY_RETURN_IF_ERROR(ReplaceFile(absl::StrCat(folder, "/", kRunFile),
                                       PrintRun(options_.config)));
    PARLEY_ASSIGN_OR_RETURN(
        log_, MetricsLog::Open(absl::StrCat(folder, "/", kMetricsFile)));
    return absl::OkStatus();
  }

  void Add(int peer, const GossipRound& told, const PeerState& state,
           absl::Duration elapsed) {
    if (told.round > options_.config.stop().rounds()) return;
    OpenRound& round = rounds_[told.round];
    const int64_t n = state.x().elements();
    round.models.Add(n, 1 / state.omega(), state.x());
    if (mixes_what_it_sends_) {
      round.sent.Add(n, 1, state.sent());
      round.mixed.Add(n, 1, state.sent(), &state.mixed());
    }
    const auto loss = told.trained.metrics.find("loss");
    if (loss != told.trained.metrics.end()) {
      round.loss += loss->second;
      ++round.losses;
    }
    round.report.bytes_up += told.bytes_sent;
    round.report.bytes_down += told.bytes_received;
    round.report.metrics[kUsedEdges] += told.used_edges;
    round.report.metrics[kLostEdges] += told.lost_edges;
    round.books.push_back(BooksOf(peer, state));
    if (Evaluates(told.round)) Evaluate(peer, state, &round.report);
    if (round.models.count() < static_cast<int64_t>(names_.size())) return;
    round.report.round = told.round;
    round.report.elapsed_seconds = absl::ToDoubleSeconds(elapsed);
    Close(round);
    rounds_.erase(told.round);
  }

  const ParameterVector& mean() const { return mean_; }
  const v1::RunStatus& status() const { return status_; }
  const absl::Status& error() const { return error_; }

  // `note` says what is particular about the model.
  absl::Status Finish(const ParameterVector& model, const std::string& note) {
    PARLEY_RETURN_IF_ERROR(error_);
    status_.set_run(options_.config.name());
    status_.set_state(v1::FINISHED);
    status_.set_detail(absl::StrCat("all rounds are done", note));
    status_.set_rounds(options_.config.stop().rounds());
    if (options_.folder.empty()) return absl::OkStatus();
    const std::string& folder = options_.folder;
    PARLEY_RETURN_IF_ERROR(WriteSafetensors(
        absl::StrCat(folder, "/", kModelFile), model_.spec, model));
    PARLEY_RETURN_IF_ERROR(ReplaceFile(absl::StrCat(folder, "/", kStatusFile),
                                       StatusJson(status_)));
    return WriteReport(options_.config, status_, folder);
  }

 private:
  bool IsLast(int64_t round) const {
    return round == options_.config.stop().rounds();
  }

  bool Evaluates(int64_t round) const {
    const int64_t every = options_.config.evaluation().every();
    return IsLast(round) || (every > 0 && round % every == 0);
  }

  void Evaluate(int peer, const PeerState& state, RoundReport* report) {
    if (model_.evaluator == nullptr ||
        static_cast<int>(names_.size()) > kMostPeersInFull) {
      return;
    }
    const EvaluationReport quality = Evaluate(state.Model());
    report->evaluations.push_back({.client = names_[peer],
                                   .examples = 1,
                                   .loss = quality.loss,
                                   .accuracy = quality.accuracy});
  }

  EvaluationReport Evaluate(const ParameterVector& model) {
    const std::map<std::string, double> found =
        model_.evaluator->Evaluate(model);
    EvaluationReport quality;
    if (found.contains("loss")) quality.loss = found.at("loss");
    if (found.contains("accuracy")) quality.accuracy = found.at("accuracy");
    return quality;
  }

  void Close(OpenRound& round) {
    RoundReport& report = round.report;
    report.asked = report.counted = names_;
    report.clients = static_cast<int32_t>(names_.size());
    if (round.losses > 0) report.train_loss = round.loss / round.losses;
    report.metrics["consensus"] = round.models.trace();
    if (round.sent.trace() > 0) {
      report.metrics["contraction"] =
          std::sqrt(round.mixed.trace() / round.sent.trace());
    }
    if (rho_) report.metrics["rho"] = *rho_;
    std::sort(report.evaluations.begin(), report.evaluations.end(),
              [](const auto& a, const auto& b) { return a.client < b.client; });
    report.federated = MeanOf(report.evaluations);
    // All that are simulated live to the end.
    report.metrics.merge(AuditConservation(round.books, {}, in_step_));
    mean_ = round.models.Mean(model_.start.dtype());
    report.model_hash = mean_.Hash();
    if (model_.evaluator != nullptr && Evaluates(report.round)) {
      report.central = Evaluate(mean_);
    }
    status_.set_round(std::max(status_.round(), report.round));
    if (report.central.loss) status_.set_loss(*report.central.loss);
    if (report.central.accuracy) status_.set_accuracy(*report.central.accuracy);
    status_.set_seconds(report.elapsed_seconds);
    status_.set_bytes_up(status_.bytes_up() + report.bytes_up);
    status_.set_bytes_down(status_.bytes_down() + report.bytes_down);
    if (log_ != nullptr) error_.Update(log_->Append(report));
    if (options_.on_round) options_.on_round(report);
  }

  const SimulatorOptions& options_;
  RunModel& model_;
  const std::vector<std::string> names_;
  const std::optional<double> rho_;
  const bool in_step_;
  const bool mixes_what_it_sends_;
  std::unique_ptr<MetricsLog> log_;
  std::map<int64_t, OpenRound> rounds_;
  ParameterVector mean_;
  v1::RunStatus status_;
  absl::Status error_;
};

absl::StatusOr<std::shared_ptr<const Schedule>> ScheduleOf(
    const v1::RunConfig& config, int64_t peers) {
  PARLEY_ASSIGN_OR_RETURN(
      std::unique_ptr<const Schedule> schedule,
      Schedule::Create(GossipTopologyOf(config),
                       {.seed = config.seed(), .epoch = 0, .peers = peers}));
  return std::shared_ptr<const Schedule>(std::move(schedule));
}

absl::StatusOr<std::optional<double>> ContractionOf(
    const AlgorithmTraits& traits, const Schedule& schedule) {
  if (schedule.peers() > kMostPeersInFull || traits.pairs) return std::nullopt;
  PARLEY_ASSIGN_OR_RETURN(const Spectrum spectrum, SpectrumOf(schedule));
  return spectrum.contraction;
}

}  // namespace

absl::StatusOr<SimulatorResult> SimulateGossip(SimulatorOptions options) {
  if (!options.script.empty()) {
    return absl::InvalidArgumentError("a gossip run cannot be replayed");
  }
  ThreadPool pool(options.threads);
  v1::RunConfig& config = options.config;
  PARLEY_ASSIGN_OR_RETURN(const DataFacts facts, ProbeData(config));
  StateFacts(facts, &config);
  const int peers = static_cast<int>(facts.parts);
  PARLEY_ASSIGN_OR_RETURN(RunModel model, MakeRunModel(config, true, &pool));
  MakeTrainer make_trainer = options.make_trainer;
  if (!make_trainer) {
    PARLEY_ASSIGN_OR_RETURN(make_trainer, PartTrainers(config, &pool));
  }

  const AlgorithmTraits traits = TraitsOf(AlgorithmOptionsOf(config));
  GossipWorldOptions world;
  PARLEY_ASSIGN_OR_RETURN(world.schedule, ScheduleOf(config, peers));
  PARLEY_ASSIGN_OR_RETURN(const std::optional<double> rho,
                          ContractionOf(traits, *world.schedule));
  std::vector<std::string> names;
  for (int i = 0; i < peers; ++i) names.push_back(ClientNameOf(i, peers));
  Recorder recorder(options, &model, names, rho);
  PARLEY_RETURN_IF_ERROR(recorder.Open());

  const int64_t rounds = config.stop().rounds();
  world.algorithm = AlgorithmOptionsOf(config);
  world.rounds = rounds;
  world.average_every = config.gossip().average_every();
  world.final_average = peers <= kMostAveragingPeers;
  world.edge_timeout = absl::Seconds(config.gossip().edge_seconds());
  world.run = config.name();
  world.spec_hash = model.spec.Hash();
  world.pool = &pool;
  world.name = [&names](int peer) { return names[peer]; };
  world.start = [&model](int) { return model.start.Clone(); };
  world.trainer = [&make_trainer](int peer) { return make_trainer(peer); };
  world.step_time = [&](int peer) {
    return absl::Milliseconds(
        0.5 + Rng(config.seed(), names[peer], 0, "speed").Uniform());
  };
  GossipWorld* running = nullptr;
  world.on_round = [&](int peer, const GossipRound& told,
                       const PeerState& state) {
    recorder.Add(peer, told, state, running->world().Now() - absl::UnixEpoch());
  };
  world.log = [&](int peer, LogLevel level, absl::string_view text) {
    if (level == LogLevel::kInfo) return;
    const std::string line = absl::StrCat(names[peer], ": ", text);
    options.say ? options.say(level, line) : Log(level, line);
  };
  PARLEY_ASSIGN_OR_RETURN(std::unique_ptr<GossipWorld> made,
                          GossipWorld::Create(std::move(world)));
  running = made.get();
  PARLEY_RETURN_IF_ERROR(made->Run());

  SimulatorResult result;
  result.spec = model.spec;
  result.virtual_time = made->world().Now() - absl::UnixEpoch();
  const GossipNode& first = made->node(0);
  std::string note;
  if (first.machine().committed_average() > rounds) {
    result.model = first.state().Model();
  } else {
    if (traits.pairs) {
      // A peer goes on exchanging after its last step.
      ConsensusMeter models;
      for (int i = 0; i < peers; ++i) {
        const ParameterVector& x = made->node(i).state().x();
        models.Add(x.elements(), 1, x);
      }
      result.model = models.Mean(model.start.dtype());
    } else {
      result.model = recorder.mean().Clone();
    }
    note = absl::StrCat(
        "; the model is the mean of the peers' models as the simulator sees "
        "them, not one that they averaged themselves: ",
        peers > kMostAveragingPeers
            ? absl::StrCat("more than ", kMostAveragingPeers,
                           " peers do not average at the end")
            : "the average at the end failed");
    const std::string text = absl::StrCat(config.name(), note);
    options.say ? options.say(LogLevel::kWarning, text)
                : Log(LogLevel::kWarning, text);
  }
  PARLEY_RETURN_IF_ERROR(recorder.Finish(result.model, note));
  result.status = recorder.status();
  return result;
}

}  // namespace parley
