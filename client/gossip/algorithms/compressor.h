// How CHOCO shortens what it sends. Little-endian, as all numbers on the wire.
//   top       uint32 places, rising, of the largest numbers; then the numbers
//   random    the numbers at places that both ends draw
//   int8      blocks of 4096 numbers: a float32 scale, then bytes b: scale·b
//   bfloat16  the upper halves of float32
#ifndef PARLEY_CLIENT_GOSSIP_ALGORITHMS_COMPRESSOR_H_
#define PARLEY_CLIENT_GOSSIP_ALGORITHMS_COMPRESSOR_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/config/run_gossip.h"
#include "common/model/parameters.h"

namespace parley {

// What both ends know of a payload.
struct CompressedBy {
  int peer = 0;  // who sends it
  int64_t round = 0;
};

// Immutable and thread-safe. Decode(Encode(v)) is nearer to v than 0 is, unless
// v is 0: a contraction, which CHOCO needs.
class Compressor {
 public:
  virtual ~Compressor() = default;
  // CompressedBytes(options, dtype, n) bytes.
  virtual std::string Encode(const CompressedBy& by,
                             const ParameterVector& v) const = 0;
  // `bytes` has the right size. InvalidArgument: it is none of Encode's.
  virtual absl::Status Decode(const CompressedBy& by, const std::string& bytes,
                              ParameterVector* v) const = 0;
};

// Of vectors with so many elements.
std::unique_ptr<Compressor> MakeCompressor(const AlgorithmOptions& options,
                                           DType dtype, int64_t elements);

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_ALGORITHMS_COMPRESSOR_H_
