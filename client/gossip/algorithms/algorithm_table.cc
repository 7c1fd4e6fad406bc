#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/gossip/algorithms/algorithm.h"
#include "client/gossip/algorithms/algorithms.h"

namespace parley {
namespace {

struct Entry {
  const char* kind;
  AlgorithmTraits (*traits)(const AlgorithmOptions& options);
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
    {"d_sgd",
     [](const AlgorithmOptions& options) {
       return AlgorithmTraits{.states = options.momentum > 0 ? 1 : 0,
                              .trains_first = options.combine};
     },
     MakeDSgd},
    {"decent_lam",
     [](const AlgorithmOptions&) {
       return AlgorithmTraits{.states = 1, .symmetric = true};
     },
     MakeDecentLam},
    {"gradient_tracking",
     [](const AlgorithmOptions&) {
       return AlgorithmTraits{.states = 2, .parts = 2, .symmetric = true};
     },
     MakeGradientTracking},
    {"d2",
     [](const AlgorithmOptions&) {
       return AlgorithmTraits{
           .states = 1, .symmetric = true, .fixed = true, .lazy = true};
     },
     MakeD2},
    {"push_sum",
     [](const AlgorithmOptions&) { return AlgorithmTraits{.flows = true}; },
     MakeCombining},
    {"exact_average",
     [](const AlgorithmOptions&) { return AlgorithmTraits{.averages = true}; },
     MakeCombining},
};

absl::StatusOr<const Entry*> Find(const std::string& kind) {
  for (const Entry& entry : kAlgorithms) {
    if (kind == entry.kind) return &entry;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "there is no gossip algorithm ", kind, "; there are ",
      absl::StrJoin(kAlgorithms, ", ", [](std::string* out, const Entry& e) {
        out->append(e.kind);
      })));
}

}  // namespace

absl::StatusOr<AlgorithmTraits> TraitsOf(const AlgorithmOptions& options) {
  const auto entry = Find(options.kind);
  if (!entry.ok()) return entry.status();
  return (*entry)->traits(options);
}

absl::StatusOr<std::unique_ptr<Algorithm>> MakeAlgorithm(
    const AlgorithmOptions& options, DType dtype, int64_t elements) {
  const auto entry = Find(options.kind);
  if (!entry.ok()) return entry.status();
  return (*entry)->make(options, dtype, elements);
}

}  // namespace parley
