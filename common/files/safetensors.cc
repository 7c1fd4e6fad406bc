#include "common/files/safetensors.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/files/file_io.h"

namespace parley {
namespace {

constexpr uint64_t kLengthBytes = 8;
// Some hundred thousand tensors; parsing takes a multiple of it in memory.
constexpr uint64_t kMaxHeader = 16 << 20;
constexpr char kMetadata[] = "__metadata__";

struct Placed {
  FileTensor tensor;
  uint64_t begin = 0;  // in bytes, from the end of the header
  uint64_t end = 0;
};

class SafetensorsFile final : public TensorFile {
 public:
  SafetensorsFile(std::unique_ptr<FileReader> file, uint64_t data,
                  std::vector<Placed> placed)
      : file_(std::move(file)), data_(data) {
    for (Placed& p : placed) {
      begins_.push_back(p.begin);
      tensors_.push_back(std::move(p.tensor));
    }
  }

  const std::vector<FileTensor>& tensors() const override { return tensors_; }

  absl::Status Read(size_t tensor, DType to, char* out) override {
    const FileTensor& t = tensors_[tensor];
    uint64_t at = data_ + begins_[tensor];
    return ReadConverted(t.dtype, to, t.elements, out,
                         [&](char* block, uint64_t bytes) {
                           const uint64_t from = at;
                           at += bytes;
                           return file_->Read(from, block, bytes);
                         });
  }

 private:
  const std::unique_ptr<FileReader> file_;
  const uint64_t data_;  // where the tensors' bytes begin
  std::vector<FileTensor> tensors_;
  std::vector<uint64_t> begins_;
};

// One member of the header. `bytes` is the length of all tensors.
absl::StatusOr<Placed> ReadEntry(const std::string& name, const Json& entry,
                                 uint64_t bytes) {
  Placed placed;
  placed.tensor.name = name;
  const Json* dtype = entry.Find("dtype");
  const Json* shape = entry.Find("shape");
  const Json* offsets = entry.Find("data_offsets");
  if (dtype == nullptr || dtype->AsString() == nullptr || shape == nullptr ||
      !shape->is_array() || offsets == nullptr ||
      offsets->items().size() != 2) {
    return absl::InvalidArgumentError("needs dtype, shape and data_offsets");
  }
  if (*dtype->AsString() == "F64") {
    placed.tensor.dtype = DType::kFloat64;
  } else if (*dtype->AsString() != "F32") {
    return absl::InvalidArgumentError(absl::StrCat(
        "has dtype ", *dtype->AsString(), "; only F32 and F64 can be read"));
  }
  for (const Json& extent : shape->items()) {
    if (!extent.AsInt64().has_value()) {
      return absl::InvalidArgumentError(
          "has a shape that is not whole numbers");
    }
    placed.tensor.shape.push_back(*extent.AsInt64());
  }
  PARLEY_ASSIGN_OR_RETURN(placed.tensor.elements,
                          ElementsOf(placed.tensor.shape));
  const auto begin = offsets->items()[0].AsUint64();
  const auto end = offsets->items()[1].AsUint64();
  if (!begin.has_value() || !end.has_value() || *begin > *end || *end > bytes) {
    return absl::InvalidArgumentError("lies outside of the file");
  }
  if (*end - *begin != placed.tensor.elements * SizeOf(placed.tensor.dtype)) {
    return absl::InvalidArgumentError(
        "has a shape that does not fit its bytes");
  }
  placed.begin = *begin;
  placed.end = *end;
  return placed;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TensorFile>> OpenSafetensors(
    const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(auto file, FileReader::Open(path));
  uint64_t length;
  if (file->size() < kLengthBytes) return file->Invalid("too short a file");
  PARLEY_RETURN_IF_ERROR(
      file->Read(0, reinterpret_cast<char*>(&length), kLengthBytes));
  if (length > kMaxHeader || length > file->size() - kLengthBytes) {
    return file->Invalid("not a safetensors file, or cut short");
  }
  PARLEY_ASSIGN_OR_RETURN(const std::string header,
                          file->Read(kLengthBytes, length));
  const absl::StatusOr<Json> json = Json::Parse(header);
  if (!json.ok() || !json->is_object()) {
    return file->Invalid(
        absl::StrCat("its header is wrong: ",
                     json.ok() ? "not an object" : json.status().message()));
  }
  const uint64_t data = kLengthBytes + length;
  std::vector<Placed> placed;
  for (const auto& [name, entry] : json->members()) {
    if (name == kMetadata) continue;
    absl::StatusOr<Placed> one = ReadEntry(name, entry, file->size() - data);
    if (!one.ok()) {
      return file->Invalid(
          absl::StrCat("tensor \"", name, "\" ", one.status().message()));
    }
    placed.push_back(*std::move(one));
  }
  std::stable_sort(
      placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
      });
  uint64_t end = 0;
  for (const Placed& p : placed) {
    if (p.begin != end) {
      return file->Invalid(absl::StrCat("tensor \"", p.tensor.name,
                                        "\" leaves a gap or overlaps another"));
    }
    end = p.end;
  }
  if (data + end != file->size()) {
    return file->Invalid("something follows the last tensor");
  }
  return std::make_unique<SafetensorsFile>(std::move(file), data,
                                           std::move(placed));
}

absl::Status WriteSafetensors(const std::string& path,
                              const ParameterSpec& spec,
                              const ParameterVector& values) {
  PARLEY_CHECK(spec.dtype() == values.dtype() &&
               spec.elements() == values.elements());
  Json entries = Json::Object();
  const uint64_t size = SizeOf(spec.dtype());
  for (size_t i = 0; i < spec.tensors().size(); ++i) {
    const TensorSpec& tensor = spec.tensors()[i];
    if (tensor.name == kMetadata) {
      return absl::InvalidArgumentError(
          absl::StrCat("a tensor named ", kMetadata,
                       " cannot be written as safetensors; write .npz"));
    }
    Json shape = Json::Array();
    for (const int64_t extent : tensor.shape) shape.Add(extent);
    Json place = Json::Array();
    place.Add(spec.offset(i) * size);
    place.Add((spec.offset(i) + tensor.elements()) * size);
    Json entry = Json::Object();
    entry.Set("dtype", spec.dtype() == DType::kFloat32 ? "F32" : "F64")
        .Set("shape", std::move(shape))
        .Set("data_offsets", std::move(place));
    entries.Set(tensor.name, std::move(entry));
  }
  std::string header = entries.ToString();
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t length = header.size();

  PARLEY_ASSIGN_OR_RETURN(auto file, FileReplacer::Create(path));
  PARLEY_RETURN_IF_ERROR(file->Write(
      absl::string_view(reinterpret_cast<const char*>(&length), kLengthBytes)));
  PARLEY_RETURN_IF_ERROR(file->Write(header));
  PARLEY_RETURN_IF_ERROR(
      file->Write(absl::string_view(values.data(), values.bytes())));
  return file->Commit();
}

}  // namespace parley
