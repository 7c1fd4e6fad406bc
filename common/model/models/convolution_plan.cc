#include "common/model/models/convolution_plan.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

constexpr int64_t kMaxChannels = 65536;
constexpr int64_t kMaxSide = 65536;
constexpr int64_t kMaxWindow = 64;
// Of the windows of one image, and of all parameters.
constexpr int64_t kMaxElements = int64_t{1} << 32;
constexpr int64_t kMaxParameters = int64_t{1} << 40;

absl::Status CheckRange(size_t l, const char* what, int64_t high, int64_t x,
                        int64_t low) {
  if (x >= low && x <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("conv[", l, "] of the cnn: ", what, " is ", x,
                   ": must be >= ", low, " and <= ", high));
}

absl::Status CheckOptions(size_t l, const ConvolutionOptions& o) {
  PARLEY_RETURN_IF_ERROR(
      CheckRange(l, "channels", kMaxChannels, o.channels, 1));
  PARLEY_RETURN_IF_ERROR(CheckRange(l, "kernel", kMaxWindow, o.kernel, 1));
  PARLEY_RETURN_IF_ERROR(CheckRange(l, "pool", kMaxWindow, o.pool, 1));
  return CheckRange(l, "padding", o.kernel - 1, o.padding, 0);
}

bool InRange(int64_t x, int64_t high) { return x >= 1 && x <= high; }

}  // namespace

absl::StatusOr<std::vector<ConvolutionPlan>> PlanConvolutions(
    const ModelOptions& options) {
  int64_t channels = options.image_channels;
  int64_t height = options.image_height, width = options.image_width;
  if (!InRange(channels, kMaxChannels) || !InRange(height, kMaxSide) ||
      !InRange(width, kMaxSide) ||
      channels * height * width != options.features) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a cnn takes images, but ", channels, " channels of ", height, "×",
        width, " are not the ", options.features, " features of a row"));
  }
  if (options.convolutions.empty()) {
    return absl::InvalidArgumentError("a cnn needs at least one convolution");
  }
  std::vector<ConvolutionPlan> plan;
  int64_t offset = 0;
  for (const ConvolutionOptions& o : options.convolutions) {
    const size_t l = plan.size();
    PARLEY_RETURN_IF_ERROR(CheckOptions(l, o));
    ConvolutionPlan layer;
    layer.in = channels;
    layer.height = height + 2 * o.padding;
    layer.width = width + 2 * o.padding;
    layer.padding = o.padding;
    layer.kernel = o.kernel;
    layer.out = o.channels;
    layer.pool = o.pool;
    layer.rows = (layer.height - o.kernel + 1) / o.pool;
    layer.cols = (layer.width - o.kernel + 1) / o.pool;
    if (layer.rows < 1 || layer.cols < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("conv[", l, "] of the cnn has no room: of ", height, "×",
                       width, " with padding ", o.padding, " a kernel of ",
                       o.kernel, " and pools of ", o.pool, " leave nothing"));
    }
    layer.weight = offset;
    layer.bias = offset + layer.out * layer.window();
    offset = layer.bias + layer.out;
    if (layer.places() * layer.window() > kMaxElements ||
        layer.places() * layer.out > kMaxElements || offset > kMaxParameters) {
      return absl::InvalidArgumentError(absl::StrCat(
          "conv[", l, "] of the cnn is too large: ", layer.places(),
          " places of a window of ", layer.window(), " numbers, for ",
          layer.out, " channels; an image may make 2^32 numbers"));
    }
    channels = layer.out;
    height = layer.rows;
    width = layer.cols;
    plan.push_back(layer);
  }
  return plan;
}

}  // namespace parley
