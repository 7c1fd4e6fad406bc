#include "server/host/queue_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/config/load.h"
#include "common/files/file_io.h"
#include "server/run/run_files.h"
#include "server/store/recorded_run.h"
#include "server/store/run_store.h"

namespace parley {
namespace {

constexpr size_t kMaxName = 58;  // "-" and a number follow, 64 in all

// Also one that ended before it began.
bool IsOver(const std::string& folder) {
  std::error_code error;
  if (std::filesystem::exists(absl::StrCat(folder, "/", kStatusFile), error)) {
    return true;
  }
  const auto recorded = ReadRecordedRun(folder);
  return recorded.ok() && recorded->ended.has_value();
}

}  // namespace

absl::StatusOr<std::unique_ptr<QueueFolder>> QueueFolder::Open(
    const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  }
  auto folder = absl::WrapUnique(new QueueFolder(path, fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("another coordinator has its queue in ", path));
  }
  return folder;
}

QueueFolder::~QueueFolder() { close(fd_); }

std::string QueueFolder::FolderOf(const std::string& run) const {
  return absl::StrCat(path_, "/", run);
}

absl::StatusOr<std::vector<v1::RunConfig>> QueueFolder::Unfinished() const {
  const std::string path = FolderOf(kQueueFile);
  std::vector<v1::RunConfig> runs;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return runs;
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReader::Open(path));
  PARLEY_ASSIGN_OR_RETURN(const std::string text, file->Read(0, file->size()));
  for (absl::string_view name : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::string folder = FolderOf(std::string(name));
    if (absl::StrContains(name, '/')) {
      return file->Invalid(absl::StrCat("\"", name, "\" is no run's folder"));
    }
    if (IsOver(folder)) continue;
    absl::StatusOr<v1::RunConfig> config =
        LoadRunFile(absl::StrCat(folder, "/", kRunFile));
    if (config.ok() && config->name() != name) {
      config = absl::InvalidArgumentError(
          absl::StrCat("its run.textproto is of ", config->name()));
    }
    if (config.ok()) {
      runs.push_back(*std::move(config));
    } else {
      LogWarning("passed over ", folder,
                 " of the queue: ", config.status().message());
    }
  }
  return runs;
}

absl::Status QueueFolder::Add(
    v1::RunConfig* config,
    absl::FunctionRef<bool(const std::string&)> is_known) const {
  if (config->name().size() > kMaxName) {
    return absl::InvalidArgumentError(
        absl::StrCat("name is \"", config->name(), "\": must have at most ",
                     kMaxName, " characters in a queue, which adds a number"));
  }
  std::vector<std::string> passed_over;  // folders that somebody removed
  std::string folder, name;
  while (true) {
    PARLEY_ASSIGN_OR_RETURN(folder, MakeRunFolder(path_, config->name()));
    name = std::filesystem::path(folder).filename().string();
    if (!is_known(name)) break;
    passed_over.push_back(folder);
  }
  for (const std::string& empty : passed_over) rmdir(empty.c_str());
  config->set_name(name);
  return ReplaceFile(absl::StrCat(folder, "/", kRunFile), PrintRun(*config));
}

absl::Status QueueFolder::Save(const std::vector<std::string>& runs) const {
  return ReplaceFile(
      FolderOf(kQueueFile),
      absl::StrJoin(runs, "", [](std::string* out, const auto& run) {
        absl::StrAppend(out, run, "\n");
      }));
}

absl::Status QueueFolder::WriteEnd(const v1::RunStatus& status) const {
  return ReplaceFile(absl::StrCat(FolderOf(status.run()), "/", kStatusFile),
                     StatusJson(status));
}

}  // namespace parley
