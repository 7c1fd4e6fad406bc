#include "common/data/partitioned.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

// The wanted rows with targets as the model takes them.
template <typename T>
absl::StatusOr<Dataset<T>> Load(const DataPlan& plan,
                                const PlannedData& planned, RowFilter filter,
                                Executor* executor) {
  PARLEY_ASSIGN_OR_RETURN(Examples<T> examples,
                          LoadRows<T>(plan.source, filter, executor));
  PARLEY_RETURN_IF_ERROR(
      planned.classes.Apply(absl::MakeSpan(examples.target)));
  return Dataset<T>(std::move(examples));
}

}  // namespace

template <typename T>
Partitioned<T>::Partitioned(const Dataset<T>& all, const Partition& partition,
                            double held_out, uint64_t seed) {
  std::vector<int64_t> order;
  order.reserve(all.rows());
  begin_.push_back(0);
  for (size_t part = 0; part < partition.size(); ++part) {
    const auto [train, held] =
        SplitHeldOut(partition[part], held_out, seed, part);
    for (const std::vector<int64_t>& piece : {train, held}) {
      order.insert(order.end(), piece.begin(), piece.end());
      begin_.push_back(static_cast<int64_t>(order.size()));
    }
  }
  rows_ = all.Select(order);
}

template <typename T>
Dataset<T> Partitioned<T>::Training() const {
  std::vector<int64_t> rows;
  for (size_t i = 0; i + 1 < begin_.size(); i += 2) {
    for (int64_t row = begin_[i]; row < begin_[i + 1]; ++row) {
      rows.push_back(row);
    }
  }
  if (static_cast<int64_t>(rows.size()) == rows_.rows()) return rows_;
  return rows_.Select(rows);
}

absl::StatusOr<PlannedData> PlanData(const DataPlan& plan, TargetKind kind) {
  if (!(plan.held_out >= 0 && plan.held_out < 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "held_out is ", plan.held_out, "; allowed: at least 0 and under 1"));
  }
  PARLEY_ASSIGN_OR_RETURN(SourceTargets targets, LoadTargets(plan.source));
  PARLEY_ASSIGN_OR_RETURN(TargetMap classes,
                          TargetMap::CreateFor(kind, targets));
  PartitionOptions options = plan.partition;
  if (auto* told = std::get_if<GroupPartition>(&options.kind)) {
    told->groups = std::move(targets.groups);
  } else if (auto* shift = std::get_if<FeatureShiftPartition>(&options.kind)) {
    PARLEY_ASSIGN_OR_RETURN(Examples<double> rows,
                            LoadRows<double>(plan.source));
    shift->places = PlacesOf(Dataset<double>(std::move(rows)).All(), plan.seed);
  }
  PARLEY_ASSIGN_OR_RETURN(Partition partition,
                          MakePartition(options, targets.values, plan.seed));
  return PlannedData{targets.features, std::move(targets.values),
                     std::move(classes), std::move(partition)};
}

template <typename T>
absl::StatusOr<PartData<T>> LoadPart(const DataPlan& plan,
                                     const PlannedData& planned, int64_t part) {
  const auto parts = static_cast<int64_t>(planned.partition.size());
  if (part < 0 || part >= parts) {
    return absl::InvalidArgumentError(absl::StrCat(
        "part ", part, " is wanted, but the parts are 0 to ", parts - 1));
  }
  const std::vector<int64_t>& rows = planned.partition[part];
  PARLEY_ASSIGN_OR_RETURN(Dataset<T> data,
                          Load<T>(plan, planned, RowFilter(rows), nullptr));
  std::vector<int64_t> all(rows.size());
  std::iota(all.begin(), all.end(), 0);
  const auto [train, held] = SplitHeldOut(all, plan.held_out, plan.seed, part);
  if (held.empty()) return PartData<T>{data, data.Slice(0, 0)};
  return PartData<T>{data.Select(train), data.Select(held)};
}

template <typename T>
absl::StatusOr<Partitioned<T>> LoadAllParts(const DataPlan& plan,
                                            const PlannedData& planned,
                                            Executor* executor) {
  PARLEY_ASSIGN_OR_RETURN(const Dataset<T> all,
                          Load<T>(plan, planned, RowFilter(), executor));
  return Partitioned<T>(all, planned.partition, plan.held_out, plan.seed);
}

template class Partitioned<float>;
template class Partitioned<double>;
template absl::StatusOr<PartData<float>> LoadPart(const DataPlan&,
                                                  const PlannedData&, int64_t);
template absl::StatusOr<PartData<double>> LoadPart(const DataPlan&,
                                                   const PlannedData&, int64_t);
template absl::StatusOr<Partitioned<float>> LoadAllParts(const DataPlan&,
                                                         const PlannedData&,
                                                         Executor*);
template absl::StatusOr<Partitioned<double>> LoadAllParts(const DataPlan&,
                                                          const PlannedData&,
                                                          Executor*);

}  // namespace parley
