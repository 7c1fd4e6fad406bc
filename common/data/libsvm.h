// LIBSVM text: "label index:value ...", 1-based rising indices, plain or gzip.
#ifndef PARLEY_COMMON_DATA_LIBSVM_H_
#define PARLEY_COMMON_DATA_LIBSVM_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/data/row_filter.h"
#include "common/data/targets.h"

namespace parley {

struct LibsvmOptions {
  std::string path;
  int64_t features = 0;  // 0: the highest index in the file
  bool dense = false;    // store dense; else sparse stays sparse
};

// A `#` begins a comment, empty lines are skipped, lines end in LF or CRLF.
// The whole file is read and checked whatever the filter keeps, and the number
// of features is the same with every filter.
// InvalidArgument: a malformed line, named with what is wrong; no rows, or
// no features, at all.
// ResourceExhausted: too large to be stored dense. Others as InputFile.
template <typename T>
absl::StatusOr<Examples<T>> LoadLibsvm(const LibsvmOptions& options,
                                       RowFilter filter = RowFilter());

absl::StatusOr<SourceTargets> LoadLibsvmTargets(const LibsvmOptions& options);

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_LIBSVM_H_
