#include "server/round/direction_meter.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/analysis/direction_spread.h"
#include "common/analysis/reference.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"
#include "common/files/file_io.h"
#include "server/round/measured_rounds.h"
#include "server/round/next_values.h"
#include "server/store/recorded_run.h"

namespace parley {
namespace {

// A direction within ε of the largest margin is within √(2ε) of that one's.
// Of the clients' own there may be many, and their mean needs fewer digits.
constexpr MaxMarginOptions kClientMargin = {.tolerance = 1e-8,
                                            .max_epochs = 20000};
constexpr double kFineTolerance = 1e-12;

// For a direction that is known already to be known better: some seconds.
int64_t FineEpochs(const SignedRows& rows) {
  const int64_t epoch = std::min(rows.stored(), rows.rows() * rows.rows());
  return std::clamp<int64_t>(1'000'000'000 / std::max<int64_t>(epoch, 1), 100,
                             100'000);
}

MarginLoss LossOf(const v1::RunConfig& config) {
  return config.model().logistic().loss() == v1::Logistic::EXPONENTIAL
             ? MarginLoss::kExponential
             : MarginLoss::kLogistic;
}

bool AnyCounted(const v1::RoundCommitted& round) {
  return std::any_of(round.outcomes().begin(), round.outcomes().end(),
                     [](const v1::TaskOutcome& outcome) {
                       return outcome.kind() == v1::TRAIN && outcome.counted();
                     });
}

// Whether the strategy counts clients, whatever their number of rows.
bool ClientsAlike(const v1::Aggregation& aggregation) {
  return aggregation.has_uniform() || aggregation.has_median() ||
         aggregation.has_trimmed_mean();
}

}  // namespace

DirectionMeter::DirectionMeter(DirectionMeterOptions options)
    : options_(std::move(options)), loss_(LossOf(options_.config)) {
  const v1::LocalAlgorithm& local = options_.config.local();
  if (local.has_gd()) local_steps_ = local.gd().steps();
  if (local.has_sgd()) local_steps_ = local.sgd().steps();
}

bool DirectionMeter::IsDue(int64_t round) const {
  const v1::DirectionGap& gap = options_.config.diagnostics().direction_gap();
  return IsMeasured(round, gap.per_decade()) ||
         round >= options_.config.stop().rounds();
}

absl::StatusOr<std::string> DirectionMeter::PrepareNext() {
  switch (next_) {
    case Stage::kLoad:
      PARLEY_RETURN_IF_ERROR(Load());
      next_ = Stage::kReference;
      return absl::StrCat("looks for the limit of centralized training on ",
                          facts_.rows, " rows × ", facts_.features,
                          " features");
    case Stage::kReference:
      PARLEY_RETURN_IF_ERROR(FindReference());
      drift_ = std::make_unique<ClientDrift>(reference_);
      if (margin_ == 0) break;
      next_ = Stage::kSpread;
      return absl::StrCat("finds the own directions of ", facts_.clients,
                          " clients");
    case Stage::kSpread:
      PARLEY_RETURN_IF_ERROR(MeasureSpread());
      break;
    case Stage::kCentralized:
      PARLEY_RETURN_IF_ERROR(BeginCentralized());
      PARLEY_RETURN_IF_ERROR(WriteFacts());
      parts_.reset();
      next_ = Stage::kReady;
      return "";
    case Stage::kReady:
      return "";
  }
  next_ = Stage::kCentralized;
  if (!options_.config.diagnostics().direction_gap().centralized()) {
    return PrepareNext();
  }
  return absl::StrCat(
      "begins centralized descent",
      options_.committed_rounds == 0
          ? ""
          : absl::StrCat(", with the steps of ", options_.committed_rounds,
                         " rounds again"));
}

absl::Status DirectionMeter::Load() {
  PARLEY_ASSIGN_OR_RETURN(
      parts_, LoadAllParts<double>(options_.config, options_.parallel));
  PARLEY_ASSIGN_OR_RETURN(rows_, SignedRows::Create(parts_->Training()));
  facts_.rows = rows_->rows();
  facts_.features = rows_->features();
  facts_.clients = parts_->parts();
  facts_.clients_alike = ClientsAlike(options_.config.aggregation());
  for (int64_t part = 0; part < parts_->parts(); ++part) {
    const int64_t rows = parts_->train(part).rows();
    const int64_t of =
        facts_.clients_alike ? rows * parts_->parts() : facts_.rows;
    weights_.insert(weights_.end(), rows, 1 / static_cast<double>(of));
  }
  return absl::OkStatus();
}

absl::Status DirectionMeter::FindReference() {
  PARLEY_ASSIGN_OR_RETURN(
      Reference found, parley::FindReference(*rows_, weights_, {},
                                             [this] { return !cancelled_; }));
  facts_.verdict = ToString(found);
  facts_.margin_bound = found.margin_bound;
  facts_.reference = "none";
  switch (found.verdict) {
    case Separability::kUndecided:
      facts_.without = "whether the rows are separable was not found out";
      return absl::OkStatus();
    case Separability::kSeparable:
      facts_.reference = "max-margin";
      PARLEY_RETURN_IF_ERROR(Refine(&found));
      facts_.verdict = ToString(found);
      facts_.margin = margin_ = found.margin;
      facts_.margin_bound = found.margin_bound;
      break;
    case Separability::kNotSeparable:
      if (found.w.empty()) {
        facts_.without =
            "the loss has no minimum, as a feature or a sum of some occurs "
            "with one label alone";
        return absl::OkStatus();
      }
      if (loss_ != MarginLoss::kLogistic) {
        facts_.without =
            "of rows that are not separable only the minimum of the LOGISTIC "
            "loss is computed";
        return absl::OkStatus();
      }
      if (Norm(found.w) == 0) {
        facts_.without = "the loss is least at 0, which has no direction";
        return absl::OkStatus();
      }
      facts_.reference = "minimum";
      facts_.least_loss = found.loss;
      break;
  }
  reference_ = std::move(found.w);
  return absl::OkStatus();
}

absl::Status DirectionMeter::Refine(Reference* found) {
  PARLEY_ASSIGN_OR_RETURN(MaxMargin fine,
                          FindMaxMargin(*rows_,
                                        {.tolerance = kFineTolerance,
                                         .max_epochs = FineEpochs(*rows_)},
                                        [this] { return !cancelled_; }));
  if (fine.verdict != Separability::kSeparable) return absl::OkStatus();
  found->w = std::move(fine.w);
  found->margin = fine.margin;
  found->margin_bound = fine.margin_bound;
  return absl::OkStatus();
}

absl::Status DirectionMeter::MeasureSpread() {
  std::vector<SignedRows> clients;
  for (int64_t part = 0; part < parts_->parts(); ++part) {
    PARLEY_ASSIGN_OR_RETURN(SignedRows rows,
                            SignedRows::Create(parts_->train(part)));
    clients.push_back(std::move(rows));
  }
  PARLEY_ASSIGN_OR_RETURN(
      const DirectionSpread spread,
      SpreadOfDirections(clients, reference_, {.max_margin = kClientMargin},
                         options_.parallel, [this] { return !cancelled_; }));
  if (spread.separable > 0) {
    facts_.heterogeneity_mean = spread.mean;
    facts_.heterogeneity_max = spread.max;
  }
  facts_.clients_separable = spread.separable;
  facts_.clients_not_separable = spread.not_separable;
  facts_.clients_undecided = spread.undecided;
  return absl::OkStatus();
}

absl::Status DirectionMeter::BeginCentralized() {
  if (!options_.config.diagnostics().direction_gap().centralized()) {
    return absl::OkStatus();
  }
  facts_.centralized = true;
  facts_.local_steps = local_steps_;
  CentralizedDescentOptions options;
  options.loss = loss_;
  options.seed = options_.config.seed();
  if (options_.config.local().has_sgd()) {
    // What the clients' steps look at together.
    const int64_t batch = options_.config.local().sgd().batch_size();
    for (int64_t part = 0; part < parts_->parts(); ++part) {
      options.batch_rows += std::min(batch, parts_->train(part).rows());
    }
  }
  const absl::Span<const double> start = options_.start.As<double>();
  by_steps_ = std::make_unique<CentralizedDescent>(
      *rows_, weights_, std::vector<double>(start.begin(), start.end()),
      options);
  // A copy: its Gram matrix takes long to make.
  if (local_steps_ > 1) {
    by_rounds_ = std::make_unique<CentralizedDescent>(*by_steps_);
  }
  return Retake();
}

absl::Status DirectionMeter::Retake() {
  if (options_.committed_rounds == 0) return absl::OkStatus();
  PARLEY_ASSIGN_OR_RETURN(const RecordedRun past,
                          ReadRecordedRun(options_.folder));
  std::map<std::string, double> values;
  for (const auto& [number, round] : past.rounds) {
    if (number > options_.committed_rounds || !round.committed) break;
    if (AnyCounted(*round.committed)) RoundTaken(number, values);
    values = {round.committed->next_values().begin(),
              round.committed->next_values().end()};
  }
  return CatchUp();
}

absl::Status DirectionMeter::WriteFacts() {
  facts_.start_hash = options_.start.Hash();
  if (options_.folder.empty()) return absl::OkStatus();
  const std::string path = absl::StrCat(options_.folder, "/", kDirectionFile);
  if (options_.committed_rounds > 0) {
    PARLEY_ASSIGN_OR_RETURN(const DirectionFacts before, ReadDirection(path));
    if (before.start_hash != facts_.start_hash) {
      return absl::FailedPreconditionError(
          "the model that the run started from is not what it was then: bring "
          "the file or the run back that `start` names");
    }
  }
  return ReplaceFile(path, ToJsonText(facts_));
}

double DirectionMeter::LogStepSize(
    int64_t round, const std::map<std::string, double>& values) const {
  const v1::StepSize& step_size = options_.config.local().step_size();
  for (const v1::RoundValue& value : options_.config.round_values()) {
    if (value.name() != "step_size") continue;
    return std::log(value.initial()) +
           static_cast<double>(round - 1) * std::log(value.factor());
  }
  double log_step = std::log(StepSizeOf(step_size, round, local_steps_));
  if (step_size.has_loss_normalised()) {
    const auto it = values.find(kLogLoss);
    if (it != values.end()) log_step -= it->second;
  }
  return log_step;
}

void DirectionMeter::RoundTaken(int64_t round,
                                const std::map<std::string, double>& values) {
  if (by_steps_ != nullptr) log_steps_.push_back(LogStepSize(round, values));
}

absl::Status DirectionMeter::CatchUp() {
  const auto keep_going = [this] { return !cancelled_; };
  for (const double log_step : log_steps_) {
    PARLEY_RETURN_IF_ERROR(by_steps_->Take(local_steps_, log_step, keep_going));
    if (by_rounds_ == nullptr) continue;
    PARLEY_RETURN_IF_ERROR(by_rounds_->Take(1, log_step, keep_going));
  }
  log_steps_.clear();
  return absl::OkStatus();
}

void DirectionMeter::Observe(int64_t round, const UpdateView& update,
                             const ParameterVector& model) {
  if (IsDue(round)) drift_->Add(update, model.As<double>());
}

absl::StatusOr<std::map<std::string, double>> DirectionMeter::Measure(
    const ParameterVector& model) {
  PARLEY_RETURN_IF_ERROR(CatchUp());
  if (cancelled_) return absl::CancelledError("the run is over");
  const absl::Span<const double> w = model.As<double>();
  std::map<std::string, double> numbers = drift_->Numbers();
  drift_->Clear();
  const std::vector<double> margins = rows_->Margins(w);
  const double norm = Norm(w);
  numbers["norm"] = norm;
  if (w.size() == 2) {
    numbers["w0"] = w[0];
    numbers["w1"] = w[1];
  }
  numbers["log_loss"] = LogLoss(loss_, margins, weights_);
  if (!reference_.empty()) numbers["gap"] = DirectionGap(w, reference_);
  if (margin_ > 0) {
    const double margin =
        *std::min_element(margins.begin(), margins.end()) / norm;
    numbers["margin"] = margin;
    numbers["margin_share"] = margin / margin_;
  } else if (!reference_.empty()) {
    numbers["distance"] = Distance(w, reference_);
  }
  CompareWithCentralized(w, &numbers);
  return numbers;
}

void DirectionMeter::CompareWithCentralized(
    absl::Span<const double> w, std::map<std::string, double>* numbers) const {
  if (by_steps_ == nullptr) return;
  const std::vector<double> steps = by_steps_->w();
  const std::vector<double> rounds =
      by_rounds_ == nullptr ? steps : by_rounds_->w();
  (*numbers)["centralized_rounds_gap"] = DirectionGap(w, rounds);
  (*numbers)["centralized_steps_gap"] = DirectionGap(w, steps);
  (*numbers)["centralized_steps_distance"] = Distance(w, steps);
  if (reference_.empty()) return;
  (*numbers)["centralized_rounds_reference_gap"] =
      DirectionGap(rounds, reference_);
  (*numbers)["centralized_steps_reference_gap"] =
      DirectionGap(steps, reference_);
}

}  // namespace parley
