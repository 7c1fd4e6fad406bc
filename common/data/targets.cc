#include "common/data/targets.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

absl::Status BadTarget(double value, int64_t row, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("the target ", value, " of row ", row, " (from 0) ", what));
}

}  // namespace

absl::StatusOr<TargetMap> TargetMap::Create(TargetKind kind,
                                            absl::Span<const double> targets) {
  if (targets.empty()) {
    return absl::InvalidArgumentError("there are no rows");
  }
  TargetMap map;
  map.kind_ = kind;
  std::set<double> labels;
  bool as_they_are = true;
  for (size_t row = 0; row < targets.size(); ++row) {
    const double y = targets[row];
    if (!std::isfinite(y)) return BadTarget(y, row, "is not finite");
    if (kind == TargetKind::kReal) continue;
    if (kind == TargetKind::kClass && y != std::floor(y)) {
      return BadTarget(y, row, "is no integer, as a class label must be");
    }
    if (y < 0 || y > kMaxClass) as_they_are = false;
    labels.insert(y);
    if (kind == TargetKind::kSign && labels.size() > 2) {
      return BadTarget(y, row, "is a third label, but the model is binary");
    }
    if (labels.size() > kMaxClass) {
      return BadTarget(y, row,
                       absl::StrCat("is label number ", labels.size(),
                                    "; at most ", kMaxClass, " are allowed"));
    }
  }
  if (kind == TargetKind::kReal) return map;
  if (kind == TargetKind::kClass && as_they_are) {
    map.classes_ = static_cast<int64_t>(*labels.rbegin()) + 1;
    return map;
  }
  if (kind == TargetKind::kSign && labels.size() == 1) {
    const double only = *labels.begin();
    if (only != -1 && only != 0 && only != 1) {
      return BadTarget(only, 0,
                       "is the only label there is, and not -1, 0 or 1");
    }
    labels.insert(only == 1 ? -1 : 1);
  }
  map.labels_.assign(labels.begin(), labels.end());
  map.classes_ = static_cast<int64_t>(labels.size());
  return map;
}

absl::StatusOr<TargetMap> TargetMap::CreateFor(TargetKind kind,
                                               const SourceTargets& source) {
  if (kind == TargetKind::kReal && !source.labels.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the targets are text, such as \"",
                     absl::CEscape(source.labels[0].substr(0, 40)),
                     "\", but the model wants numbers"));
  }
  PARLEY_ASSIGN_OR_RETURN(TargetMap map, Create(kind, source.values));
  if (kind == TargetKind::kClass && map.labels_.empty()) {
    map.classes_ = std::max(map.classes_, source.classes);
  }
  return map;
}

template <typename T>
absl::Status TargetMap::Apply(absl::Span<T> targets) const {
  for (size_t row = 0; row < targets.size(); ++row) {
    const double y = targets[row];
    if (kind_ == TargetKind::kReal) {
      if (!std::isfinite(y)) return BadTarget(y, row, "is not finite");
      continue;
    }
    if (labels_.empty()) {
      if (y != std::floor(y) || y < 0 || y >= static_cast<double>(classes_)) {
        return BadTarget(
            y, row, absl::StrCat("is none of the classes 0 to ", classes_ - 1));
      }
      continue;
    }
    // The labels in T's precision, as the targets have been rounded to it.
    const auto found = std::lower_bound(
        labels_.begin(), labels_.end(), y,
        [](double label, double y) { return static_cast<T>(label) < y; });
    if (found == labels_.end() || static_cast<T>(*found) != targets[row]) {
      return BadTarget(y, row,
                       "is a label that the training set does not have");
    }
    if (found + 1 != labels_.end() &&
        static_cast<T>(found[1]) == targets[row]) {
      return BadTarget(y, row, "is two labels in this precision");
    }
    const auto index = static_cast<T>(found - labels_.begin());
    targets[row] = kind_ == TargetKind::kSign ? 2 * index - 1 : index;
  }
  return absl::OkStatus();
}

template absl::Status TargetMap::Apply(absl::Span<float>) const;
template absl::Status TargetMap::Apply(absl::Span<double>) const;

}  // namespace parley
