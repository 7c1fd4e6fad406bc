#include "common/files/npz.h"

#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/files/zip.h"

namespace parley {
namespace {

constexpr absl::string_view kMagic("\x93NUMPY", 6);
constexpr absl::string_view kEnding = ".npy";
constexpr uint64_t kMaxHeader = 64 << 10;

struct NpyHeader {
  FileTensor tensor;
  bool fortran_order = false;
  uint64_t bytes = 0;  // of the header with all that precedes the numbers
};

// Takes the header's text, the Python literal of a dict with the keys "descr",
// "fortran_order" and "shape".
class DictParser {
 public:
  explicit DictParser(absl::string_view text) : rest_(text) {}

  // False where the text is no such dict.
  bool Parse(std::string* descr, bool* fortran_order,
             std::vector<int64_t>* shape) {
    bool has_descr = false, has_order = false, has_shape = false;
    if (!Take("{")) return false;
    while (!Take("}")) {
      std::string key;
      if (!String(&key) || !Take(":")) return false;
      bool ok = false;
      if (key == "descr" && !has_descr) {
        ok = has_descr = String(descr);
      } else if (key == "fortran_order" && !has_order) {
        ok = has_order = Bool(fortran_order);
      } else if (key == "shape" && !has_shape) {
        ok = has_shape = Tuple(shape);
      }
      if (!ok) return false;
      if (!Take(",") && !absl::StartsWith(rest_, "}")) return false;
    }
    return rest_.empty() && has_descr && has_order && has_shape;
  }

 private:
  void SkipBlanks() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) {
      rest_.remove_prefix(1);
    }
  }
  bool Take(absl::string_view word) {
    SkipBlanks();
    if (!absl::ConsumePrefix(&rest_, word)) return false;
    SkipBlanks();
    return true;
  }
  bool String(std::string* out) {
    if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) return false;
    const size_t end = rest_.find(rest_[0], 1);
    if (end == absl::string_view::npos) return false;
    *out = std::string(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    SkipBlanks();
    return true;
  }
  bool Bool(bool* out) {
    *out = Take("True");
    return *out || Take("False");
  }
  bool Tuple(std::vector<int64_t>* out) {
    if (!Take("(")) return false;
    while (!Take(")")) {
      const size_t digits =
          std::min(rest_.find_first_not_of("0123456789"), rest_.size());
      int64_t extent;
      if (!absl::SimpleAtoi(rest_.substr(0, digits), &extent)) return false;
      rest_.remove_prefix(digits);
      out->push_back(extent);
      if (!Take(",") && !absl::StartsWith(rest_, ")")) return false;
    }
    return true;
  }

  absl::string_view rest_;
};

// Reads and checks the header of the array that a member holds.
absl::StatusOr<NpyHeader> ReadNpyHeader(const ZipMember& member,
                                        ZipStream& stream) {
  const auto wrong = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("member \"", member.name, "\" ", what));
  };
  NpyHeader header;
  absl::string_view name = member.name;
  if (!absl::ConsumeSuffix(&name, kEnding))
    return wrong("is not an .npy array");
  header.tensor.name = std::string(name);

  char start[8];
  if (member.size < sizeof(start)) return wrong("is not an .npy array");
  PARLEY_RETURN_IF_ERROR(stream.Read(start, sizeof(start)));
  const int version = start[6];
  if (absl::string_view(start, kMagic.size()) != kMagic || version < 1 ||
      version > 3) {
    return wrong("is not an .npy array of version 1 to 3");
  }
  const uint64_t length_bytes = version == 1 ? 2 : 4;
  uint32_t length = 0;
  if (member.size < sizeof(start) + length_bytes) return wrong("is cut short");
  PARLEY_RETURN_IF_ERROR(
      stream.Read(reinterpret_cast<char*>(&length), length_bytes));
  header.bytes = sizeof(start) + length_bytes + length;
  if (length > kMaxHeader || header.bytes > member.size) {
    return wrong("has too long a header");
  }
  std::string text(length, '\0');
  PARLEY_RETURN_IF_ERROR(stream.Read(text.data(), length));

  std::string descr;
  FileTensor& tensor = header.tensor;
  if (!DictParser(text).Parse(&descr, &header.fortran_order, &tensor.shape)) {
    return wrong("has a header that cannot be read");
  }
  if (descr == "<f8") {
    tensor.dtype = DType::kFloat64;
  } else if (descr != "<f4") {
    return wrong(
        absl::StrCat("has dtype ", descr, "; only <f4 and <f8 can be read"));
  }
  const absl::StatusOr<int64_t> elements = ElementsOf(tensor.shape);
  if (!elements.ok()) {
    return wrong(absl::StrCat("is wrong: ", elements.status().message()));
  }
  tensor.elements = *elements;
  if (member.size - header.bytes != tensor.elements * SizeOf(tensor.dtype)) {
    return wrong("has a shape that does not fit its bytes");
  }
  return header;
}

// Puts numbers in column-major order into row-major order.
template <typename T>
void FromFortranOrder(const std::vector<int64_t>& shape, const T* in, T* out,
                      int64_t elements) {
  std::vector<int64_t> index(shape.size(), 0);
  std::vector<int64_t> stride(shape.size(), 1);  // in `in`
  for (size_t d = 1; d < shape.size(); ++d) {
    stride[d] = stride[d - 1] * shape[d - 1];
  }
  int64_t from = 0;
  for (int64_t i = 0; i < elements; ++i) {
    out[i] = in[from];
    for (size_t d = shape.size(); d-- > 0;) {
      from += stride[d];
      if (++index[d] < shape[d]) break;
      from -= index[d] * stride[d];
      index[d] = 0;
    }
  }
}

class NpzFile final : public TensorFile {
 public:
  explicit NpzFile(std::unique_ptr<ZipReader> zip) : zip_(std::move(zip)) {}

  absl::Status ReadHeaders() {
    for (size_t i = 0; i < zip_->members().size(); ++i) {
      ZipStream stream(*zip_, i);
      absl::StatusOr<NpyHeader> header =
          ReadNpyHeader(zip_->members()[i], stream);
      if (absl::IsInvalidArgument(header.status())) {
        return zip_->file().Invalid(header.status().message());
      }
      if (!header.ok()) return header.status();
      fortran_.push_back(header->fortran_order);
      header_bytes_.push_back(header->bytes);
      tensors_.push_back(std::move(header->tensor));
    }
    return absl::OkStatus();
  }

  const std::vector<FileTensor>& tensors() const override { return tensors_; }

  absl::Status Read(size_t tensor, DType to, char* out) override {
    const FileTensor& t = tensors_[tensor];
    ZipStream stream(*zip_, tensor);
    std::string header(header_bytes_[tensor], '\0');
    PARLEY_RETURN_IF_ERROR(stream.Read(header.data(), header.size()));
    const auto read = [&](char* block, uint64_t bytes) {
      return stream.Read(block, bytes);
    };
    if (!fortran_[tensor]) {
      return ReadConverted(t.dtype, to, t.elements, out, read);
    }
    ParameterVector columns(to, t.elements);
    PARLEY_RETURN_IF_ERROR(
        ReadConverted(t.dtype, to, t.elements, columns.data(), read));
    if (to == DType::kFloat32) {
      FromFortranOrder(t.shape, columns.As<float>().data(),
                       reinterpret_cast<float*>(out), t.elements);
    } else {
      FromFortranOrder(t.shape, columns.As<double>().data(),
                       reinterpret_cast<double*>(out), t.elements);
    }
    return absl::OkStatus();
  }

 private:
  const std::unique_ptr<ZipReader> zip_;
  std::vector<FileTensor> tensors_;
  std::vector<bool> fortran_;
  std::vector<uint64_t> header_bytes_;
};

// Version 1.0, padded so that the numbers begin at a multiple of 64.
absl::StatusOr<std::string> NpyHeaderText(DType dtype,
                                          const TensorSpec& tensor) {
  std::string dict =
      absl::StrCat("{'descr': '", dtype == DType::kFloat32 ? "<f4" : "<f8",
                   "', 'fortran_order': False, 'shape': (");
  for (const int64_t extent : tensor.shape) absl::StrAppend(&dict, extent, ",");
  dict += "), }";
  std::string header = absl::StrCat(kMagic, absl::string_view("\x01\x00", 2));
  const size_t unpadded = header.size() + 2 + dict.size() + 1;
  dict.append((64 - unpadded % 64) % 64, ' ');
  dict += '\n';
  if (dict.size() > 0xFFFF) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor \"", tensor.name, "\" has too many dimensions for .npz"));
  }
  const uint16_t length = static_cast<uint16_t>(dict.size());
  header.append(reinterpret_cast<const char*>(&length), sizeof(length));
  return header + dict;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TensorFile>> OpenNpz(const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(auto zip, ZipReader::Open(path));
  auto file = std::make_unique<NpzFile>(std::move(zip));
  PARLEY_RETURN_IF_ERROR(file->ReadHeaders());
  return file;
}

absl::Status WriteNpz(const std::string& path, const ParameterSpec& spec,
                      const ParameterVector& values) {
  PARLEY_CHECK(spec.dtype() == values.dtype() &&
               spec.elements() == values.elements());
  PARLEY_ASSIGN_OR_RETURN(auto file, FileReplacer::Create(path));
  ZipWriter zip(file.get());
  const size_t size = SizeOf(spec.dtype());
  for (size_t i = 0; i < spec.tensors().size(); ++i) {
    const TensorSpec& tensor = spec.tensors()[i];
    PARLEY_ASSIGN_OR_RETURN(const std::string header,
                            NpyHeaderText(spec.dtype(), tensor));
    const absl::string_view numbers(values.data() + spec.offset(i) * size,
                                    tensor.elements() * size);
    PARLEY_RETURN_IF_ERROR(
        zip.Add(absl::StrCat(tensor.name, kEnding), {header, numbers}));
  }
  PARLEY_RETURN_IF_ERROR(zip.Finish());
  return file->Commit();
}

}  // namespace parley
