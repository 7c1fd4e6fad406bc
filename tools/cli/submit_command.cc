#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/base/json.h"
#include "common/base/status_macros.h"
#include "common/files/file_io.h"
#include "tools/cli/admin_target.h"
#include "tools/cli/command.h"

namespace parley {
namespace {

absl::StatusOr<v1::SubmitRequest> MakeRequest(
    const std::string& path, const std::vector<std::string>& sets,
    const std::string& name, const std::vector<std::string>& tags) {
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReader::Open(path));
  v1::SubmitRequest request;
  PARLEY_ASSIGN_OR_RETURN(*request.mutable_text(), file->Read(0, file->size()));
  std::error_code error;
  const std::filesystem::path here = std::filesystem::current_path(error);
  if (error) {
    return absl::ErrnoToStatus(error.value(), "there is no current folder");
  }
  request.set_path((here / path).lexically_normal().string());
  request.set_folder(here.string());
  for (const std::string& set : sets) request.add_sets(set);
  if (!name.empty()) request.add_sets(absl::StrCat("name=", name));
  for (const std::string& tag : tags) request.add_tags(tag);
  return request;
}

void Print(const v1::SubmitReply& reply, bool json) {
  if (json) {
    Json object = Json::Object();
    object.Set("run", reply.run())
        .Set("folder", reply.folder())
        .Set("position", int64_t{reply.position()});
    absl::PrintF("%s\n", object.ToString());
  } else {
    absl::PrintF("%s\n", reply.run());
  }
  std::fflush(stdout);
}

}  // namespace

int SubmitCommand(int argc, const char* const* argv) {
  std::string to, name;
  std::vector<std::string> sets, tags;
  Security security;
  bool watch = false, json = false;
  Flags flags(
      {"parley submit", "FILE --to HOST:PORT",
       "Hands a run file to a coordinator with a queue (parley-server "
       "--queue), "
       "and prints\nthe name that the run has there: NAME-N. The data is read "
       "by "
       "the coordinator:\nrelative paths start at the run file's folder, and "
       "must mean the same there.\n",
       "Examples:\n"
       "  $ parley submit mine.textproto --to localhost:7070 --tag sweep --tag "
       "lr0.1 \\\n"
       "  >   --set local.step_size.initial=0.1\n"
       "  $ parley watch localhost:7070 --run $(parley submit mine.textproto "
       "--to "
       "localhost:7070)\n"
       "\n"
       "Exit codes: 0 the run is queued, or with --watch finished; 1 the "
       "coordinator does\nnot take it or is not there, or with --watch it "
       "failed; 2 the command line or the\nrun file is wrong; 3 with --watch: "
       "it "
       "was stopped.\n",
       1, 1});
  flags.Add("to", &to, "HOST:PORT",
            "The coordinator, or the folder of its queue. Required.");
  flags.Add("set", &sets, "FIELD=VALUE",
            "Change a field of the run file; may be repeated.");
  flags.Add("name", &name, "NAME",
            "The run's name, to which -N is added; as --set name=NAME.");
  flags.Add("tag", &tags, "TAG",
            "Another tag, for parley ls --tag; may be repeated.");
  flags.Add("watch", &watch, "", "Then do as parley watch does.");
  flags.Add("json", &json, "",
            "Print run, folder and position as one JSON object; with --watch\n"
            "then one a change.");
  AddSecurityFlags(flags, &security);
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  if (to.empty()) {
    return flags.UsageError(
        absl::InvalidArgumentError("--to HOST:PORT is missing"));
  }
  const auto request = MakeRequest(flags.arguments()[0], sets, name, tags);
  if (!request.ok()) return Complain(request.status(), kExitUsage);
  std::string run;
  const auto client = ConnectTo(to, security, &run);
  if (!client.ok()) return Complain(client.status());
  const auto reply = (*client)->Submit(*request);
  if (!reply.ok()) {
    return Complain(reply.status(), absl::IsInvalidArgument(reply.status())
                                        ? kExitUsage
                                        : kExitFailed);
  }
  Print(*reply, json);
  if (!watch) return kExitOk;
  const auto last = ShowRun(**client, reply->run(), json);
  if (!last.ok()) return Complain(last.status());
  if (!json) absl::PrintF("%s\n", FormatEnd(*last));
  return ExitCodeOf(last->state());
}

}  // namespace parley
