#include <zlib.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/files/zip.h"
#include "common/files/zip_format.h"

namespace parley {
namespace {

constexpr uint64_t kMaxComment = 0xFFFF;
constexpr uint64_t kMaxDirectory = 64 << 20;
// Deflate packs no more than this many bytes into one.
constexpr uint64_t kMaxRatio = 1032;
constexpr uint64_t kBlock = 64 << 10;

// Replaces the values that are said to be in the zip64 extra field.
bool ReadZip64Extra(absl::string_view extra, ZipMember& member) {
  zip::Fields fields(extra);
  while (fields.ok() && !fields.empty()) {
    const uint16_t id = fields.U16();
    const uint16_t length = fields.U16();
    zip::Fields field(fields.Bytes(length));
    if (id != zip::kZip64Extra) continue;
    for (uint64_t* value : {&member.size, &member.packed, &member.header}) {
      if (*value == zip::kIn64) *value = field.U64();
    }
    return fields.ok() && field.ok();
  }
  return fields.ok();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ZipReader>> ZipReader::Open(
    const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(auto file, FileReader::Open(path));
  auto zip = absl::WrapUnique(new ZipReader(std::move(file)));
  PARLEY_RETURN_IF_ERROR(zip->ReadDirectory());
  return zip;
}

absl::Status ZipReader::ReadDirectory() {
  const uint64_t tail_bytes =
      std::min(file_->size(), zip::kEndBytes + kMaxComment);
  PARLEY_ASSIGN_OR_RETURN(const std::string tail,
                          file_->Read(file_->size() - tail_bytes, tail_bytes));
  // The end record is the one whose comment reaches the end of the file.
  uint64_t end = tail_bytes;
  uint64_t count = 0, bytes = 0, begin = 0;
  for (uint64_t at = tail_bytes; at-- > 0 && end == tail_bytes;) {
    zip::Fields fields(absl::string_view(tail).substr(at));
    if (fields.U32() != zip::kEndSignature) continue;
    const bool one_volume = fields.U16() == 0 && fields.U16() == 0;
    count = fields.U16();
    const bool all_here = fields.U16() == count;
    bytes = fields.U32();
    begin = fields.U32();
    const uint64_t comment = fields.U16();
    if (!fields.ok() || at + zip::kEndBytes + comment != tail_bytes) continue;
    if (!one_volume || !all_here) {
      return file_->Invalid("zip files of several volumes cannot be read");
    }
    end = at;
  }
  if (end == tail_bytes) return file_->Invalid("not a zip file, or cut short");
  uint64_t limit = file_->size() - tail_bytes + end;

  if (limit >= zip::kLocator64Bytes) {
    char locator[zip::kLocator64Bytes];
    PARLEY_RETURN_IF_ERROR(
        file_->Read(limit - sizeof(locator), locator, sizeof(locator)));
    zip::Fields fields(absl::string_view(locator, sizeof(locator)));
    if (fields.U32() == zip::kLocator64Signature) {
      fields.U32();  // the volume
      const uint64_t end64 = fields.U64();
      if (limit < zip::kLocator64Bytes + zip::kEnd64Bytes ||
          end64 > limit - zip::kLocator64Bytes - zip::kEnd64Bytes) {
        return file_->Invalid("its zip64 directory lies outside of the file");
      }
      char record[zip::kEnd64Bytes];
      PARLEY_RETURN_IF_ERROR(file_->Read(end64, record, sizeof(record)));
      zip::Fields end_fields(absl::string_view(record, sizeof(record)));
      if (end_fields.U32() != zip::kEnd64Signature) {
        return file_->Invalid("its zip64 directory is damaged");
      }
      end_fields.Bytes(20);  // its length, versions, volumes
      count = end_fields.U64();
      end_fields.U64();  // the count of this volume: the same
      bytes = end_fields.U64();
      begin = end_fields.U64();
      limit = end64;
    }
  }
  if (bytes > kMaxDirectory || bytes > limit || begin > limit - bytes) {
    return file_->Invalid("its directory lies outside of the file");
  }
  PARLEY_ASSIGN_OR_RETURN(const std::string directory,
                          file_->Read(begin, bytes));
  PARLEY_RETURN_IF_ERROR(AddMembers(directory, count));
  return CheckPlaces(begin);
}

absl::Status ZipReader::AddMembers(absl::string_view directory,
                                   uint64_t count) {
  std::set<std::string> names;
  zip::Fields fields(directory);
  for (uint64_t i = 0; i < count; ++i) {
    ZipMember member;
    const bool signature = fields.U32() == zip::kCentralSignature;
    fields.Bytes(4);  // versions
    const uint16_t flags = fields.U16();
    const uint16_t method = fields.U16();
    fields.Bytes(4);  // time and date
    member.crc = fields.U32();
    member.packed = fields.U32();
    member.size = fields.U32();
    const uint16_t name_bytes = fields.U16();
    const uint16_t extra_bytes = fields.U16();
    const uint16_t comment_bytes = fields.U16();
    fields.Bytes(8);  // volume, attributes
    member.header = fields.U32();
    member.name = std::string(fields.Bytes(name_bytes));
    const absl::string_view extra = fields.Bytes(extra_bytes);
    fields.Bytes(comment_bytes);
    if (!signature || !fields.ok() || !ReadZip64Extra(extra, member)) {
      return file_->Invalid("its directory is damaged");
    }
    const auto wrong = [&](absl::string_view what) {
      return file_->Invalid(
          absl::StrCat("member \"", member.name, "\" ", what));
    };
    if (!names.insert(member.name).second) return wrong("is there twice");
    if ((flags & zip::kEncrypted) != 0) return wrong("is encrypted");
    if (method != zip::kStored && method != zip::kDeflated) {
      return wrong(absl::StrCat("is packed by method ", method,
                                "; only stored and deflated can be read"));
    }
    member.deflated = method == zip::kDeflated;
    if (member.deflated ? member.size / kMaxRatio > member.packed
                        : member.size != member.packed) {
      return wrong("claims a size that its bytes cannot have");
    }
    members_.push_back(std::move(member));
  }
  if (!fields.empty()) return file_->Invalid("its directory is damaged");
  return absl::OkStatus();
}

// Finds where each member's bytes begin; all must end before `limit`.
absl::Status ZipReader::CheckPlaces(uint64_t limit) {
  std::vector<std::pair<uint64_t, uint64_t>> places;
  for (ZipMember& member : members_) {
    const auto wrong = [&](absl::string_view what) {
      return file_->Invalid(
          absl::StrCat("member \"", member.name, "\" ", what));
    };
    if (limit < zip::kLocalBytes || member.header > limit - zip::kLocalBytes) {
      return wrong("lies outside of the file");
    }
    char header[zip::kLocalBytes];
    PARLEY_RETURN_IF_ERROR(file_->Read(member.header, header, sizeof(header)));
    zip::Fields fields(absl::string_view(header, sizeof(header)));
    const bool signature = fields.U32() == zip::kLocalSignature;
    fields.Bytes(22);  // as in the directory, or nothing
    const uint64_t name_bytes = fields.U16();
    const uint64_t extra_bytes = fields.U16();
    member.data = member.header + zip::kLocalBytes + name_bytes + extra_bytes;
    if (!signature) return wrong("has a damaged header");
    if (member.data > limit || member.packed > limit - member.data) {
      return wrong("lies outside of the file");
    }
    places.emplace_back(member.header, member.data + member.packed);
  }
  std::sort(places.begin(), places.end());
  for (size_t i = 1; i < places.size(); ++i) {
    if (places[i].first < places[i - 1].second) {
      return file_->Invalid("its members overlap");
    }
  }
  return absl::OkStatus();
}

struct ZipStream::Inflater {
  Inflater() { ok = inflateInit2(&z, -MAX_WBITS) == Z_OK; }
  ~Inflater() { inflateEnd(&z); }

  z_stream z = {};
  bool ok = false;
  std::vector<char> block = std::vector<char>(kBlock);
};

ZipStream::ZipStream(const ZipReader& zip, size_t member)
    : file_(zip.file()), member_(zip.members()[member]) {
  if (member_.deflated) inflater_ = std::make_unique<Inflater>();
}

ZipStream::~ZipStream() = default;

absl::Status ZipStream::Damaged() const {
  return absl::DataLossError(
      absl::StrCat(file_.path(), ": member \"", member_.name, "\" is damaged"));
}

absl::Status ZipStream::Read(char* out, uint64_t bytes) {
  if (bytes == 0) return absl::OkStatus();
  if (bytes > member_.size - given_) return Damaged();
  if (inflater_ == nullptr) {
    PARLEY_RETURN_IF_ERROR(file_.Read(member_.data + given_, out, bytes));
  } else {
    PARLEY_RETURN_IF_ERROR(Inflate(out, bytes));
  }
  given_ += bytes;
  crc_ = crc32_z(crc_, reinterpret_cast<const Bytef*>(out), bytes);
  if (given_ == member_.size && crc_ != member_.crc) return Damaged();
  return absl::OkStatus();
}

absl::Status ZipStream::Inflate(char* out, uint64_t bytes) {
  z_stream& z = inflater_->z;
  if (!inflater_->ok) return absl::ResourceExhaustedError("zlib: no memory");
  while (bytes > 0) {
    if (z.avail_in == 0) {
      const uint64_t more = std::min(kBlock, member_.packed - packed_read_);
      PARLEY_RETURN_IF_ERROR(file_.Read(member_.data + packed_read_,
                                        inflater_->block.data(), more));
      packed_read_ += more;
      z.next_in = reinterpret_cast<Bytef*>(inflater_->block.data());
      z.avail_in = static_cast<uInt>(more);
    }
    const uInt room = static_cast<uInt>(std::min<uint64_t>(bytes, 1 << 30));
    z.next_out = reinterpret_cast<Bytef*>(out);
    z.avail_out = room;
    const int result = inflate(&z, Z_NO_FLUSH);
    const uint64_t got = room - z.avail_out;
    out += got;
    bytes -= got;
    if (result == Z_STREAM_END ? bytes > 0 : result != Z_OK) {
      return Damaged();
    }
  }
  return absl::OkStatus();
}

}  // namespace parley
