#include "common/data/generators.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

constexpr int64_t kMaxRows = int64_t{1} << 31;
constexpr int64_t kGrain = 64;  // of rows that one thread draws

double Dot(absl::Span<const double> x, absl::Span<const double> y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

void FillNormal(Rng& rng, absl::Span<double> x) {
  for (double& v : x) v = rng.Normal();
}

// A point drawn evenly on the sphere of that radius.
void FillSphere(Rng& rng, double radius, absl::Span<double> x) {
  double length = 0;
  while (length == 0) {
    FillNormal(rng, x);
    length = std::sqrt(Dot(x, x));
  }
  for (double& v : x) v *= radius / length;
}

absl::Status CheckRange(absl::string_view name, double value, double low,
                        double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, "; allowed: ", low, " to ", high));
}

absl::Status CheckShape(int64_t rows, int64_t features) {
  PARLEY_RETURN_IF_ERROR(CheckRange("rows", rows, 1, kMaxRows));
  return CheckRange("features", features, 1,
                    std::numeric_limits<int32_t>::max() - 1);
}

// Each maker of rows below is built from checked options; Row writes row i's
// features into `x` and returns its target. Where `x` is empty only the target
// is wanted.
class SeparableRows {
 public:
  static absl::Status Check(const SeparableOptions& o) {
    PARLEY_RETURN_IF_ERROR(CheckShape(o.rows, o.features));
    return CheckRange("margin", o.margin, std::numeric_limits<float>::min(),
                      1e9);
  }
  SeparableRows(const SeparableOptions& o, uint64_t seed,
                absl::string_view split)
      : margin_(o.margin),
        seed_(seed),
        split_(split),
        normal_(SeparableNormal(o.features, seed)) {}

  double Row(int64_t i, absl::Span<double> x) const {
    const bool support = i < 2;
    // Row 1 is made from row 0's stream: the same p.
    Rng rng(seed_, split_, support ? 0 : i, "separable row");
    const bool coin = rng.Below(2) == 0;
    const double y = (support ? i == 0 : coin) ? 1 : -1;
    if (x.empty()) return y;
    const double excess = std::abs(rng.Normal());
    FillNormal(rng, x);
    const double along = Dot(x, normal_);
    const double distance = y * (margin_ + (support ? 0 : excess));
    for (size_t k = 0; k < x.size(); ++k) {
      x[k] += (distance - along) * normal_[k];
    }
    return y;
  }

 private:
  const double margin_;
  const uint64_t seed_;
  const std::string split_;
  const std::vector<double> normal_;
};

class MixtureRows {
 public:
  static absl::Status Check(const MixtureOptions& o) {
    PARLEY_RETURN_IF_ERROR(CheckShape(o.rows, o.features));
    PARLEY_RETURN_IF_ERROR(CheckRange("classes", o.classes, 2, 65536));
    PARLEY_RETURN_IF_ERROR(CheckRange("separation", o.separation, 0, 1e9));
    PARLEY_RETURN_IF_ERROR(CheckRange("noise", o.noise, 0, 1e9));
    return CheckDenseSize(o.classes, o.features);
  }
  MixtureRows(const MixtureOptions& o, uint64_t seed, absl::string_view split)
      : options_(o),
        seed_(seed),
        split_(split),
        centres_(MixtureCentres(o, seed)) {}

  double Row(int64_t i, absl::Span<double> x) const {
    Rng rng(seed_, split_, i, "mixture row");
    const uint64_t label = rng.Below(options_.classes);
    const double* const centre = &centres_[label * options_.features];
    for (size_t k = 0; k < x.size(); ++k) {
      x[k] = centre[k] + options_.noise * rng.Normal();
    }
    return static_cast<double>(label);
  }

 private:
  const MixtureOptions options_;
  const uint64_t seed_;
  const std::string split_;
  const std::vector<double> centres_;
};

class RegressionRows {
 public:
  static absl::Status Check(const RegressionOptions& o) {
    PARLEY_RETURN_IF_ERROR(CheckShape(o.rows, o.features));
    return CheckRange("noise", o.noise, 0, 1e9);
  }
  RegressionRows(const RegressionOptions& o, uint64_t seed,
                 absl::string_view split)
      : noise_(o.noise),
        seed_(seed),
        split_(split),
        weights_(RegressionWeights(o.features, seed)) {}

  double Row(int64_t i, absl::Span<double> x) const {
    Rng rng(seed_, split_, i, "regression row");
    double target = noise_ * rng.Normal();
    for (size_t k = 0; k < weights_.size(); ++k) {
      const double value = rng.Normal();
      target += weights_[k] * value;
      if (!x.empty()) x[k] = value;
    }
    return target;
  }

 private:
  const double noise_;
  const uint64_t seed_;
  const std::string split_;
  const std::vector<double> weights_;
};

template <typename O>
struct RowsOf;
template <>
struct RowsOf<SeparableOptions> {
  using Type = SeparableRows;
};
template <>
struct RowsOf<MixtureOptions> {
  using Type = MixtureRows;
};
template <>
struct RowsOf<RegressionOptions> {
  using Type = RegressionRows;
};

}  // namespace

template <typename T, typename O>
absl::StatusOr<Examples<T>> Generate(const O& options, uint64_t seed,
                                     absl::string_view split, RowFilter filter,
                                     Executor* executor) {
  using Rows = typename RowsOf<O>::Type;
  PARLEY_RETURN_IF_ERROR(Rows::Check(options));
  PARLEY_RETURN_IF_ERROR(filter.Check(options.rows));
  Examples<T> examples;
  examples.rows = filter.count(options.rows);
  examples.features = options.features;
  PARLEY_RETURN_IF_ERROR(CheckDenseSize(examples.rows, examples.features));
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < options.rows && !filter.every(); ++i) {
    if (filter.Keeps(i)) kept.push_back(i);
  }
  examples.dense.resize(examples.rows * examples.features);
  examples.target.resize(examples.rows);
  const Rows rows(options, seed, split);
  ParallelFor(executor, examples.rows, kGrain, [&](int64_t begin, int64_t end) {
    std::vector<double> x(options.features);
    for (int64_t i = begin; i < end; ++i) {
      examples.target[i] = static_cast<T>(
          rows.Row(kept.empty() ? i : kept[i], absl::MakeSpan(x)));
      std::copy(x.begin(), x.end(),
                examples.dense.begin() + i * options.features);
    }
  });
  return examples;
}

template <typename O>
absl::StatusOr<SourceTargets> GenerateTargets(const O& options, uint64_t seed,
                                              absl::string_view split) {
  using Rows = typename RowsOf<O>::Type;
  PARLEY_RETURN_IF_ERROR(Rows::Check(options));
  const Rows rows(options, seed, split);
  SourceTargets targets;
  targets.features = options.features;
  if constexpr (std::is_same_v<O, MixtureOptions>) {
    targets.classes = options.classes;  // a draw may lack one
  }
  targets.values.resize(options.rows);
  for (int64_t i = 0; i < options.rows; ++i) {
    targets.values[i] = rows.Row(i, absl::Span<double>());
  }
  return targets;
}

std::vector<double> SeparableNormal(int64_t features, uint64_t seed) {
  std::vector<double> normal(features);
  Rng rng(seed, "separable normal");
  FillSphere(rng, 1, absl::MakeSpan(normal));
  return normal;
}

std::vector<double> MixtureCentres(const MixtureOptions& options,
                                   uint64_t seed) {
  std::vector<double> centres(options.classes * options.features);
  for (int64_t c = 0; c < options.classes; ++c) {
    Rng rng(seed, "", c, "mixture centre");
    FillSphere(rng, options.separation,
               absl::MakeSpan(centres).subspan(c * options.features,
                                               options.features));
  }
  return centres;
}

std::vector<double> RegressionWeights(int64_t features, uint64_t seed) {
  std::vector<double> weights(features);
  Rng rng(seed, "regression weights");
  FillNormal(rng, absl::MakeSpan(weights));
  return weights;
}

#define PARLEY_INSTANTIATE(O)                                                \
  template absl::StatusOr<Examples<float>> Generate<float>(                  \
      const O&, uint64_t, absl::string_view, RowFilter, Executor*);          \
  template absl::StatusOr<Examples<double>> Generate<double>(                \
      const O&, uint64_t, absl::string_view, RowFilter, Executor*);          \
  template absl::StatusOr<SourceTargets> GenerateTargets(const O&, uint64_t, \
                                                         absl::string_view);
PARLEY_INSTANTIATE(SeparableOptions)
PARLEY_INSTANTIATE(MixtureOptions)
PARLEY_INSTANTIATE(RegressionOptions)
#undef PARLEY_INSTANTIATE

}  // namespace parley
