// A model's parameters in a file that other programs read too: .safetensors or
// .npz, told apart by the name's ending.
#ifndef PARLEY_COMMON_FILES_PARAMETER_FILE_H_
#define PARLEY_COMMON_FILES_PARAMETER_FILE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/files/tensor_file.h"
#include "common/model/parameters.h"

namespace parley {

struct NamedParameters {
  ParameterSpec spec;
  ParameterVector values;
};

// True where the name ends as one of the formats does.
bool IsParameterFile(absl::string_view path);

// InvalidArgument: the ending is unknown, or the file is damaged or hostile.
// Any code of the file system.
absl::StatusOr<std::unique_ptr<TensorFile>> OpenTensorFile(
    const std::string& path);

// All of a file, in its own order; float64 where any of its tensors is, and
// every tensor merged by MEAN, as files do not say.
absl::StatusOr<NamedParameters> ReadParameters(const std::string& path);

// The file's tensors in the order, and as numbers of the type, that `expected`
// says. Tensors named in `passed_over` may be there as well. InvalidArgument:
// the file lacks one of its tensors, has others, one of another shape, or
// numbers that are not finite as that type.
absl::StatusOr<ParameterVector> LoadParameters(
    const std::string& path, const ParameterSpec& expected,
    absl::Span<const TensorSpec> passed_over = {});

// Replaces the file, which is never seen half-written. `values` must be of the
// spec's type and size. InvalidArgument: the ending is unknown.
absl::Status SaveParameters(const std::string& path, const ParameterSpec& spec,
                            const ParameterVector& values);

}  // namespace parley

#endif  // PARLEY_COMMON_FILES_PARAMETER_FILE_H_
