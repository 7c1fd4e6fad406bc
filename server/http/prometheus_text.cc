#include "server/http/prometheus_text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <optional>

#include "absl/strings/ascii.h"
#include "common/base/flags.h"
#include "common/report/run_status.h"

namespace parley {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Label = ClientMetric::Label;

void AddTo(MetricFamily& family, std::vector<Label> labels, double value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  if (family.type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
}

// One number a run, where it has it.
struct Number {
  const char* name;
  const char* help;
  MetricType type;
  std::optional<double> (*of)(const v1::RunStatus& status);
};

std::optional<double> If(bool has, double value) {
  return has ? std::optional(value) : std::nullopt;
}

constexpr Number kNumbers[] = {
    {"parley_rounds_total", "Rounds that have been committed.",
     MetricType::Counter,
     [](const v1::RunStatus& s) -> std::optional<double> {
       // While one runs, that is the one that the status names.
       return s.state() == v1::RUNNING ? s.round() - 1 : s.round();
     }},
    {"parley_uploaded_bytes_total",
     "Payload bytes that clients have sent to the coordinator.",
     MetricType::Counter,
     [](const v1::RunStatus& s) -> std::optional<double> {
       return s.bytes_up();
     }},
    {"parley_downloaded_bytes_total",
     "Payload bytes that the coordinator has sent to clients.",
     MetricType::Counter,
     [](const v1::RunStatus& s) -> std::optional<double> {
       return s.bytes_down();
     }},
    {"parley_round", "The round being run, or the last one.", MetricType::Gauge,
     [](const v1::RunStatus& s) -> std::optional<double> { return s.round(); }},
    {"parley_planned_rounds", "stop.rounds of the run file.", MetricType::Gauge,
     [](const v1::RunStatus& s) -> std::optional<double> {
       return s.rounds();
     }},
    {"parley_loss", "The latest loss: central, else federated.",
     MetricType::Gauge,
     [](const v1::RunStatus& s) { return If(s.has_loss(), s.loss()); }},
    {"parley_accuracy", "The latest accuracy: central, else federated.",
     MetricType::Gauge,
     [](const v1::RunStatus& s) { return If(s.has_accuracy(), s.accuracy()); }},
    {"parley_clients", "Clients with a lease.", MetricType::Gauge,
     [](const v1::RunStatus& s) -> std::optional<double> {
       return s.clients();
     }},
    {"parley_asked", "Clients asked in this phase of the round.",
     MetricType::Gauge,
     [](const v1::RunStatus& s) -> std::optional<double> { return s.asked(); }},
    {"parley_done", "Those of them that have answered.", MetricType::Gauge,
     [](const v1::RunStatus& s) -> std::optional<double> { return s.done(); }},
    {"parley_run_seconds", "Seconds that the run has taken.", MetricType::Gauge,
     [](const v1::RunStatus& s) -> std::optional<double> {
       return s.seconds();
     }},
    {"parley_eta_seconds", "Seconds that it will still take, as it seems.",
     MetricType::Gauge,
     [](const v1::RunStatus& s) {
       return If(s.has_eta_seconds(), s.eta_seconds());
     }},
};

}  // namespace

std::string PrometheusText(absl::Span<const ScrapedRun> runs) {
  std::vector<MetricFamily> families;
  // Good until the next one.
  const auto family = [&](const char* name, const char* help,
                          MetricType type) -> MetricFamily& {
    return families.emplace_back(
        MetricFamily{.name = name, .help = help, .type = type, .metric = {}});
  };
  AddTo(family("parley_build_info", "1, with the version.", MetricType::Gauge),
        {{"version", kVersion}}, 1);
  for (const Number& number : kNumbers) {
    MetricFamily& made = family(number.name, number.help, number.type);
    for (const ScrapedRun& run : runs) {
      const std::optional<double> value = number.of(run.status);
      if (value.has_value()) AddTo(made, {{"run", run.status.run()}}, *value);
    }
  }
  MetricFamily& states =
      family("parley_run_state", "1 for the state that the run is in, else 0.",
             MetricType::Gauge);
  for (const ScrapedRun& run : runs) {
    for (int i = v1::WAITING; v1::RunState_IsValid(i); ++i) {
      const auto state = static_cast<v1::RunState>(i);
      AddTo(states,
            {{"run", run.status.run()},
             {"state", absl::AsciiStrToLower(v1::RunState_Name(state))}},
            state == run.status.state());
    }
  }
  MetricFamily& clients = family(
      "parley_clients_by_state",
      "Clients by what they do in this phase of the round.", MetricType::Gauge);
  for (const ScrapedRun& run : runs) {
    std::map<std::string, int> counts;
    for (const v1::ClientStatus& client : run.status.client()) {
      ++counts[client.state()];
    }
    for (const auto& [state, count] : counts) {
      AddTo(clients, {{"run", run.status.run()}, {"state", state}}, count);
    }
  }
  MetricFamily& seconds =
      family("parley_last_round_seconds",
             "Seconds that each phase of the last whole round took.",
             MetricType::Gauge);
  for (const ScrapedRun& run : runs) {
    for (const auto& [phase, value] : run.last_seconds) {
      AddTo(seconds, {{"run", run.status.run()}, {"phase", phase}}, value);
    }
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace parley
