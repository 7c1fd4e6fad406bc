#include "client/state/local_tensors.h"

#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/files/file_io.h"
#include "common/wire/checksum.h"

namespace parley {
namespace {

constexpr absl::string_view kMagic = "PRLYLOC1";

// After the magic; little-endian, as file_io.h has it.
struct Head {
  uint64_t checksum;  // of all that follows it
  uint64_t run_id;
  uint64_t spec_hash;
  int64_t round;
  uint64_t bytes;  // of each of the two arrays
};
static_assert(sizeof(Head) == 40);

uint64_t ChecksumOf(const Head& head, absl::string_view before,
                    absl::string_view latest) {
  const absl::string_view rest(reinterpret_cast<const char*>(&head.run_id),
                               sizeof(Head) - sizeof(head.checksum));
  return Checksum({rest, before, latest});
}

absl::string_view BytesOf(const ParameterVector& values) {
  return {values.data(), values.elements() * SizeOf(values.dtype())};
}

}  // namespace

std::string LocalTensorsPath(const std::string& folder,
                             absl::string_view client, uint64_t run_id) {
  return absl::StrCat(folder, "/local-", client, "-",
                      absl::Hex(run_id, absl::kZeroPad16));
}

absl::StatusOr<LocalTensors> LocalTensors::Open(Options options, DType dtype,
                                                int64_t elements) {
  LocalTensors tensors;
  tensors.options_ = std::move(options);
  tensors.before_ = ParameterVector(dtype, elements);
  tensors.latest_ = ParameterVector(dtype, elements);
  const std::filesystem::path path = tensors.options_.path;
  if (path.empty()) return tensors;
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) {
    return absl::ErrnoToStatus(
        error.value(),
        absl::StrCat("cannot make the folder ", path.parent_path().string()));
  }
  if (std::filesystem::exists(path, error)) {
    PARLEY_RETURN_IF_ERROR(tensors.Read());
  }
  return tensors;
}

absl::Status LocalTensors::Read() {
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReader::Open(options_.path));
  const uint64_t bytes = BytesOf(latest_).size();
  Head head;
  std::string magic(kMagic.size(), '\0');
  const uint64_t begin = magic.size() + sizeof(head);
  if (file->size() < begin) return Refused("is cut short");
  PARLEY_RETURN_IF_ERROR(file->Read(0, magic.data(), magic.size()));
  if (magic != kMagic) return Refused("begins as no such file of this version");
  PARLEY_RETURN_IF_ERROR(
      file->Read(magic.size(), reinterpret_cast<char*>(&head), sizeof(head)));
  if (head.run_id != options_.run_id || head.spec_hash != options_.spec_hash) {
    return Refused("is of another run or model");
  }
  if (head.round < 1 || head.bytes != bytes ||
      file->size() != begin + 2 * bytes) {
    return Refused("has a wrong size or round");
  }
  PARLEY_RETURN_IF_ERROR(file->Read(begin, before_.data(), bytes));
  PARLEY_RETURN_IF_ERROR(file->Read(begin + bytes, latest_.data(), bytes));
  if (head.checksum != ChecksumOf(head, BytesOf(before_), BytesOf(latest_))) {
    return Refused("is damaged: its checksum is wrong");
  }
  round_ = head.round;
  return absl::OkStatus();
}

absl::Status LocalTensors::Keep(int64_t round, ParameterVector trained) {
  if (!options_.path.empty()) {
    PARLEY_RETURN_IF_ERROR(Write(round, Before(round), trained));
  }
  if (round != round_) before_ = std::move(latest_);
  latest_ = std::move(trained);
  round_ = round;
  return absl::OkStatus();
}

absl::Status LocalTensors::Write(int64_t round, const ParameterVector& before,
                                 const ParameterVector& latest) const {
  Head head = {.checksum = 0,
               .run_id = options_.run_id,
               .spec_hash = options_.spec_hash,
               .round = round,
               .bytes = BytesOf(latest).size()};
  head.checksum = ChecksumOf(head, BytesOf(before), BytesOf(latest));
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReplacer::Create(options_.path));
  for (const absl::string_view piece :
       {kMagic,
        absl::string_view(reinterpret_cast<const char*>(&head), sizeof(head)),
        BytesOf(before), BytesOf(latest)}) {
    PARLEY_RETURN_IF_ERROR(file->Write(piece));
  }
  return file->Commit();
}

absl::Status LocalTensors::Refused(absl::string_view what) const {
  return absl::FailedPreconditionError(absl::StrCat(
      options_.path, " ", what,
      "; it keeps this client's LOCAL tensors of the run: bring back a whole "
      "copy, or remove it to start them from zeros"));
}

}  // namespace parley
