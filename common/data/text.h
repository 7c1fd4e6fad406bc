// Text, plain or gzip, as bytes of which the next one is to be predicted.
#ifndef PARLEY_COMMON_DATA_TEXT_H_
#define PARLEY_COMMON_DATA_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/data/row_filter.h"
#include "common/data/targets.h"

namespace parley {

// A byte stands as its number in the alphabet, from 0, in rising order. Row i
// has as its features bytes [i·stride, i·stride + context) of the text and as
// its target the byte after these, for as long as there is one.
struct TextOptions {
  std::string path;
  int64_t context = 16;  // 1..65536
  int64_t stride = 1;    // >= 1
  // The bytes that there may be, in any order; empty: those of the text.
  std::string alphabet = {};
};

// InvalidArgument: a byte that is not in the alphabet, named by its line; no
// more bytes than `context`; an option out of range. ResourceExhausted: too
// large. Others as InputFile.
template <typename T>
absl::StatusOr<Examples<T>> LoadText(const TextOptions& options,
                                     RowFilter filter = RowFilter());

// The labels are the alphabet.
absl::StatusOr<SourceTargets> LoadTextTargets(const TextOptions& options);

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_TEXT_H_
