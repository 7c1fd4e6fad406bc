// The rounds at which a run is measured more closely than at all others.
#ifndef PARLEY_SERVER_ROUND_MEASURED_ROUNDS_H_
#define PARLEY_SERVER_ROUND_MEASURED_ROUNDS_H_

#include <cstdint>

namespace parley {

// Whether `round`, from 1, is ceil(10^(j/per_decade)) for some whole j >= 0:
// every round at first, then `per_decade` in each factor of ten, the powers of
// ten among them.
bool IsMeasured(int64_t round, int32_t per_decade);

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_MEASURED_ROUNDS_H_
