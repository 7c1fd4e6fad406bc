// What a run's configuration and its data together say about the model.
#ifndef PARLEY_COMMON_CONFIG_FACTS_H_
#define PARLEY_COMMON_CONFIG_FACTS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/data/image_shape.h"
#include "common/data/source.h"
#include "common/data/targets.h"
#include "common/model/model.h"
#include "parley/v1/run.pb.h"

namespace parley {

// 0 stands for unknown or none.
struct DataFacts {
  int64_t features = 0;
  int64_t classes = 0;    // 0 also for real targets; 2 for logistic
  int64_t rows = 0;       // of data.train
  int64_t parts = 0;      // of data.train
  ImageShape image = {};  // of a cnn
};

// The labels that a run's model takes; kReal, which is any, for a custom one.
TargetKind TargetKindOf(const v1::Model& model);

// Where the rows of data.train or data.test come from. `split` is "train" or
// "test". data.train may show fewer columns than its model.features.
DataSource SourceOf(const v1::RunConfig& config, const v1::Source& source,
                    const char* split);

// What the model itself states.
DataFacts StatedFacts(const v1::Model& model);

// Reads the labels of data.train and, of IDX images, the header alone; other
// files cost a pass. Without data.train the facts are those that the model
// states. `config` has its defaults filled in.
// InvalidArgument: the data and the configuration contradict each other; others
// as LoadTargets.
absl::StatusOr<DataFacts> ProbeData(const v1::RunConfig& config);

// Writes the facts into config->model, where clients find them that have no
// access to data.train, and where ProbeData checks them.
void StateFacts(const DataFacts& facts, v1::RunConfig* config);

// InvalidArgument unless data of so many columns and classes fits what `config`
// states of its model, as far as it does.
absl::Status CheckFacts(const v1::RunConfig& config, int64_t features,
                        int64_t classes);

// InvalidArgument unless the images of `source`, as far as it tells, are of the
// shape that a cnn in `config` states, as far as it does. Others as
// ImageShapeOf.
absl::Status CheckImages(const v1::RunConfig& config, const DataSource& source);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_FACTS_H_
