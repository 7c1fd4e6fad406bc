// The shape of the images that the rows of a source are.
#ifndef PARLEY_COMMON_DATA_IMAGE_SHAPE_H_
#define PARLEY_COMMON_DATA_IMAGE_SHAPE_H_

#include <cstdint>

namespace parley {

// A row's features are channels planes, one after another, of height×width
// pixels each, line by line. All are > 0.
struct ImageShape {
  int64_t channels = 0;
  int64_t height = 0;
  int64_t width = 0;

  bool operator==(const ImageShape&) const = default;
};

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_IMAGE_SHAPE_H_
