// NumPy's .npz: a zip file with one .npy array a tensor
// (numpy.lib.format, versions 1.0 to 3.0; written as 1.0).
#ifndef PARLEY_COMMON_FILES_NPZ_H_
#define PARLEY_COMMON_FILES_NPZ_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/files/tensor_file.h"
#include "common/model/parameters.h"

namespace parley {

// Reads the members' headers. Little-endian float32 and float64, in C or
// Fortran order, stored or deflated. InvalidArgument says what is wrong.
absl::StatusOr<std::unique_ptr<TensorFile>> OpenNpz(const std::string& path);

// Replaces the file; members are stored, "NAME.npy" each.
absl::Status WriteNpz(const std::string& path, const ParameterSpec& spec,
                      const ParameterVector& values);

}  // namespace parley

#endif  // PARLEY_COMMON_FILES_NPZ_H_
