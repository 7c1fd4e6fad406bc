// The checksum of a chunk's data: XXH3-64, seed 0.
#ifndef PARLEY_COMMON_WIRE_CHECKSUM_H_
#define PARLEY_COMMON_WIRE_CHECKSUM_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace parley {

uint64_t Checksum(absl::string_view data);

// Of data that come piece by piece.
class ChecksumStream {
 public:
  ChecksumStream();
  void Add(absl::string_view piece);
  uint64_t Value() const;

 private:
  // libxxhash's state, whose size it tells to its own sources only.
  alignas(64) char state_[576];
};

// Of the pieces one after another.
uint64_t Checksum(absl::Span<const absl::string_view> pieces);

}  // namespace parley

#endif  // PARLEY_COMMON_WIRE_CHECKSUM_H_
