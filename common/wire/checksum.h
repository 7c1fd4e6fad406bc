// The checksum of a chunk's data: XXH3-64, seed 0.
#ifndef PARLEY_COMMON_WIRE_CHECKSUM_H_
#define PARLEY_COMMON_WIRE_CHECKSUM_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace parley {

uint64_t Checksum(absl::string_view data);

// Of the pieces one after another.
uint64_t Checksum(absl::Span<const absl::string_view> pieces);

}  // namespace parley

#endif  // PARLEY_COMMON_WIRE_CHECKSUM_H_
