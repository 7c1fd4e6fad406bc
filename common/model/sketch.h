// Linear sketches of long vectors: a few numbers that tell how far apart
// vectors are, where they may not be brought together.
#ifndef PARLEY_COMMON_MODEL_SKETCH_H_
#define PARLEY_COMMON_MODEL_SKETCH_H_

#include <cstdint>
#include <vector>

#include "common/model/parameters.h"

namespace parley {

// Each of the first `elements` of x goes, with a sign, to one of `numbers`
// places; both are drawn by (seed, index). So E‖S·x‖² = ‖x‖², with a relative
// standard deviation of at most sqrt(2/numbers) (Charikar, Chen and
// Farach-Colton 2002; Thorup and Zhang 2004), and S·(x − y) = S·x − S·y.
std::vector<double> SketchOf(const ParameterVector& x, int64_t elements,
                             uint64_t seed, int numbers);

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_SKETCH_H_
