#include "common/files/parameter_file.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/files/npz.h"
#include "common/files/safetensors.h"

namespace parley {
namespace {

struct Format {
  absl::string_view ending;
  absl::StatusOr<std::unique_ptr<TensorFile>> (*open)(const std::string& path);
  absl::Status (*write)(const std::string& path, const ParameterSpec& spec,
                        const ParameterVector& values);
};

constexpr Format kFormats[] = {
    {".safetensors", OpenSafetensors, WriteSafetensors},
    {".npz", OpenNpz, WriteNpz},
};

absl::StatusOr<const Format*> FormatOf(absl::string_view path) {
  for (const Format& format : kFormats) {
    if (path.size() > format.ending.size() &&
        path.substr(path.size() - format.ending.size()) == format.ending) {
      return &format;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": the name must end in .safetensors or .npz"));
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ","), "]");
}

// Finds each tensor of `expected` in the file: InvalidArgument tells all that
// does not fit at once.
absl::StatusOr<std::vector<size_t>> Match(
    const std::vector<FileTensor>& tensors, const ParameterSpec& expected,
    absl::Span<const TensorSpec> passed_over) {
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < tensors.size(); ++i) index[tensors[i].name] = i;
  std::vector<size_t> order;
  std::vector<std::string> wrong;
  for (const TensorSpec& tensor : expected.tensors()) {
    const auto node = index.extract(tensor.name);
    if (node.empty()) {
      wrong.push_back(absl::StrCat("\"", tensor.name, "\" ",
                                   ShapeText(tensor.shape), " is missing"));
      continue;
    }
    const std::vector<int64_t>& shape = tensors[node.mapped()].shape;
    if (shape != tensor.shape) {
      wrong.push_back(absl::StrCat("\"", tensor.name, "\" is ",
                                   ShapeText(shape), ", the model's is ",
                                   ShapeText(tensor.shape)));
    }
    order.push_back(node.mapped());
  }
  for (const TensorSpec& tensor : passed_over) index.erase(tensor.name);
  for (const auto& [name, i] : index) {
    wrong.push_back(absl::StrCat("\"", name, "\" ", ShapeText(tensors[i].shape),
                                 " is not of the model"));
  }
  if (wrong.empty()) return order;
  return absl::InvalidArgumentError(
      absl::StrCat("does not fit the model: ", absl::StrJoin(wrong, "; ")));
}

template <typename T>
bool AllFinite(absl::Span<const T> values) {
  return std::all_of(values.begin(), values.end(),
                     [](T x) { return std::isfinite(x); });
}

}  // namespace

bool IsParameterFile(absl::string_view path) { return FormatOf(path).ok(); }

absl::StatusOr<std::unique_ptr<TensorFile>> OpenTensorFile(
    const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(const Format* format, FormatOf(path));
  return format->open(path);
}

absl::StatusOr<NamedParameters> ReadParameters(const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(auto file, OpenTensorFile(path));
  DType dtype = DType::kFloat32;
  std::vector<TensorSpec> tensors;
  for (const FileTensor& tensor : file->tensors()) {
    if (tensor.dtype == DType::kFloat64) dtype = DType::kFloat64;
    tensors.push_back({tensor.name, tensor.shape});
  }
  absl::StatusOr<ParameterSpec> spec =
      ParameterSpec::Create(dtype, std::move(tensors));
  if (!spec.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", spec.status().message()));
  }
  ParameterVector values(dtype, spec->elements());
  for (size_t i = 0; i < file->tensors().size(); ++i) {
    PARLEY_RETURN_IF_ERROR(
        file->Read(i, dtype, values.data() + spec->offset(i) * SizeOf(dtype)));
  }
  return NamedParameters{*std::move(spec), std::move(values)};
}

absl::StatusOr<ParameterVector> LoadParameters(
    const std::string& path, const ParameterSpec& expected,
    absl::Span<const TensorSpec> passed_over) {
  PARLEY_ASSIGN_OR_RETURN(auto file, OpenTensorFile(path));
  const auto wrong = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
  };
  const auto order = Match(file->tensors(), expected, passed_over);
  if (!order.ok()) return wrong(order.status().message());
  const DType dtype = expected.dtype();
  ParameterVector values(dtype, expected.elements());
  for (size_t i = 0; i < order->size(); ++i) {
    const FileTensor& tensor = file->tensors()[(*order)[i]];
    const size_t offset = expected.offset(i);
    PARLEY_RETURN_IF_ERROR(
        file->Read((*order)[i], dtype, values.data() + offset * SizeOf(dtype)));
    const bool finite = dtype == DType::kFloat32
                            ? AllFinite<float>(values.As<float>().subspan(
                                  offset, tensor.elements))
                            : AllFinite<double>(values.As<double>().subspan(
                                  offset, tensor.elements));
    if (!finite) {
      return wrong(absl::StrCat("\"", tensor.name,
                                "\" has numbers that are not finite as ",
                                Name(dtype)));
    }
  }
  return values;
}

absl::Status SaveParameters(const std::string& path, const ParameterSpec& spec,
                            const ParameterVector& values) {
  PARLEY_ASSIGN_OR_RETURN(const Format* format, FormatOf(path));
  return format->write(path, spec, values);
}

}  // namespace parley
