#include "tools/study/cell_folder.h"

#include <filesystem>
#include <map>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/facts.h"
#include "common/config/load.h"
#include "common/files/file_io.h"
#include "server/run/run_files.h"
#include "server/store/run_store.h"

namespace parley {
namespace {

absl::StatusOr<std::string> ReadWhole(const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReader::Open(path));
  return file->Read(0, file->size());
}

}  // namespace

std::string CellFolder(const std::string& study_folder, const Cell& cell) {
  return absl::StrCat(study_folder, "/cells/", cell.name);
}

absl::Status StateDataFacts(absl::Span<Cell> cells) {
  std::map<std::string, DataFacts> known;
  for (Cell& cell : cells) {
    v1::RunConfig key;  // what the facts can depend on
    *key.mutable_data() = cell.config.data();
    *key.mutable_model() = cell.config.model();
    key.set_seed(cell.config.seed());
    const std::string text = key.SerializeAsString();
    auto it = known.find(text);
    if (it == known.end()) {
      PARLEY_ASSIGN_OR_RETURN(const DataFacts facts, ProbeData(cell.config));
      it = known.emplace(text, facts).first;
    }
    StateFacts(it->second, &cell.config);
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::RunStatus> EndOfCell(const std::string& folder,
                                        const Cell& cell) {
  PARLEY_ASSIGN_OR_RETURN(const std::string status,
                          ReadWhole(absl::StrCat(folder, "/", kStatusFile)));
  PARLEY_ASSIGN_OR_RETURN(const std::string run,
                          ReadWhole(absl::StrCat(folder, "/", kRunFile)));
  if (run != PrintRun(cell.config)) {
    return absl::NotFoundError(
        absl::StrCat(folder, " has the run of another file"));
  }
  return ReadStatusJson(status);
}

absl::Status PrepareCellFolder(const std::string& folder, const Cell& cell) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (!error) std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat("cannot make ", folder));
  }
  return ReplaceFile(absl::StrCat(folder, "/", kRunFile),
                     PrintRun(cell.config));
}

}  // namespace parley
