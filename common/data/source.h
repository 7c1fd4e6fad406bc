// One way to load whatever a run file names as its data: first the targets of
// all rows, from which every process makes the same partition, then the rows
// that are wanted.
#ifndef PARLEY_COMMON_DATA_SOURCE_H_
#define PARLEY_COMMON_DATA_SOURCE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "common/data/cifar10.h"
#include "common/data/csv.h"
#include "common/data/dataset.h"
#include "common/data/generators.h"
#include "common/data/idx.h"
#include "common/data/image_shape.h"
#include "common/data/libsvm.h"
#include "common/data/row_filter.h"
#include "common/data/targets.h"
#include "common/data/text.h"

namespace parley {

struct DataSource {
  std::variant<LibsvmOptions, IdxOptions, CsvOptions, Cifar10Options,
               TextOptions, SeparableOptions, MixtureOptions, RegressionOptions>
      kind;
  // For generators: the run's seed, and which sample of it ("train", "test").
  uint64_t seed = 1;
  std::string split = "train";
};

// Statuses here and of LoadRows: as the loader of that kind.
absl::StatusOr<SourceTargets> LoadTargets(const DataSource& source);
// What its rows show, from headers alone; none where they are no images, or
// images of a shape that the source does not tell. Statuses: as the loader.
absl::StatusOr<std::optional<ImageShape>> ImageShapeOf(
    const DataSource& source);

// Targets are as the source has them. The executor is for generators.
template <typename T>
absl::StatusOr<Examples<T>> LoadRows(const DataSource& source,
                                     RowFilter filter = RowFilter(),
                                     Executor* executor = nullptr);

// The source, told what it cannot know by itself where it goes with a training
// set: how many features there are (a LIBSVM file may show fewer), and which (a
// CSV file may have more); what the texts among its labels stand for; the
// alphabet.
DataSource ReadLike(DataSource source, const SourceTargets& train);

// A whole set that goes with a training set. InvalidArgument where features or
// labels differ; otherwise as LoadRows.
template <typename T>
absl::StatusOr<Dataset<T>> LoadTestSet(DataSource source,
                                       const SourceTargets& train,
                                       const TargetMap& classes);

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_SOURCE_H_
