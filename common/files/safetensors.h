// The safetensors format: eight bytes, little-endian, with the length of a JSON
// header; the header, which gives each tensor's dtype, shape and place; then
// the tensors' bytes without gaps. https://github.com/huggingface/safetensors
#ifndef PARLEY_COMMON_FILES_SAFETENSORS_H_
#define PARLEY_COMMON_FILES_SAFETENSORS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/files/tensor_file.h"
#include "common/model/parameters.h"

namespace parley {

// Reads the header. F32 and F64 only. InvalidArgument says what is wrong.
absl::StatusOr<std::unique_ptr<TensorFile>> OpenSafetensors(
    const std::string& path);

// Replaces the file. The tensors lie in the order of the spec.
// InvalidArgument: a tensor is named "__metadata__".
absl::Status WriteSafetensors(const std::string& path,
                              const ParameterSpec& spec,
                              const ParameterVector& values);

}  // namespace parley

#endif  // PARLEY_COMMON_FILES_SAFETENSORS_H_
