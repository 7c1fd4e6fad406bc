#include "common/topology/topology.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/topology/graphs/graphs.h"
#include "common/topology/schedule.h"
#include "common/topology/schedule_hash.h"

namespace parley {
namespace {

struct Entry {
  const char* kind;
  Fault (*check)(const TopologyOptions&, int64_t peers);
  ScheduleOr (*make)(const TopologyOptions&, const ScheduleKey&);
};

// A new kind is one line here and one file in graphs/.
constexpr Entry kTopologies[] = {
    {"ring", CheckAny, MakeRing},
    {"path", CheckAny, MakePath},
    {"grid", CheckGrid, MakeGrid},
    {"torus", CheckGrid, MakeTorus},
    {"star", CheckAny, MakeStar},
    {"complete", CheckAny, MakeComplete},
    {"hypercube", CheckHypercube, MakeHypercube},
    {"static_exponential", CheckAny, MakeStaticExponential},
    {"random_regular", CheckRandomRegular, MakeRandomRegular},
    {"erdos_renyi", CheckErdosRenyi, MakeErdosRenyi},
    {"small_world", CheckSmallWorld, MakeSmallWorld},
    {"edges", CheckEdges, MakeEdges},
    {"one_peer_exponential", CheckAny, MakeOnePeerExponential},
    {"random_matching", CheckAny, MakeRandomMatching},
    {"base", CheckBase, MakeBase},
};

const Entry* Find(const std::string& kind) {
  for (const Entry& entry : kTopologies) {
    if (kind == entry.kind) return &entry;
  }
  return nullptr;
}

}  // namespace

std::vector<absl::string_view> TopologyKinds() {
  std::vector<absl::string_view> kinds;
  for (const Entry& entry : kTopologies) kinds.push_back(entry.kind);
  return kinds;
}

Fault FindTopologyFault(const TopologyOptions& options, int64_t peers) {
  const Entry* entry = Find(options.kind);
  PARLEY_CHECK(entry != nullptr);
  if (peers < 1 || peers > kMostPeers) {
    return TopologyFault{
        "", absl::StrCat("has 1 to ", kMostPeers, " peers, not ", peers)};
  }
  return entry->check(options, peers);
}

absl::Status CheckTopology(const TopologyOptions& options, int64_t peers) {
  if (Find(options.kind) == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown topology '", options.kind, "'; known are ",
                     absl::StrJoin(TopologyKinds(), ", ")));
  }
  const Fault fault = FindTopologyFault(options, peers);
  if (!fault.has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(options.kind, fault->field.empty() ? "" : ".", fault->field,
                   " ", fault->text));
}

Fault CheckAny(const TopologyOptions&, int64_t) { return std::nullopt; }

absl::StatusOr<std::unique_ptr<const Schedule>> Schedule::Create(
    const TopologyOptions& options, const ScheduleKey& key) {
  PARLEY_RETURN_IF_ERROR(CheckTopology(options, key.peers));
  const Entry* entry = Find(options.kind);
  PARLEY_ASSIGN_OR_RETURN(
      std::unique_ptr<Schedule> schedule,
      key.peers == 1 ? MakeComplete(options, key) : entry->make(options, key));
  schedule->lazy_ = options.lazy;
  schedule->hash_ = ScheduleHash(options, key);
  return std::unique_ptr<const Schedule>(std::move(schedule));
}

MixingRow Schedule::Row(int64_t round, int64_t peer) const {
  PARLEY_CHECK(round >= 0 && peer >= 0 && peer < peers_);
  MixingRow row = RowOf(round, peer);
  if (!lazy_) return row;
  for (std::vector<PeerWeight>* side : {&row.in, &row.out}) {
    for (PeerWeight& weight : *side) {
      weight.weight /= 2;
      if (weight.peer == peer) weight.weight += 0.5;
    }
  }
  return row;
}

}  // namespace parley
