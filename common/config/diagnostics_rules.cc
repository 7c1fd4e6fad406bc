#include "common/config/diagnostics_rules.h"

#include <string>

namespace parley {
namespace {

// Why centralized descent cannot take the clients' steps; empty: it can.
std::string WhyNotCentralized(const v1::LocalAlgorithm& local) {
  if (local.has_exact_prox()) {
    return "must be false with local.exact_prox, which takes no steps";
  }
  if (local.has_sgd() && local.sgd().steps() == 0) {
    return "needs the same number of steps on every client: set "
           "local.sgd.steps, or false";
  }
  if (local.momentum() != 0 || local.weight_decay() != 0) {
    return "must be false with momentum or weight_decay: the centralized steps "
           "are plain ones";
  }
  return "";
}

}  // namespace

void CheckDiagnosticsRules(const v1::RunConfig& config,
                           Complaints& complaints) {
  if (!config.diagnostics().has_direction_gap()) return;
  const std::string path = "diagnostics.direction_gap";
  const v1::Model& model = config.model();
  if (!model.has_logistic() || model.logistic().bias()) {
    complaints.Conflict(path,
                        "must go with model { logistic { bias: false } }: the "
                        "theory is about linear models without an intercept");
  }
  if (config.precision() != v1::FLOAT64) {
    complaints.Conflict(path,
                        "must go with precision: FLOAT64, as float32 stalls "
                        "long before the direction settles");
  }
  if (!config.data().has_train()) {
    complaints.Conflict(
        path,
        "needs data.train: where clients bring their own, no data leaves a "
        "client for a diagnostic. Use a run with local.gd.steps 1 as the "
        "centralized reference, and Modified Local-GD (local.exact_prox, "
        "aggregation.anchored) for the max-margin direction");
  }
  if (config.has_gossip()) {
    complaints.Conflict(path,
                        "must not be set with gossip, where no coordinator "
                        "makes a model that it could measure");
  }
  if (!config.diagnostics().direction_gap().centralized()) return;
  const std::string why = WhyNotCentralized(config.local());
  if (!why.empty()) {
    complaints.Conflict(path + ".centralized", "is true: " + why);
  }
}

}  // namespace parley
