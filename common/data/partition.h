// How the rows of a training set are dealt out to parts, the clients' shares.
#ifndef PARLEY_COMMON_DATA_PARTITION_H_
#define PARLEY_COMMON_DATA_PARTITION_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/batch.h"

namespace parley {

// Shuffled and cut into parts of equal size, give or take one row.
struct IidPartition {};

// Each class, in ascending order of labels, is shuffled and cut by a draw of
// Dirichlet(alpha) over the parts (Hsu, Qi and Brown 2019, per class). Then,
// while a part has fewer than min_rows, the first such part gets a row, drawn
// at random, of the largest part (the first of several).
struct DirichletPartition {
  double alpha = 0;      // 1e-6..1e9
  int64_t min_rows = 1;  // >= 1
};

// Rows sorted by label, in random order within a label, are cut into
// parts × per_part shards of equal size, give or take one row, which are dealt
// out at random (McMahan et al. 2017).
struct ShardPartition {
  int64_t per_part = 2;  // >= 1
};

// Shuffled and cut into parts of sizes proportional to (i+1)^-exponent, where
// that is one row or more; the other parts get one row each. Rounded by largest
// remainder.
struct PowerLawPartition {
  double exponent = 1;  // 0..1000
};

// Line i of a text file, plain or gzip, holds the part of row i, both from 0.
// The file sets the number of parts; a part without rows is an error.
struct IndexFilePartition {
  std::string path;
};

// The part of each row is told, from 0; a part without rows is an error.
struct GroupPartition {
  std::vector<int64_t> groups;
};

// Rows in the order of strength·p + (1 − strength)·u, cut into parts of equal
// size, give or take one row; p and u are ranks in 0..1, of the row's place and
// at random.
struct FeatureShiftPartition {
  double strength = 1;         // 0..1
  std::vector<double> places;  // one a row: PlacesOf
};

struct PartitionOptions {
  // 1..1,000,000 and at most the rows; ignored by IndexFile and Group.
  int64_t parts = 10;
  std::variant<IidPartition, DirichletPartition, ShardPartition,
               PowerLawPartition, IndexFilePartition, GroupPartition,
               FeatureShiftPartition>
      kind;
};

// The rows of each part, rising. Each row is in exactly one part, and no part
// is empty.
using Partition = std::vector<std::vector<int64_t>>;

// A function of its arguments alone. InvalidArgument: an option out of range,
// more rows needed than there are, targets that are no labels where labels are
// needed, a bad index file, or groups that are not those of the rows.
absl::StatusOr<Partition> MakePartition(const PartitionOptions& options,
                                        absl::Span<const double> targets,
                                        uint64_t seed);

// The product of each row with a direction drawn by seed, the same on every
// machine to the last bit: all must deal alike.
std::vector<double> PlacesOf(const Batch<double>& rows, uint64_t seed);

// A part's rows as (training rows, held-out rows), both rising. `share`,
// 0 <= share < 1, of the rows, rounded to the nearest, is held out, but one row
// is always left to train on. Drawn by seed and part index; a client with data
// of its own counts as part 0.
std::pair<std::vector<int64_t>, std::vector<int64_t>> SplitHeldOut(
    absl::Span<const int64_t> rows, double share, uint64_t seed, int64_t part);

// How many rows of each label each part has.
struct LabelHistogram {
  std::vector<double> labels;                // rising
  std::vector<std::vector<int64_t>> counts;  // [part][label]
};
// Empty where there are more than 1,000 labels: not a classification.
LabelHistogram CountLabels(const Partition& partition,
                           absl::Span<const double> targets);

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_PARTITION_H_
