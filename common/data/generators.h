// Synthetic data by seed. Row i of a split depends on the seed, the split and i
// alone; the hidden truth (normal, centres, weights) on the seed alone, so that
// the splits "train" and "test" are samples of one distribution.
#ifndef PARLEY_COMMON_DATA_GENERATORS_H_
#define PARLEY_COMMON_DATA_GENERATORS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/executor.h"
#include "common/data/dataset.h"
#include "common/data/row_filter.h"
#include "common/data/targets.h"

namespace parley {

// Linearly separable by a hyperplane through the origin, labels ±1. With u the
// unit normal, row i is y(margin + |e|)u + p, e standard normal and p standard
// normal in the complement of u. Row 0 (y = +1) and row 1 (y = −1) lie at the
// margin, e = 0, and share their p: so, up to rounding, u is the direction of
// the largest margin that any hyperplane through the origin has, and that
// margin is `margin`. Of one row, which is row 0, the latter does not hold.
struct SeparableOptions {
  int64_t rows = 0;      // > 0
  int64_t features = 0;  // > 0
  double margin = 0.1;   // > 0
};

// Labels 0, 1, ... drawn evenly; around each class's centre, a point drawn on
// the sphere of radius `separation`, a spherical Gaussian.
struct MixtureOptions {
  int64_t rows = 0;
  int64_t features = 0;
  int64_t classes = 2;    // 2..65536
  double separation = 3;  // >= 0
  double noise = 1;       // standard deviation, >= 0
};

// t = w·x + noise, w and x standard normal.
struct RegressionOptions {
  int64_t rows = 0;
  int64_t features = 0;
  double noise = 0.1;  // standard deviation, >= 0
};

// The rows that the filter keeps, drawn on the executor's threads where there
// is one. InvalidArgument: an option out of range; ResourceExhausted: too
// large. O stands for one of the three above.
template <typename T, typename O>
absl::StatusOr<Examples<T>> Generate(const O& options, uint64_t seed,
                                     absl::string_view split,
                                     RowFilter filter = RowFilter(),
                                     Executor* executor = nullptr);

// The targets alone.
template <typename O>
absl::StatusOr<SourceTargets> GenerateTargets(const O& options, uint64_t seed,
                                              absl::string_view split);

// The hidden truth. `features` numbers; the mixture's centres are
// classes×features.
std::vector<double> SeparableNormal(int64_t features, uint64_t seed);
std::vector<double> MixtureCentres(const MixtureOptions& options,
                                   uint64_t seed);
std::vector<double> RegressionWeights(int64_t features, uint64_t seed);

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_GENERATORS_H_
