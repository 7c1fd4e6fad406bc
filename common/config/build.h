// From a run's configuration to the objects that it names.
#ifndef PARLEY_COMMON_CONFIG_BUILD_H_
#define PARLEY_COMMON_CONFIG_BUILD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/analysis/direction.h"
#include "common/analysis/exact_prox.h"
#include "common/config/facts.h"
#include "common/data/dataset.h"
#include "common/data/partition.h"
#include "common/data/partitioned.h"
#include "common/model/local_solver.h"
#include "common/model/model.h"
#include "parley/v1/run.pb.h"

namespace parley {

// All of these take a configuration that passed ValidateRun, defaults filled
// in. T agrees with config.precision.

DType DTypeOf(const v1::RunConfig& config);

// InvalidArgument: the model is custom, or its features or classes are unknown.
absl::StatusOr<ModelOptions> ModelOptionsOf(const v1::RunConfig& config,
                                            const DataFacts& facts);

// Of local.exact_prox; nullopt without it.
std::optional<ExactProxOptions> ExactProxOptionsOf(
    const v1::LocalAlgorithm& local);

// Of a logistic model without a bias in FLOAT64, which may be looked at by its
// margins; nullopt of any other.
std::optional<MarginLoss> MarginLossOf(const v1::RunConfig& config);

// Of the steps that all other local algorithms take.
LocalSolverOptions SolverOptionsOf(const v1::LocalAlgorithm& local);

// The local step size η in round `round`, from 1, of a client that takes
// `local_steps` steps (PlannedSteps): the formulas of run.proto with
// t = round − 1, but without the f of loss_normalised.
double StepSizeOf(const v1::StepSize& step_size, int64_t round,
                  int64_t local_steps);

// How data.train is dealt out. FailedPrecondition: there is no data.train.
absl::StatusOr<DataPlan> DataPlanOf(const v1::RunConfig& config);

// How many rows of each label of data.train each part has, the held-out ones
// included. Errors as LoadPart; reads the labels alone where they stand alone.
absl::StatusOr<LabelHistogram> CountLabelsOf(const v1::RunConfig& config);

// Rows of data.train with targets as the model takes them: part `part`, from 0,
// without the memory of the others; or all parts in one memory.
// InvalidArgument: the data does not fit the configuration; FailedPrecondition:
// there is no data.train; OutOfRange: no such part; others as LoadRows.
template <typename T>
absl::StatusOr<PartData<T>> LoadPart(const v1::RunConfig& config, int64_t part);
template <typename T>
absl::StatusOr<Partitioned<T>> LoadAllParts(const v1::RunConfig& config,
                                            Executor* executor = nullptr);

// data.test, with the columns and classes of data.train or of config.model.
// FailedPrecondition: there is no data.test.
template <typename T>
absl::StatusOr<Dataset<T>> LoadTest(const v1::RunConfig& config);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_BUILD_H_
