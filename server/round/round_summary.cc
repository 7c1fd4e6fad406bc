#include "server/round/round_summary.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/json.h"
#include "common/base/status_macros.h"
#include "common/report/html_report.h"
#include "common/report/report_run.h"
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

std::string StatusJson(const v1::RunStatus& status) {
  const auto optional = [](bool has, double value) {
    return has ? Json(value) : Json();
  };
  Json json = Json::Object();
  json.Set("run", status.run())
      .Set("state", absl::AsciiStrToLower(v1::RunState_Name(status.state())))
      .Set("reason", status.detail())
      .Set("round", status.round())
      .Set("rounds", status.rounds())
      .Set("loss", optional(status.has_loss(), status.loss()))
      .Set("accuracy", optional(status.has_accuracy(), status.accuracy()))
      .Set("seconds", status.seconds())
      .Set("bytes_up", status.bytes_up())
      .Set("bytes_down", status.bytes_down());
  return absl::StrCat(json.ToString(), "\n");
}

absl::Status WriteReport(const v1::RunConfig& config,
                         const v1::RunStatus& status,
                         const std::string& folder) {
  PARLEY_ASSIGN_OR_RETURN(ReportRun run, ReadReportRun(folder, config));
  run.state = absl::AsciiStrToLower(v1::RunState_Name(status.state()));
  run.reason = status.detail();
  return WriteHtmlReport({run}, absl::StrCat(folder, "/", kReportFile));
}

absl::StatusOr<v1::RunStatus> ReadStatusJson(const std::string& text) {
  PARLEY_ASSIGN_OR_RETURN(
      const Json json, Json::Parse(absl::StripTrailingAsciiWhitespace(text)));
  const auto string = [&json](const char* key) -> std::string {
    const Json* const value = json.Find(key);
    const bool there = value != nullptr && value->AsString() != nullptr;
    return there ? *value->AsString() : "";
  };
  const auto number = [&json](const char* key) -> std::optional<double> {
    const Json* const value = json.Find(key);
    return value == nullptr ? std::nullopt : value->AsDouble();
  };
  const auto whole = [&json](const char* key) -> int64_t {
    const Json* const value = json.Find(key);
    return value == nullptr ? 0 : value->AsInt64().value_or(0);
  };
  v1::RunStatus status;
  v1::RunState state;
  if (!v1::RunState_Parse(absl::AsciiStrToUpper(string("state")), &state)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", string("state"), "\" is no state of a run"));
  }
  status.set_run(string("run"));
  status.set_state(state);
  status.set_detail(string("reason"));
  status.set_round(whole("round"));
  status.set_rounds(whole("rounds"));
  if (const auto loss = number("loss")) status.set_loss(*loss);
  if (const auto accuracy = number("accuracy")) status.set_accuracy(*accuracy);
  status.set_seconds(number("seconds").value_or(0));
  status.set_bytes_up(static_cast<uint64_t>(whole("bytes_up")));
  status.set_bytes_down(static_cast<uint64_t>(whole("bytes_down")));
  return status;
}

}  // namespace parley
