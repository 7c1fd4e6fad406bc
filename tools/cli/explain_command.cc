#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/config/explain.h"
#include "common/config/load.h"
#include "tools/cli/command.h"

namespace parley {

int ExplainCommand(int argc, const char* const* argv) {
  std::vector<std::string> sets;
  bool json = false;
  Flags flags({"parley explain", "FILE",
               "Prints the run file with every default filled in, and what it "
               "will cost.\nWhat is printed is a run file itself.\n",
               "Example:\n  parley explain examples/fashion_fedavg.textproto "
               "--set data.partition.parts=100\n",
               1, 1});
  flags.Add("set", &sets, "FIELD=VALUE",
            "Change a field of the run file; may be repeated.");
  flags.Add("json", &json, "", "Print the costs as one JSON object.");
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const auto config = LoadRunFile(flags.arguments()[0], sets);
  if (!config.ok()) return Complain(config.status(), kExitUsage);
  const auto costs = ComputeCosts(*config);
  if (!costs.ok()) return Complain(costs.status());
  if (json) {
    absl::PrintF("%s\n", ToJson(*costs).ToString());
  } else {
    absl::PrintF("%s", Explain(*config, *costs));
  }
  return kExitOk;
}

}  // namespace parley
