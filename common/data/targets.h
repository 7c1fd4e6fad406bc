// The targets of a whole source, known before (and without) its features, and
// how they become what a model takes.
#ifndef PARLEY_COMMON_DATA_TARGETS_H_
#define PARLEY_COMMON_DATA_TARGETS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/model.h"

namespace parley {

// What all processes of a run have to agree on before they take their parts.
struct SourceTargets {
  int64_t features = 0;
  std::vector<double> values = {};  // one a row, as the source has them
  // Where the source itself knows of classes 0, 1, ..., how many; its rows may
  // show fewer. Else 0.
  int64_t classes = 0;
  // Where they are texts or characters: those of the classes, rising.
  std::vector<std::string> labels = {};
  std::vector<std::string> columns = {};  // the features' names, or empty
  // What CsvOptions::group asks for: of each row, the place of its value among
  // all values, from 0. Else empty.
  std::vector<int64_t> groups = {};
};

// Made from all training targets and then applied to each part and to the test
// set, so that the same label means the same everywhere, also where a part has
// one label only. Immutable and thread-safe.
class TargetMap {
 public:
  // The highest class number allowed: more is taken for a mistake, as each
  // class costs the model parameters.
  static constexpr int64_t kMaxClass = (1 << 20) - 1;

  // kSign: two distinct labels become −1 and +1 by order; a single one must be
  // −1, 0 or +1, where 0 becomes −1. kClass: integers of 0..kMaxClass stay as
  // they are; where there are others, all are ranked. kReal: any finite number.
  // InvalidArgument: labels that do not fit, naming the first one and its row;
  // or no targets.
  static absl::StatusOr<TargetMap> Create(TargetKind kind,
                                          absl::Span<const double> targets);

  // The same for a source, with all the classes that it knows of.
  // InvalidArgument also: kReal, but the targets are texts.
  static absl::StatusOr<TargetMap> CreateFor(TargetKind kind,
                                             const SourceTargets& source);

  // kClass: highest class + 1, or more where the source knows of more; kSign:
  // 2; kReal: 0.
  int64_t classes() const { return classes_; }

  // In place. InvalidArgument: a target that the map does not know, by row.
  template <typename T>
  absl::Status Apply(absl::Span<T> targets) const;

 private:
  TargetMap() = default;

  TargetKind kind_ = TargetKind::kReal;
  int64_t classes_ = 0;
  std::vector<double> labels_;  // rising; the i-th becomes i (kSign: 2i − 1).
                                // kClass with labels as they are: empty
};

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_TARGETS_H_
