#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/flags.h"
#include "common/report/run_status.h"
#include "tools/cli/admin_target.h"
#include "tools/cli/command.h"
#include "tools/cli/progress.h"
#include "tools/cli/run_folder.h"

namespace parley {
namespace {

constexpr size_t kColumns = 7;
using Row = std::array<std::string, kColumns>;

std::string TextOf(std::optional<double> loss) {
  return loss.has_value() ? absl::StrFormat("%.4f", *loss) : "-";
}
std::string PercentOf(std::optional<double> accuracy) {
  return accuracy.has_value() ? absl::StrFormat("%.1f %%", 100 * *accuracy)
                              : "-";
}

Row RowOf(const RunSummary& run) {
  return {
      run.folder,
      run.state,
      absl::StrCat(run.rounds, "/", run.planned),
      TextOf(run.loss),
      PercentOf(run.accuracy),
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

template <typename Tags>
bool HasTags(const Tags& has, const std::vector<std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&has](const auto& tag) {
    return std::find(has.begin(), has.end(), tag) != has.end();
  });
}

Row RowOf(const v1::RunStatus& run) {
  const int64_t round = HasEnded(run.state())
                            ? run.round()
                            : std::max<int64_t>(run.round() - 1, 0);
  return {run.run(),
          absl::AsciiStrToLower(v1::RunState_Name(run.state())),
          absl::StrCat(round, "/", run.rounds()),
          TextOf(run.has_loss() ? std::optional(run.loss()) : std::nullopt),
          PercentOf(run.has_accuracy() ? std::optional(run.accuracy())
                                       : std::nullopt),
          absl::StrJoin(run.tags(), ","),
          run.detail()};
}

// What a coordinator has, whatever its address is.
int ListCoordinator(const std::string& target, const Security& security,
                    const std::vector<std::string>& tags, bool json) {
  std::string run;
  const auto client = ConnectTo(target, security, &run);
  if (!client.ok()) return Complain(client.status());
  const auto runs = (*client)->ListRuns();
  if (!runs.ok()) return Complain(runs.status());
  std::vector<Row> rows = {
      {"RUN", "STATE", "ROUNDS", "LOSS", "ACCURACY", "TAGS", "DETAIL"}};
  for (const v1::RunStatus& status : *runs) {
    if (!HasTags(status.tags(), tags)) continue;
    if (json) absl::PrintF("%s\n", StatusLine(status));
    rows.push_back(RowOf(status));
  }
  if (json) return kExitOk;
  if (rows.size() > 1) {
    Print(rows);
  } else {
    absl::PrintF("no runs at %s\n", target);
  }
  return kExitOk;
}

int ListFolder(const std::string& parent, bool given,
               const std::vector<std::string>& tags, bool json) {
  auto runs = ListRuns(parent);
  // Without a word about where, no folder just means no runs yet.
  if (!given && absl::IsNotFound(runs.status())) runs.emplace();
  if (!runs.ok()) return Complain(runs.status());
  std::vector<Row> rows = {
      {"RUN", "STATE", "ROUNDS", "LOSS", "ACCURACY", "STARTED", "SIZE"}};
  for (const RunSummary& run : *runs) {
    if (!HasTags(run.tags, tags)) continue;
    if (json) absl::PrintF("%s\n", ToJson(run).ToString());
    rows.push_back(RowOf(run));
  }
  if (json) return kExitOk;
  if (rows.size() > 1) {
    Print(rows);
  } else {
    absl::PrintF("no runs in %s\n", parent);
  }
  return kExitOk;
}

}  // namespace

int LsCommand(int argc, const char* const* argv) {
  Security security;
  std::vector<std::string> tags;
  bool json = false;
  Flags flags(
      {"parley ls", "[FOLDER|HOST:PORT]",
       absl::StrCat("Lists the runs of a folder, by default ./", kRunsFolder,
                    ", the oldest first; or those of a\ncoordinator, "
                    "as they were submitted: queued, going on, and "
                    "over.\n"),
       "Examples:\n"
       "  $ parley ls\n"
       "  $ parley ls localhost:7070 --tag sweep --json\n"
       "\n"
       "States: running, finished, stopped, failed, interrupted (its "
       "coordinator is gone\nwithout a word); of a coordinator's runs "
       "also queued, and waiting (for clients).\n"
       "Exit codes: 0 listed, be it none; 1 the coordinator is not "
       "there.\n",
       0, 1});
  flags.Add("tag", &tags, "TAG",
            "Only runs with this tag; may be repeated: with all of them.");
  flags.Add("json", &json, "", "Print one JSON object a run, a line each.");
  AddSecurityFlags(flags, &security);
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const bool given = !flags.arguments().empty();
  const std::string target = given ? flags.arguments()[0] : kRunsFolder;
  std::error_code error;
  if (!std::filesystem::is_directory(target, error) &&
      absl::StrContains(target, ':')) {
    return ListCoordinator(target, security, tags, json);
  }
  return ListFolder(target, given, tags, json);
}

}  // namespace parley
