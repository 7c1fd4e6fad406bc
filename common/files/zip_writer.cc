#include <zlib.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/files/zip.h"
#include "common/files/zip_format.h"

namespace parley {
namespace {

constexpr uint16_t kDate = (0 << 9) | (1 << 5) | 1;  // 1980-01-01
constexpr uint64_t kMaxCount = 0xFFFF;

// The fields that local and central headers share.
void AppendCommon(uint32_t crc, uint64_t packed, uint64_t size,
                  size_t name_bytes, size_t extra_bytes, std::string& out) {
  zip::Append<uint16_t>(zip::kVersion64, out);  // needed to read
  zip::Append<uint16_t>(zip::kUtf8, out);
  zip::Append<uint16_t>(zip::kStored, out);
  zip::Append<uint16_t>(0, out);  // time
  zip::Append<uint16_t>(kDate, out);
  zip::Append<uint32_t>(crc, out);
  zip::Append<uint32_t>(static_cast<uint32_t>(packed), out);
  zip::Append<uint32_t>(static_cast<uint32_t>(size), out);
  zip::Append<uint16_t>(static_cast<uint16_t>(name_bytes), out);
  zip::Append<uint16_t>(static_cast<uint16_t>(extra_bytes), out);
}

// Moves the values that are too large for their fields into an extra field.
std::string TakeZip64(uint64_t from, std::initializer_list<uint64_t*> values) {
  std::string moved;
  for (uint64_t* value : values) {
    if (*value < from) continue;
    zip::Append<uint64_t>(*value, moved);
    *value = zip::kIn64;
  }
  if (moved.empty()) return moved;
  std::string extra;
  zip::Append<uint16_t>(zip::kZip64Extra, extra);
  zip::Append<uint16_t>(static_cast<uint16_t>(moved.size()), extra);
  return extra + moved;
}

}  // namespace

absl::Status ZipWriter::Add(absl::string_view name,
                            absl::Span<const absl::string_view> pieces) {
  if (name.size() > 0xFFFF) {
    return absl::InvalidArgumentError("a name is too long for a zip file");
  }
  ZipMember member;
  member.name = std::string(name);
  member.header = file_->written();
  uLong crc = 0;
  for (const absl::string_view piece : pieces) {
    if (piece.empty()) continue;  // a null pointer would start crc32_z anew
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(piece.data()),
                  piece.size());
    member.size += piece.size();
  }
  member.crc = static_cast<uint32_t>(crc);
  member.packed = member.size;

  uint64_t size = member.size, packed = member.packed;
  const std::string extra = TakeZip64(zip64_from_, {&size, &packed});
  std::string header;
  zip::Append<uint32_t>(zip::kLocalSignature, header);
  AppendCommon(member.crc, packed, size, name.size(), extra.size(), header);
  absl::StrAppend(&header, name, extra);
  PARLEY_RETURN_IF_ERROR(file_->Write(header));
  for (const absl::string_view piece : pieces) {
    PARLEY_RETURN_IF_ERROR(file_->Write(piece));
  }
  members_.push_back(std::move(member));
  return absl::OkStatus();
}

absl::Status ZipWriter::Finish() {
  const uint64_t begin = file_->written();
  for (const ZipMember& member : members_) {
    uint64_t size = member.size, packed = member.packed, at = member.header;
    const std::string extra = TakeZip64(zip64_from_, {&size, &packed, &at});
    std::string entry;
    zip::Append<uint32_t>(zip::kCentralSignature, entry);
    zip::Append<uint16_t>(zip::kVersion64, entry);  // made by
    AppendCommon(member.crc, packed, size, member.name.size(), extra.size(),
                 entry);
    zip::Append<uint16_t>(0, entry);  // comment
    zip::Append<uint16_t>(0, entry);  // volume
    zip::Append<uint16_t>(0, entry);  // attributes
    zip::Append<uint32_t>(0, entry);
    zip::Append<uint32_t>(static_cast<uint32_t>(at), entry);
    absl::StrAppend(&entry, member.name, extra);
    PARLEY_RETURN_IF_ERROR(file_->Write(entry));
  }
  const uint64_t end = file_->written();
  const uint64_t count = members_.size();
  std::string tail;
  if (count >= kMaxCount || begin >= zip64_from_ ||
      end - begin >= zip64_from_) {
    zip::Append<uint32_t>(zip::kEnd64Signature, tail);
    zip::Append<uint64_t>(zip::kEnd64Bytes - 12, tail);  // what follows
    zip::Append<uint16_t>(zip::kVersion64, tail);
    zip::Append<uint16_t>(zip::kVersion64, tail);
    zip::Append<uint32_t>(0, tail);  // volumes
    zip::Append<uint32_t>(0, tail);
    zip::Append<uint64_t>(count, tail);
    zip::Append<uint64_t>(count, tail);
    zip::Append<uint64_t>(end - begin, tail);
    zip::Append<uint64_t>(begin, tail);
    zip::Append<uint32_t>(zip::kLocator64Signature, tail);
    zip::Append<uint32_t>(0, tail);
    zip::Append<uint64_t>(end, tail);
    zip::Append<uint32_t>(1, tail);  // volumes in all
  }
  const auto in64 = [&](uint64_t value) {
    return value >= zip64_from_ ? zip::kIn64 : static_cast<uint32_t>(value);
  };
  const auto short_count =
      static_cast<uint16_t>(std::min<uint64_t>(count, kMaxCount));
  zip::Append<uint32_t>(zip::kEndSignature, tail);
  zip::Append<uint16_t>(0, tail);  // volumes
  zip::Append<uint16_t>(0, tail);
  zip::Append<uint16_t>(short_count, tail);
  zip::Append<uint16_t>(short_count, tail);
  zip::Append<uint32_t>(in64(end - begin), tail);
  zip::Append<uint32_t>(in64(begin), tail);
  zip::Append<uint16_t>(0, tail);  // comment
  return file_->Write(tail);
}

}  // namespace parley
