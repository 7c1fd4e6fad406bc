#include "common/report/gossip_facts.h"

#include <algorithm>
#include <memory>

#include "common/base/json.h"
#include "common/base/status_macros.h"
#include "common/config/run_gossip.h"
#include "common/topology/drawing.h"
#include "common/topology/schedule.h"
#include "common/topology/spectrum.h"

namespace parley {
namespace {

constexpr int64_t kMostDrawn = 4;         // rounds
constexpr int64_t kMostPeersDrawn = 400;  // a picture of more shows nothing

absl::StatusOr<std::unique_ptr<const Schedule>> ScheduleFor(
    const v1::RunConfig& config, int64_t epoch, int64_t peers) {
  return Schedule::Create(
      GossipTopologyOf(config),
      {.seed = config.seed(), .epoch = epoch, .peers = peers});
}

absl::StatusOr<std::optional<double>> ContractionOf(const v1::RunConfig& config,
                                                    const Schedule& schedule) {
  if (schedule.period() != 1 || schedule.peers() > kMostPeersForRho ||
      config.gossip().has_ad_psgd()) {  // whose pairs do not mix by W
    return std::nullopt;
  }
  PARLEY_ASSIGN_OR_RETURN(const Spectrum spectrum, SpectrumOf(schedule));
  return spectrum.contraction;
}

}  // namespace

absl::StatusOr<std::optional<double>> ContractionOf(const v1::RunConfig& config,
                                                    int64_t epoch,
                                                    int64_t peers) {
  if (config.gossip().has_exact_average() || peers < 2) return std::nullopt;
  PARLEY_ASSIGN_OR_RETURN(const std::unique_ptr<const Schedule> schedule,
                          ScheduleFor(config, epoch, peers));
  return ContractionOf(config, *schedule);
}

absl::StatusOr<GossipFacts> GossipFactsOf(const v1::RunConfig& config) {
  GossipFacts facts;
  if (config.gossip().has_exact_average()) return facts;
  PARLEY_ASSIGN_OR_RETURN(
      const std::unique_ptr<const Schedule> schedule,
      ScheduleFor(config, 0, config.data().partition().parts()));
  if (schedule->peers() <= kMostPeersDrawn) {
    const int64_t rounds = schedule->period() == 0
                               ? kMostDrawn
                               : std::min(schedule->period(), kMostDrawn);
    facts.graph = DrawTopology(GossipTopologyOf(config), *schedule, rounds);
  }
  PARLEY_ASSIGN_OR_RETURN(facts.contraction, ContractionOf(config, *schedule));
  return facts;
}

std::string ToJsonText(const GossipFacts& facts) {
  Json json = Json::Object();
  json.Set("graph", facts.graph).Set("rho", facts.contraction);
  return json.ToString();
}

}  // namespace parley
