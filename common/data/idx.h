// IDX files, the format of MNIST and its kin, plain or gzip: unsigned bytes,
// scaled to 0..1, and one label byte a row.
#ifndef PARLEY_COMMON_DATA_IDX_H_
#define PARLEY_COMMON_DATA_IDX_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/data/image_shape.h"
#include "common/data/row_filter.h"
#include "common/data/targets.h"

namespace parley {

struct IdxOptions {
  std::string images;  // 2 dimensions or more; all but the first are features
  std::string labels;  // 1 dimension
  // Labels, 0..255, of the rows that there are; others are passed over, as if
  // the files did not have them. Empty: all rows.
  std::vector<int> only = {};
};

// Streams: holds no more than the rows that the filter keeps.
// InvalidArgument: no IDX file of unsigned bytes, counts that differ between
// the two files, or a file shorter or longer than its header says.
// ResourceExhausted: too large. Others as InputFile.
template <typename T>
absl::StatusOr<Examples<T>> LoadIdx(const IdxOptions& options,
                                    RowFilter filter = RowFilter());

// Reads the labels, and of the images the header only.
absl::StatusOr<SourceTargets> LoadIdxTargets(const IdxOptions& options);

// 1×rows×columns where the images have 3 dimensions; with others it is not told
// what they mean. Reads the header only.
absl::StatusOr<std::optional<ImageShape>> IdxImageShape(
    const IdxOptions& options);

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_IDX_H_
