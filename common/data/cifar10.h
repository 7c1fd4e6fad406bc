// The binary version of CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of
// Features from Tiny Images, 2009), plain or gzip: records of a label byte 0..9
// and 1,024 red, 1,024 green and 1,024 blue bytes, line by line.
#ifndef PARLEY_COMMON_DATA_CIFAR10_H_
#define PARLEY_COMMON_DATA_CIFAR10_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/data/image_shape.h"
#include "common/data/row_filter.h"
#include "common/data/targets.h"

namespace parley {

inline constexpr ImageShape kCifar10Shape = {3, 32, 32};
inline constexpr int64_t kCifar10Features = 3 * 32 * 32;
inline constexpr int64_t kCifar10Classes = 10;

struct Cifar10Options {
  std::vector<std::string> paths;  // read one after another
};

// Bytes are scaled to 0..1. The whole files are read and checked whatever the
// filter keeps. InvalidArgument: no files; a file that is empty or ends within
// a record; a label over 9, named by its record. ResourceExhausted: too large.
// Others as InputFile.
template <typename T>
absl::StatusOr<Examples<T>> LoadCifar10(const Cifar10Options& options,
                                        RowFilter filter = RowFilter());

absl::StatusOr<SourceTargets> LoadCifar10Targets(const Cifar10Options& options);

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_CIFAR10_H_
