#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/gossip/algorithms/algorithm.h"
#include "client/gossip/algorithms/algorithms.h"
#include "client/gossip/vectors.h"

namespace parley {
namespace {

struct Entry {
  const char* kind;
  std::unique_ptr<Algorithm> (*make)(const AlgorithmOptions& options,
                                     DType dtype, int64_t elements);
};

std::unique_ptr<Algorithm> MakeCombining(const AlgorithmOptions& options,
                                         DType dtype, int64_t elements) {
  AlgorithmOptions combining = options;
  combining.combine = true;
  combining.momentum = 0;
  return MakeDSgd(combining, dtype, elements);
}

constexpr Entry kAlgorithms[] = {
    {"d_sgd", MakeDSgd},
    {"decent_lam", MakeDecentLam},
    {"gradient_tracking", MakeGradientTracking},
    {"d2", MakeD2},
    {"push_sum", MakeCombining},
    {"exact_average", MakeCombining},
    {"ad_psgd", MakeAdPsgd},
};

}  // namespace

void Algorithm::BeginEpoch(int, int64_t) {}

double Algorithm::LocalSum(const ParameterVector& delta, const ParameterVector&,
                           const ParameterVector&) const {
  return SumOf(delta);
}

absl::StatusOr<std::unique_ptr<Algorithm>> MakeAlgorithm(
    const AlgorithmOptions& options, int self, DType dtype, int64_t elements) {
  if (options.kind == "choco") {
    return MakeChoco(options, self, dtype, elements);
  }
  for (const Entry& entry : kAlgorithms) {
    if (options.kind == entry.kind) {
      return entry.make(options, dtype, elements);
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "there is no gossip algorithm ", options.kind, "; there are choco, ",
      absl::StrJoin(kAlgorithms, ", ", [](std::string* out, const Entry& e) {
        out->append(e.kind);
      })));
}

}  // namespace parley
