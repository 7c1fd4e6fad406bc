#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/strategies/strategy.h"

namespace parley {
namespace {

struct Entry {
  const char* name;
  // The field of the run file that stands for it.
  v1::Aggregation::StrategyCase field;
  StrategyOr (*make)(const v1::Aggregation&);
};

constexpr Entry kTable[] = {
    {"fed_avg", v1::Aggregation::kFedAvg, MakeFedAvg},
    {"median", v1::Aggregation::kMedian, MakeCoordinateMedian},
    {"trimmed_mean", v1::Aggregation::kTrimmedMean, MakeTrimmedMean},
    {"uniform", v1::Aggregation::kUniform, MakeUniform},
};

}  // namespace

std::vector<std::string> StrategyNames() {
  std::vector<std::string> names;
  for (const Entry& entry : kTable) names.push_back(entry.name);
  return names;
}

StrategyOr MakeStrategy(const v1::Aggregation& config,
                        absl::Span<const CustomStrategy> custom) {
  std::vector<std::string> names;
  if (config.has_custom()) {
    const v1::Custom& wanted = config.custom();
    for (const CustomStrategy& strategy : custom) {
      if (strategy.name == wanted.name()) {
        return strategy.make({wanted.params().begin(), wanted.params().end()});
      }
      names.push_back(strategy.name);
    }
  }
  for (const Entry& entry : kTable) {
    if (entry.field == config.strategy_case()) return entry.make(config);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "aggregation.custom.name: \"", config.custom().name(),
      "\" is not a strategy of this coordinator; it has ",
      names.empty() ? "none of its own" : absl::StrJoin(names, ", "),
      ". Those of Parley are fields of aggregation: ",
      absl::StrJoin(StrategyNames(), ", ")));
}

}  // namespace parley
