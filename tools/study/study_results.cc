#include "tools/study/study_results.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/analysis/direction.h"
#include "common/analysis/reference.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"
#include "common/files/file_io.h"
#include "common/files/parameter_file.h"
#include "common/report/metrics_log.h"
#include "server/store/run_store.h"
#include "tools/study/cell_folder.h"
#include "tools/study/study_verdict.h"

namespace parley {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
// Of the picture of two features.
constexpr int64_t kMaxPlaneRows = 2000;
// Beyond which no offset is computed: it needs the duals more exactly than the
// gap needs the direction, and would be waited for.
constexpr int64_t kMaxOffsetRows = 5000;

// Reads metrics.jsonl.
absl::Status ReadCurve(const std::string& folder, const v1::RunConfig& config,
                       CellResult* result) {
  const double steps = static_cast<double>(LocalSteps(config.local()));
  const std::optional<double> step = ConstantStepSize(config.local());
  size_t measured = 0;
  return ForEachRound(
      absl::StrCat(folder, "/", kMetricsFile), [&](RoundReport report) {
        result->bytes += report.bytes_up + report.bytes_down;
        result->hash = report.model_hash;
        if (report.direction.empty()) return;
        std::map<std::string, double>& values = report.direction;
        const double round = static_cast<double>(report.round);
        values["round"] = round;
        values["bytes"] = static_cast<double>(result->bytes);
        if (steps > 0) values["steps"] = steps * round;
        if (step.has_value()) values["t"] = *step * steps * round;
        for (const auto& [name, value] : values) {
          std::vector<double>& column = result->columns[name];
          column.resize(measured, kNone);  // absent so far
          column.push_back(value);
        }
        ++measured;
        for (auto& [name, column] : result->columns) {
          column.resize(measured, kNone);
        }
      });
}

// The clients' rows, and what each client weighs.
struct Clients {
  std::vector<Dataset<double>> data;  // none empty
  std::vector<SignedRows> rows;       // the same
  std::vector<double> shares;
};

absl::StatusOr<Clients> LoadClients(const v1::RunConfig& config) {
  PARLEY_ASSIGN_OR_RETURN(const Partitioned<double> parts,
                          LoadAllParts<double>(config));
  Clients clients;
  double sum = 0;
  for (int64_t i = 0; i < parts.parts(); ++i) {
    const Dataset<double> data = parts.train(i);
    if (data.rows() == 0) continue;
    PARLEY_ASSIGN_OR_RETURN(SignedRows rows, SignedRows::Create(data));
    const double weight = config.aggregation().has_fed_avg()
                              ? static_cast<double>(data.rows())
                              : 1;
    clients.data.push_back(data);
    clients.rows.push_back(std::move(rows));
    clients.shares.push_back(weight);
    sum += weight;
  }
  for (double& share : clients.shares) share /= sum;
  return clients;
}

// All rows, and the weight of each in f.
struct Union {
  SignedRows rows;
  std::vector<double> weights;
};

absl::StatusOr<Union> UnionOf(const Clients& clients) {
  std::vector<double> weights;
  Examples<double> all;
  all.features = clients.data[0].features();
  all.sparse = clients.data[0].sparse();
  if (all.sparse) all.row_begin.push_back(0);
  for (size_t i = 0; i < clients.data.size(); ++i) {
    const Batch<double> batch = clients.data[i].All();
    weights.insert(weights.end(), batch.rows,
                   clients.shares[i] / static_cast<double>(batch.rows));
    all.target.insert(all.target.end(), batch.target,
                      batch.target + batch.rows);
    if (!all.sparse) {
      all.dense.insert(all.dense.end(), batch.dense,
                       batch.dense + batch.rows * batch.features);
      continue;
    }
    const int64_t begin = batch.row_begin[0];
    for (int64_t n = 0; n < batch.rows; ++n) {
      all.row_begin.push_back(static_cast<int64_t>(all.value.size()) +
                              batch.row_begin[n + 1] - begin);
    }
    all.column.insert(all.column.end(), batch.column + begin,
                      batch.column + batch.row_begin[batch.rows]);
    all.value.insert(all.value.end(), batch.value + begin,
                     batch.value + batch.row_begin[batch.rows]);
  }
  all.rows = static_cast<int64_t>(weights.size());
  PARLEY_ASSIGN_OR_RETURN(SignedRows rows,
                          SignedRows::Create(Dataset<double>(std::move(all))));
  return Union{std::move(rows), std::move(weights)};
}

// Row by row, for the picture.
void TakePlane(const Clients& clients, StudySet* set) {
  for (size_t i = 0; i < clients.data.size(); ++i) {
    for (int64_t n = 0; n < clients.data[i].rows(); ++n) {
      if (static_cast<int64_t>(set->plane.size()) >= kMaxPlaneRows) return;
      std::vector<double> x(2, 0.0);  // y·z, as z = y·x
      const double label = clients.data[i].targets()[n];
      clients.rows[i].Add(n, label, absl::MakeSpan(x));
      set->plane.push_back({x[0], x[1], label, static_cast<double>(i)});
    }
  }
}

// What theory needs of the rows. What cannot be had is left out, with its
// reason; so is what takes long, where that is not wanted.
absl::Status Analyse(const v1::RunConfig& config, bool in_full, StudySet* set) {
  PARLEY_ASSIGN_OR_RETURN(const Clients clients, LoadClients(config));
  if (clients.rows.empty()) return absl::OkStatus();
  const int64_t features = clients.rows[0].features();
  if (features == 2) TakePlane(clients, set);
  if (!in_full) {
    set->without_offset = set->without_bias = "the study was interrupted";
    return absl::OkStatus();
  }
  PARLEY_ASSIGN_OR_RETURN(const Union all, UnionOf(clients));
  const auto& [rows, weights] = all;
  const bool separable =
      set->facts.has_value() && set->facts->margin.has_value();
  if (separable && rows.rows() > kMaxOffsetRows) {
    set->without_offset = "there are too many rows";
  } else if (separable) {
    const auto svm = FindMaxMargin(rows, {.tolerance = 1e-10});
    const auto offset = svm.ok() ? FindLimitOffset(rows, weights, *svm)
                                 : absl::StatusOr<LimitOffset>(svm.status());
    if (offset.ok()) set->offset = *offset;
    set->without_offset = std::string(offset.status().message());
    if (svm.ok() && features == 2) set->limit = svm->w;
  }
  if (!set->facts.has_value() || set->facts->reference != "minimum") {
    return absl::OkStatus();
  }
  const auto minimum = FindLogisticMinimum(rows, weights);
  if (!minimum.ok() || minimum->outcome != LogisticMinimum::Outcome::kFound) {
    set->without_bias = "the minimum was not found";
    return absl::OkStatus();
  }
  set->minimum = minimum->w;
  auto bias = FirstOrderBias(clients.rows, clients.shares, minimum->w);
  if (bias.ok()) {
    set->bias = *std::move(bias);
  } else {
    set->without_bias = std::string(bias.status().message());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> LastModel(const std::string& folder) {
  PARLEY_ASSIGN_OR_RETURN(
      const NamedParameters model,
      ReadParameters(absl::StrCat(folder, "/", kModelFile)));
  const absl::Span<const double> w = model.values.As<double>();
  return std::vector<double>(w.begin(), w.end());
}

void MeasureBias(const std::string& folder, const v1::RunConfig& config,
                 const StudySet& set, CellResult* result) {
  const std::optional<double> step = ConstantStepSize(config.local());
  if (set.bias.empty() || !step.has_value() || !config.local().has_gd() ||
      config.local().proximal() != 0 ||
      config.model().logistic().loss() != v1::Logistic::LOGISTIC) {
    return;
  }
  const auto model = LastModel(folder);
  if (!model.ok() || model->size() != set.bias.size()) return;
  std::vector<double> moved = *model, predicted = set.bias;
  double product = 0;
  const double factor =
      *step * static_cast<double>(LocalSteps(config.local()) - 1) / 2;
  for (size_t i = 0; i < moved.size(); ++i) {
    moved[i] -= set.minimum[i];
    predicted[i] *= factor;
    product += moved[i] * predicted[i];
  }
  BiasResult& bias = result->bias.emplace();
  bias.measured = Norm(moved);
  bias.predicted = Norm(predicted);
  bias.cosine = product / (bias.measured * bias.predicted);
}

void FitCell(CellResult* result) {
  const std::vector<double>* const t = result->Find("t");
  const std::vector<double>* const gap = result->Find("gap");
  const std::vector<double>* const norm = result->Find("norm");
  const std::vector<double>* const loss = result->Find("log_loss");
  if (!result->margin.has_value() || t == nullptr || gap == nullptr ||
      norm == nullptr || loss == nullptr) {
    return;
  }
  const DirectionCurve curve = {*t, *gap, *norm, *loss};
  if (auto fits = FitDirection(curve, *result->margin); fits.ok()) {
    result->fits = *std::move(fits);
  }
}

std::vector<LambdaFloor> FloorsOf(const StudyResults& results) {
  std::map<std::string, std::vector<std::pair<double, double>>> found;
  for (const StudyPoint& point : results.study->cells.points) {
    const double gap = results.cells[point.cell].Last("gap");
    if (point.kind != v1::ImplicitBias::Algorithm::kModifiedLocalGd ||
        !(gap > 0)) {
      continue;
    }
    const std::string name =
        point.algorithm.substr(0, point.algorithm.find("-lnlambda"));
    const v1::ImplicitBias& sweep = results.study->config.implicit_bias();
    found[absl::StrCat(
              name, sweep.partition_size() > 1 ? ", " : "",
              sweep.partition_size() > 1 ? point.partition : "",
              sweep.seed_size() > 1 ? absl::StrCat(", seed ", point.seed) : "")]
        .emplace_back(1 / std::abs(point.log_lambda), gap);
  }
  std::vector<LambdaFloor> floors;
  for (auto& [name, values] : found) {
    if (values.size() < 2) continue;
    std::sort(values.begin(), values.end());
    LambdaFloor& floor = floors.emplace_back();
    floor.algorithm = name;
    for (const auto& [x, gap] : values) {
      floor.x.push_back(x);
      floor.gap.push_back(gap);
    }
  }
  return floors;
}

}  // namespace

double CellResult::Last(const std::string& name) const {
  const std::vector<double>* const column = Find(name);
  return column == nullptr || column->empty() ? kNone : column->back();
}

const std::vector<double>* CellResult::Find(const std::string& name) const {
  const auto it = columns.find(name);
  return it == columns.end() ? nullptr : &it->second;
}

int64_t LocalSteps(const v1::LocalAlgorithm& local) {
  if (local.has_gd()) return local.gd().steps();
  return local.has_sgd() ? local.sgd().steps() : 0;
}

std::optional<double> ConstantStepSize(const v1::LocalAlgorithm& local) {
  const int64_t steps = LocalSteps(local);
  if (steps == 0 || local.step_size().warmup_rounds() > 0) return std::nullopt;
  switch (local.step_size().schedule_case()) {
    case v1::StepSize::kConstant:
      return local.step_size().initial();
    case v1::StepSize::kOverSteps:
      return local.step_size().initial() / static_cast<double>(steps);
    default:
      return std::nullopt;
  }
}

absl::StatusOr<StudyResults> ReadStudyResults(
    const Study& study, const std::string& folder,
    const std::vector<CellState>& states, bool in_full) {
  StudyResults results;
  results.study = &study;
  std::map<std::string, int> sets;
  for (size_t i = 0; i < states.size(); ++i) {
    const Cell& cell = study.cells.cells[i];
    CellResult& result = results.cells.emplace_back();
    result.state = states[i];
    v1::RunConfig key;
    *key.mutable_data() = cell.config.data();
    *key.mutable_aggregation() = cell.config.aggregation();
    key.mutable_aggregation()->clear_optimizer();
    key.set_seed(cell.config.seed());
    const auto [it, fresh] =
        sets.emplace(key.SerializeAsString(), static_cast<int>(sets.size()));
    if (fresh) results.sets.emplace_back();
    result.set = it->second;
    if (result.state.kind != CellState::kFinished) continue;
    const std::string own = CellFolder(folder, cell);
    if (const absl::Status s = ReadCurve(own, cell.config, &result); !s.ok()) {
      result.state.kind = CellState::kFailed;
      result.state.reason = std::string(s.message());
      continue;
    }
    StudySet& set = results.sets[result.set];
    if (set.facts.has_value() && set.facts->reference != "none") continue;
    const auto file = FileReader::Open(absl::StrCat(own, "/", kDirectionFile));
    if (!file.ok()) continue;
    PARLEY_ASSIGN_OR_RETURN(const std::string text,
                            (*file)->Read(0, (*file)->size()));
    PARLEY_ASSIGN_OR_RETURN(DirectionFacts facts, DirectionFactsFromJson(text));
    // Exact solutions are of the exponential loss, of which no minimum is
    // computed; a cell with the logistic one may follow.
    if (set.facts.has_value() && facts.reference == "none") continue;
    set.facts = std::move(facts);
    PARLEY_RETURN_IF_ERROR(Analyse(cell.config, in_full, &set));
  }
  for (size_t i = 0; i < results.cells.size(); ++i) {
    CellResult& result = results.cells[i];
    const StudySet& set = results.sets[result.set];
    if (result.state.kind != CellState::kFinished || !set.facts.has_value()) {
      continue;
    }
    result.margin = set.facts->margin;
    FitCell(&result);
    MeasureBias(CellFolder(folder, study.cells.cells[i]),
                study.cells.cells[i].config, set, &result);
  }
  results.floors = FloorsOf(results);
  AddVerdict(&results);
  return results;
}

}  // namespace parley
