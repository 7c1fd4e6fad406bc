// What is told of one round: a line of metrics.jsonl. The coordinator fills it,
// metrics_log.h writes and reads it.
#ifndef PARLEY_COMMON_REPORT_ROUND_REPORT_H_
#define PARLEY_COMMON_REPORT_ROUND_REPORT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace parley {

// Why a client that was asked did not count.
struct Refusal {
  std::string client;
  std::string reason;

  bool operator==(const Refusal&) const = default;
};

// Means over the examples evaluated. Accuracy is absent for regression, both
// where nothing was evaluated.
struct EvaluationReport {
  std::optional<double> loss;
  std::optional<double> accuracy;

  bool operator==(const EvaluationReport&) const = default;
};

// What one client found on its own held-out rows.
struct ClientEvaluation {
  std::string client;
  double examples = 0;  // or what else the client weighed it by
  std::optional<double> loss;
  std::optional<double> accuracy;

  bool operator==(const ClientEvaluation&) const = default;
};

// A round tells of so many clients' evaluations at most. Of more it tells of
// this many at even steps from the worst to the best, both included, so that
// the spread stays what it was.
inline constexpr size_t kMaxEvaluations = 200;

// What one peer of a gossip run sent to another in a round.
struct EdgeTraffic {
  int from = 0;  // peers' indices
  int to = 0;
  uint64_t bytes = 0;

  bool operator==(const EdgeTraffic&) const = default;
};

// What has come from another peer so far, less what has gone there: Σ of the
// numbers of x, and ω (conservation.h). Where the edge is in doubt, the most of
// them that may not be so.
struct EdgeFlow {
  int peer = 0;  // its index
  double sum = 0;
  double omega = 0;
  bool in_doubt = false;
  double doubt = 0;
  double doubt_omega = 0;

  bool operator==(const EdgeFlow&) const = default;
};

// Of a gossip run, among RoundReport::metrics: (1/m) Σ ‖x_j − x̄‖² of the peers'
// models (of what they sent, by sketches, where they are processes of their
// own), and by how much mixing shrank its square root; the mean of Σ_k
// W_jk·‖x_j − x_k‖²; ends of edges that were used and given up.
inline constexpr char kConsensusDistance[] = "consensus";
inline constexpr char kContraction[] = "contraction";
inline constexpr char kNeighbourDistance[] = "neighbour_distance";
inline constexpr char kUsedEdges[] = "used_edges";
inline constexpr char kLostEdges[] = "lost_edges";

struct RoundReport {
  int64_t round = 0;  // from 1

  // Clients by name, in cohort order. Over all phases of the round: asked is
  // the cohort, counted are those whose updates are in the sum.
  std::vector<std::string> asked;
  std::vector<std::string> counted;
  std::vector<Refusal> refused;

  // Means over the clients that counted, by the weights of their updates.
  std::optional<double> train_loss;
  std::map<std::string, double> metrics;  // what else they sent, by name

  EvaluationReport central;  // of the new model, by the coordinator
  // Of the new model, on the clients' held-out rows. Of a gossip run: of the
  // peers' own models, on data.test.
  EvaluationReport federated;

  std::vector<ClientEvaluation> evaluations;  // what federated is the mean of

  // What diagnostics.direction_gap measured of the new model; empty where it
  // did not. Of w, the model, and w*, the reference:
  //   "gap"               DirectionGap(w, w*)
  //   "distance"          ‖w − w*‖/‖w*‖, where nothing separates the rows
  //   "margin"            min z·w/‖w‖, "margin_share": of the largest one; both
  //                       where something does
  //   "log_loss", "norm"  ln f(w) of all rows, as the strategy weighs them; ‖w‖
  //   "drift"             sqrt(Σ p·‖Δ − Δ̄‖²) over the clients' changes Δ, p
  //   what
  //                       each counts for; "drift_share": of ‖Δ̄‖
  //   "client_gap_min", "client_gap_median", "client_gap_max"
  //                       DirectionGap of the clients' own models to w*
  //   "centralized_rounds_gap", "centralized_rounds_reference_gap"
  //                       DirectionGap of centralized descent, after as many
  //                       steps as rounds, to w and to w*
  //   "centralized_steps_gap", "centralized_steps_reference_gap",
  //   "centralized_steps_distance"
  //                       the same of v, after as many steps as a client took,
  //                       and ‖w − v‖/‖v‖
  //   "w0", "w1"          w itself, of two features
  std::map<std::string, double> direction;

  uint64_t bytes_up = 0;  // payload bytes of this round, all clients
  uint64_t bytes_down = 0;
  // Of a gossip run; nothing of it passes the coordinator.
  std::vector<EdgeTraffic> edges;
  std::vector<EdgeFlow> flows;  // of one peer, which tells for itself alone

  // Wall time of each phase in the order run: {"train", 0.8}, {"aggregate",
  // 0.01}, {"evaluate", 0.1}. One name at most once.
  std::vector<std::pair<std::string, double>> seconds;

  // ParameterVector::Hash() of the new model. Of a gossip run: of the average
  // at the end; 0 before.
  uint64_t model_hash = 0;
  int32_t clients = 0;  // with a lease as the round ended
  // Since the run started; one that was resumed goes on from what stood here
  // for the round before.
  double elapsed_seconds = 0;

  bool operator==(const RoundReport&) const = default;
};

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_ROUND_REPORT_H_
