// Training sets of one run: all parts in one memory, or one part alone.
#ifndef PARLEY_COMMON_DATA_PARTITIONED_H_
#define PARLEY_COMMON_DATA_PARTITIONED_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/data/partition.h"
#include "common/data/source.h"
#include "common/data/targets.h"

namespace parley {

// All parts of a set, laid out one after another, so that each is a slice and
// thousands of clients share one memory. Immutable and thread-safe.
template <typename T>
class Partitioned {
 public:
  // Copies the rows of `all` once, in their new order; SplitHeldOut tells which
  // of a part's rows are held out.
  Partitioned(const Dataset<T>& all, const Partition& partition,
              double held_out, uint64_t seed);

  int64_t parts() const { return static_cast<int64_t>(begin_.size()) / 2; }
  Dataset<T> train(int64_t part) const { return Piece(2 * part); }
  // The training rows of all parts, one part after another; copies them where
  // rows are held out.
  Dataset<T> Training() const;
  Dataset<T> held_out(int64_t part) const { return Piece(2 * part + 1); }

 private:
  Dataset<T> Piece(int64_t i) const {
    return rows_.Slice(begin_[i], begin_[i + 1]);
  }

  Dataset<T> rows_;
  // Piece 2p is part p's training rows, 2p + 1 its held-out rows.
  std::vector<int64_t> begin_;  // 2·parts + 1
};

// Where a run's training rows come from and how they are dealt out.
struct DataPlan {
  DataSource source;
  // The groups of a GroupPartition, and the places of a FeatureShiftPartition,
  // are the source's.
  PartitionOptions partition;
  double held_out = 0;  // share of a part's rows, 0 <= x < 1
  uint64_t seed = 1;
};

// What every process of a run finds out alike, before it takes its rows.
struct PlannedData {
  int64_t features = 0;
  std::vector<double> targets;  // of all rows, as the source has them
  TargetMap classes;
  Partition partition;
};

// All of these: InvalidArgument where the plan is out of range or does not fit
// the data or `kind`; otherwise as the loaders.
absl::StatusOr<PlannedData> PlanData(const DataPlan& plan, TargetKind kind);

template <typename T>
struct PartData {
  Dataset<T> train;
  Dataset<T> held_out;
};

// Loads the rows of part `part` alone. The same rows in the same order as
// LoadAllParts has them.
template <typename T>
absl::StatusOr<PartData<T>> LoadPart(const DataPlan& plan,
                                     const PlannedData& planned, int64_t part);

// What can be done by several threads is done on those of the executor.
template <typename T>
absl::StatusOr<Partitioned<T>> LoadAllParts(const DataPlan& plan,
                                            const PlannedData& planned,
                                            Executor* executor = nullptr);

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_PARTITIONED_H_
