#include "server/round/round_summary.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "server/round/next_values.h"

namespace parley {
namespace {

// Σ weight·x / Σ weight of each named number, over those that sent it.
std::map<std::string, double> WeightedMeans(const v1::RoundCommitted& round,
                                            v1::TaskKind kind) {
  std::map<std::string, std::pair<double, double>> sums;
  for (const v1::TaskOutcome& outcome : round.outcomes()) {
    if (!outcome.counted() || outcome.kind() != kind) continue;
    for (const auto& [name, value] : outcome.scalars()) {
      sums[name].first += outcome.weight() * value;
      sums[name].second += outcome.weight();
    }
  }
  std::map<std::string, double> means;
  for (const auto& [name, sum] : sums) means[name] = sum.first / sum.second;
  return means;
}

std::optional<double> Take(std::map<std::string, double>& values,
                           const std::string& name) {
  const auto it = values.find(name);
  if (it == values.end()) return std::nullopt;
  const double value = it->second;
  values.erase(it);
  return value;
}

// Of all clients, or of kMaxEvaluations by rank.
std::vector<ClientEvaluation> Evaluations(const v1::RoundCommitted& round) {
  std::vector<ClientEvaluation> all;
  const auto number = [](const v1::TaskOutcome& outcome,
                         const char* name) -> std::optional<double> {
    const auto it = outcome.scalars().find(name);
    if (it == outcome.scalars().end()) return std::nullopt;
    return it->second;
  };
  for (const v1::TaskOutcome& outcome : round.outcomes()) {
    if (!outcome.counted() || outcome.kind() != v1::EVALUATE) continue;
    all.push_back({.client = outcome.client(),
                   .examples = outcome.weight(),
                   .loss = number(outcome, "loss"),
                   .accuracy = number(outcome, "accuracy")});
  }
  if (all.size() <= kMaxEvaluations) return all;
  const auto quality = [](const ClientEvaluation& evaluation) {
    return evaluation.accuracy.has_value() ? *evaluation.accuracy
                                           : -evaluation.loss.value_or(0);
  };
  std::stable_sort(all.begin(), all.end(),
                   [&](const ClientEvaluation& a, const ClientEvaluation& b) {
                     return quality(a) < quality(b);
                   });
  std::vector<ClientEvaluation> some;
  for (size_t i = 0; i < kMaxEvaluations; ++i) {
    some.push_back(all[i * (all.size() - 1) / (kMaxEvaluations - 1)]);
  }
  return some;
}

EvaluationReport Evaluation(std::map<std::string, double> values) {
  return {.loss = Take(values, "loss"), .accuracy = Take(values, "accuracy")};
}

}  // namespace

RoundReport Summarize(const effect::ReportRound& round,
                      double elapsed_seconds) {
  RoundReport report;
  report.round = round.round.round();
  for (const v1::CohortMember& member : round.opened.cohort()) {
    report.asked.push_back(member.client());
  }
  // Over-selection and replacement ask more than the draw that was recorded.
  std::set<std::string> asked(report.asked.begin(), report.asked.end());
  for (const v1::TaskOutcome& outcome : round.round.outcomes()) {
    if (asked.insert(outcome.client()).second) {
      report.asked.push_back(outcome.client());
    }
    if (!outcome.counted()) {
      report.refused.push_back({outcome.client(), outcome.reason()});
    } else if (outcome.kind() == v1::TRAIN) {
      report.counted.push_back(outcome.client());
    }
  }
  report.metrics = WeightedMeans(round.round, v1::TRAIN);
  // A mean of logarithms would tell little.
  if (const auto log_loss = LogLossOf(round.round, /*uniform=*/false)) {
    report.metrics[kLogLoss] = *log_loss;
  }
  report.train_loss = Take(report.metrics, "loss");
  report.federated = Evaluation(WeightedMeans(round.round, v1::EVALUATE));
  report.evaluations = Evaluations(round.round);
  if (round.central.has_value()) report.central = Evaluation(*round.central);
  report.direction.insert(round.round.direction().begin(),
                          round.round.direction().end());
  report.bytes_up = round.bytes_up;
  report.bytes_down = round.bytes_down;
  report.seconds = round.phase_seconds;
  report.model_hash = round.round.model_hash();
  report.clients = round.registered;
  report.elapsed_seconds = elapsed_seconds;
  return report;
}

}  // namespace parley
