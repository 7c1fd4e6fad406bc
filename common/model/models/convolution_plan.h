// What the convolutions of a network do to the size of an image.
#ifndef PARLEY_COMMON_MODEL_MODELS_CONVOLUTION_PLAN_H_
#define PARLEY_COMMON_MODEL_MODELS_CONVOLUTION_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/model.h"

namespace parley {

// One convolution with its pooling.
struct ConvolutionPlan {
  int64_t in = 0;  // channels
  // Of its input, with the zeros around it.
  int64_t height = 0, width = 0;
  int64_t padding = 0, kernel = 0, out = 0, pool = 0;
  int64_t rows = 0, cols = 0;  // of its output, pooled
  // Where in the parameters.
  int64_t weight = 0, bias = 0;

  int64_t input_elements() const { return in * height * width; }
  int64_t output_pixels() const { return rows * cols; }
  int64_t window() const { return in * kernel * kernel; }
  // Of the window, but for those that no square of the pooling takes.
  int64_t places() const { return output_pixels() * pool * pool; }
};

// InvalidArgument: an option out of range, features that are not those of an
// image, a window or a square that the image has no room for, or so many
// numbers that no memory holds them.
absl::StatusOr<std::vector<ConvolutionPlan>> PlanConvolutions(
    const ModelOptions& options);

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_MODELS_CONVOLUTION_PLAN_H_
