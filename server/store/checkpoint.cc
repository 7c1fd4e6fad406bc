#include "server/store/checkpoint.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/wire/checksum.h"
#include "common/wire/spec.h"

namespace parley {
namespace {

constexpr absl::string_view kMagic = "PRLYCKP1";
constexpr absl::string_view kPrefix = "checkpoint-";
constexpr uint32_t kMaxHead = 64 << 20;
constexpr uint64_t kFixed = kMagic.size() + sizeof(uint32_t) + sizeof(uint64_t);

uint64_t HeadChecksum(uint32_t length, absl::string_view head) {
  return Checksum(
      {{reinterpret_cast<const char*>(&length), sizeof(length)}, head});
}

absl::Status Damaged(const FileReader& file, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(
      file.path(), " is damaged: the checksum of ", what, " differs"));
}

}  // namespace

absl::Status WriteCheckpoint(const std::string& path, v1::Checkpoint head,
                             absl::Span<const CheckpointSection> sections) {
  head.set_version(kCheckpointVersion);
  head.clear_sections();
  for (const CheckpointSection& section : sections) {
    v1::Checkpoint::Section* out = head.add_sections();
    out->set_name(section.name);
    out->set_bytes(section.values->bytes());
    out->set_checksum(section.values->Hash());
  }
  const std::string text = head.SerializeAsString();
  const uint32_t length = static_cast<uint32_t>(text.size());
  const uint64_t checksum = HeadChecksum(length, text);
  std::string fixed(kMagic);
  fixed.append(reinterpret_cast<const char*>(&length), sizeof(length));
  fixed.append(reinterpret_cast<const char*>(&checksum), sizeof(checksum));

  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReplacer::Create(path));
  PARLEY_RETURN_IF_ERROR(file->Write(fixed));
  PARLEY_RETURN_IF_ERROR(file->Write(text));
  for (const CheckpointSection& section : sections) {
    PARLEY_RETURN_IF_ERROR(file->Write(
        absl::string_view(section.values->data(), section.values->bytes())));
  }
  return file->Commit();
}

absl::StatusOr<std::unique_ptr<CheckpointReader>> CheckpointReader::Open(
    const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(auto file, FileReader::Open(path));
  if (file->size() < kFixed) return file->Invalid("is not a checkpoint");
  PARLEY_ASSIGN_OR_RETURN(const std::string fixed, file->Read(0, kFixed));
  if (!absl::StartsWith(fixed, kMagic)) {
    return file->Invalid("is not a checkpoint of this version of Parley");
  }
  uint32_t length;
  uint64_t checksum;
  std::memcpy(&length, fixed.data() + kMagic.size(), sizeof(length));
  std::memcpy(&checksum, fixed.data() + kMagic.size() + sizeof(length),
              sizeof(checksum));
  if (length > kMaxHead || length > file->size() - kFixed) {
    return file->Invalid("is cut short, or no checkpoint");
  }
  PARLEY_ASSIGN_OR_RETURN(const std::string text, file->Read(kFixed, length));
  if (HeadChecksum(length, text) != checksum) return Damaged(*file, "its head");
  v1::Checkpoint head;
  if (!head.ParseFromString(text)) return file->Invalid("has no valid head");
  if (head.version() != kCheckpointVersion) {
    return file->Invalid(absl::StrCat("is of version ", head.version(),
                                      "; this program reads version ",
                                      kCheckpointVersion));
  }
  if (head.round() < 0) return file->Invalid("is of a round below 0");
  absl::StatusOr<ParameterSpec> spec = SpecFromProto(head.spec());
  if (!spec.ok()) return file->Invalid(spec.status().message());
  uint64_t left = file->size() - kFixed - length;
  for (const v1::Checkpoint::Section& section : head.sections()) {
    if (section.bytes() > left) return file->Invalid("is cut short");
    left -= section.bytes();
  }
  if (left > 0) return file->Invalid("has bytes after its last section");
  return absl::WrapUnique(new CheckpointReader(
      std::move(file), std::move(head), *std::move(spec), kFixed + length));
}

CheckpointReader::CheckpointReader(std::unique_ptr<FileReader> file,
                                   v1::Checkpoint head, ParameterSpec spec,
                                   uint64_t begin)
    : file_(std::move(file)),
      head_(std::move(head)),
      spec_(std::move(spec)),
      begin_(begin) {}

absl::Status CheckpointReader::Verify() const {
  constexpr uint64_t kBlock = 1 << 20;
  std::string block(kBlock, '\0');
  uint64_t at = begin_;
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(
      XXH3_createState(), XXH3_freeState);
  for (const v1::Checkpoint::Section& section : head_.sections()) {
    XXH3_64bits_reset(state.get());
    const uint64_t end = at + section.bytes();
    while (at < end) {
      const uint64_t n = std::min(kBlock, end - at);
      PARLEY_RETURN_IF_ERROR(file_->Read(at, block.data(), n));
      XXH3_64bits_update(state.get(), block.data(), n);
      at += n;
    }
    if (XXH3_64bits_digest(state.get()) != section.checksum()) {
      return Damaged(*file_, absl::StrCat("section \"", section.name(), "\""));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckpointReader::Read(absl::string_view name,
                                    ParameterVector& values) const {
  uint64_t begin = begin_;
  for (const v1::Checkpoint::Section& section : head_.sections()) {
    if (section.name() != name) {
      begin += section.bytes();
      continue;
    }
    if (section.bytes() != static_cast<uint64_t>(values.bytes())) {
      return file_->Invalid(absl::StrCat("section \"", name, "\" has ",
                                         section.bytes(), " bytes where ",
                                         values.bytes(), " are expected"));
    }
    PARLEY_RETURN_IF_ERROR(file_->Read(begin, values.data(), values.bytes()));
    if (values.Hash() != section.checksum()) {
      return Damaged(*file_, absl::StrCat("section \"", name, "\""));
    }
    if (!values.AllFinite()) {
      return file_->Invalid(
          absl::StrCat("section \"", name, "\" has a NaN or an infinity"));
    }
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      absl::StrCat(file_->path(), " has no section \"", name, "\""));
}

std::string CheckpointName(int64_t round) {
  return absl::StrFormat("%s%08d", kPrefix, round);
}

std::vector<std::string> ListCheckpoints(const std::string& folder) {
  std::vector<std::pair<size_t, std::string>>
      found;              // longer numbers are later
  std::error_code error;  // an unreadable folder has none
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (absl::StartsWith(name, kPrefix) && name.size() > kPrefix.size() &&
        std::all_of(name.begin() + kPrefix.size(), name.end(),
                    absl::ascii_isdigit)) {
      found.emplace_back(name.size(), entry.path().string());
    }
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> paths;
  for (auto& [size, path] : found) paths.push_back(std::move(path));
  return paths;
}

void PruneCheckpoints(const std::string& folder, int keep) {
  const std::vector<std::string> paths = ListCheckpoints(folder);
  for (size_t i = keep; i < paths.size(); ++i) {
    std::error_code error;  // one too many is no harm
    std::filesystem::remove(paths[i], error);
  }
}

}  // namespace parley
