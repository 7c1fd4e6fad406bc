// Pixels as models take them.
#ifndef PARLEY_COMMON_DATA_SCALED_BYTES_H_
#define PARLEY_COMMON_DATA_SCALED_BYTES_H_

#include <array>
#include <cstddef>

namespace parley {

// The numbers 0/255, 1/255, ..., 255/255.
template <typename T>
std::array<T, 256> ScaledBytes() {
  std::array<T, 256> scaled;
  for (size_t i = 0; i < scaled.size(); ++i) {
    scaled[i] = static_cast<T>(static_cast<double>(i) / 255);
  }
  return scaled;
}

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_SCALED_BYTES_H_
