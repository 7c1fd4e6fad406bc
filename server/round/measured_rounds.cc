#include "server/round/measured_rounds.h"

#include <cmath>

namespace parley {

bool IsMeasured(int64_t round, int32_t per_decade) {
  if (round <= 1) return round == 1;
  // How many of the marks 10^(j/per_decade) a round has reached; a little more
  // than it says, so that rounding does not take a power of ten from a round.
  const auto marks = [per_decade](int64_t r) {
    return std::floor(per_decade * std::log10(static_cast<double>(r)) + 1e-9);
  };
  return marks(round) > marks(round - 1);
}

}  // namespace parley
