#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "tools/cli/command.h"
#include "tools/cli/progress.h"
#include "tools/cli/run_folder.h"

namespace parley {
namespace {

constexpr size_t kColumns = 7;
using Row = std::array<std::string, kColumns>;

Row RowOf(const RunSummary& run) {
  return {
      run.folder,
      run.state,
      absl::StrCat(run.rounds, "/", run.planned),
      run.loss.has_value() ? absl::StrFormat("%.4f", *run.loss) : "-",
      run.accuracy.has_value() ? absl::StrFormat("%.1f %%", 100 * *run.accuracy)
                               : "-",
      absl::FormatTime("%Y-%m-%d %H:%M", run.started, absl::LocalTimeZone()),
      FormatSize(run.size)};
}

void Print(const std::vector<Row>& rows) {
  std::array<size_t, kColumns> width = {};
  for (const Row& row : rows) {
    for (size_t i = 0; i < kColumns; ++i) {
      width[i] = std::max(width[i], row[i].size());
    }
  }
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i + 1 < kColumns; ++i) {
      absl::StrAppendFormat(&line, "%-*s  ", static_cast<int>(width[i]),
                            row[i]);
    }
    absl::PrintF("%s%s\n", line, row.back());
  }
}

}  // namespace

int LsCommand(int argc, const char* const* argv) {
  bool json = false;
  Flags flags({"parley ls", "[FOLDER]",
               absl::StrCat("Lists the runs of a folder, by default ./",
                            kRunsFolder, ", the oldest first.\n"),
               "States: running, finished, stopped, failed, interrupted (its "
               "coordinator is gone\nwithout a word).\n",
               0, 1});
  flags.Add("json", &json, "", "Print one JSON object a run, a line each.");
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const bool given = !flags.arguments().empty();
  const std::string parent = given ? flags.arguments()[0] : kRunsFolder;
  auto runs = ListRuns(parent);
  // Without a word about where, no folder just means no runs yet.
  if (!given && absl::IsNotFound(runs.status())) runs.emplace();
  if (!runs.ok()) return Complain(runs.status());
  std::vector<Row> rows = {
      {"RUN", "STATE", "ROUNDS", "LOSS", "ACCURACY", "STARTED", "SIZE"}};
  for (const RunSummary& run : *runs) {
    if (json) absl::PrintF("%s\n", ToJson(run).ToString());
    rows.push_back(RowOf(run));
  }
  if (json) return kExitOk;
  if (runs->empty()) {
    absl::PrintF("no runs in %s\n", parent);
  } else {
    Print(rows);
  }
  return kExitOk;
}

}  // namespace parley
