#include "server/round/round_flow.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"
#include "server/round/measured_rounds.h"

namespace parley {
namespace {

v1::Encoding EncodingOr(v1::Encoding wanted, DType dtype) {
  if (wanted != v1::ENCODING_UNSPECIFIED) return wanted;
  return dtype == DType::kFloat32 ? v1::ENCODING_FLOAT32 : v1::ENCODING_FLOAT64;
}

std::optional<double> Value(const std::map<std::string, double>& values,
                            const std::string& name) {
  const auto it = values.find(name);
  if (it == values.end()) return std::nullopt;
  return it->second;
}

}  // namespace

RoundFlow::RoundFlow(RoundContext* context)
    : context_(*context),
      config_(context->options.config),
      committed_(context->options.committed_rounds),
      next_values_(committed_ == 0 ? FirstValues(config_)
                                   : context->options.next_values) {}

void RoundFlow::Begin() {
  if (config_.stop().wall_seconds() > 0 && !IsReplay()) {
    wall_end_ = context_.out.now - context_.options.elapsed +
                absl::Seconds(config_.stop().wall_seconds());
  }
  if (!IsReplay() && committed_ >= config_.stop().rounds()) {
    EndRun({v1::FINISHED, "all rounds were done already"});
    return;
  }
  if (MeasuresDirection()) {
    preparing_ = true;
    context_.out.Add(effect::PrepareDirection{});
  }
  context_.out.Say(WaitsFor());
}

Phase* RoundFlow::phase() {
  return evaluate_ != nullptr ? evaluate_.get() : train_.get();
}

void RoundFlow::Advance() {
  if (context_.out.now >= wall_end_ && !end_) {
    Stop(v1::FINISHED, "stop.wall_seconds have passed");
  }
  bool moved = true;
  while (moved && stage_ != Stage::kEnded) {
    moved = false;
    if (phase() != nullptr) phase()->Pump();
    switch (stage_) {
      case Stage::kWaiting:
        moved = TryOpenRound();
        break;
      case Stage::kTraining:
        switch (train_->outcome()) {
          case Phase::Outcome::kOpen:
            break;
          case Phase::Outcome::kFull:
            CloseTraining();
            moved = true;
            break;
          case Phase::Outcome::kTooFew:
            GiveUpTraining();
            moved = true;
            break;
        }
        break;
      case Stage::kEvaluating: {
        const bool open = evaluate_ != nullptr &&
                          evaluate_->outcome() == Phase::Outcome::kOpen;
        if (!open && !central_pending_ && !direction_pending_) {
          EndEvaluation("too few clients evaluated the model");
          moved = true;
        }
        break;
      }
      case Stage::kAggregating:
      case Stage::kEnded:
        break;
    }
  }
}

// ------------------------------------------------------------------- opening

bool RoundFlow::TryOpenRound() {
  if (IsReplay()) {
    const auto& script = context_.options.script;
    if (script_next_ == script.size()) {
      EndRun({v1::FINISHED, "all recorded rounds were replayed"});
      return true;
    }
    const v1::RoundOpened& recorded = script[script_next_++];
    round_ = recorded.round();
    std::vector<std::string> members;
    for (const v1::CohortMember& member : recorded.cohort()) {
      members.push_back(member.client());
    }
    const auto all = static_cast<int32_t>(members.size());
    OpenRound(std::move(members), {all, all});
    return true;
  }
  if (preparing_) return false;
  const int64_t registered = context_.pool.size();
  if (registered < std::max(1, config_.cohort().min())) return false;
  round_ = committed_ + 1;
  const CohortSize size = SizeCohort(config_.cohort(), registered);
  OpenRound(DrawCohort(context_.pool, size.asked, config_.seed(), round_),
            size);
  return true;
}

void RoundFlow::OpenRound(std::vector<std::string> members, CohortSize size) {
  opened_.Clear();
  opened_.set_round(round_);
  for (const std::string& name : members) {
    v1::CohortMember& member = *opened_.add_cohort();
    member.set_client(name);
    const Client* client = context_.registry.Find(name);
    if (client != nullptr && client->part) member.set_part(*client->part);
  }
  v1::JournalRecord record;
  *record.mutable_round_opened() = opened_;
  context_.out.Add(effect::Record{std::move(record)});

  central_.reset();
  direction_.clear();
  skipped_ = false;
  up_before_ = context_.bytes_up;
  down_before_ = context_.bytes_down;
  section_seconds_.clear();
  section_start_ = context_.out.now;
  stage_ = Stage::kTraining;

  Phase::Options options = PhaseOptions(v1::TRAIN);
  options.members = std::move(members);
  options.needed = size.needed;
  options.quorum = IsReplay() || size.needed == 0
                       ? size.needed
                       : ShareOf(config_.cohort().quorum(), size.needed);
  train_ = std::make_unique<Phase>(std::move(options), &context_);
}

Phase::Options RoundFlow::PhaseOptions(v1::TaskKind kind) const {
  const v1::Cohort& cohort = config_.cohort();
  const bool train = kind == v1::TRAIN;
  const DType dtype = context_.options.spec.dtype();
  Phase::Options options;
  v1::Task& task = options.task;
  task.mutable_task()->set_run(context_.options.run);
  task.mutable_task()->set_term(context_.options.term);
  task.mutable_task()->set_round(round_);
  task.mutable_task()->set_phase(train ? 0 : 1);
  task.set_kind(kind);
  task.set_model_version(train ? round_ - 1 : round_);
  *task.add_payloads() = PayloadFor(kModelPayload, context_.options.spec,
                                    EncodingOr(config_.wire().down(), dtype));
  for (const v1::RoundValue& value : config_.round_values()) {
    const double factor = value.has_factor() ? value.factor() : 1;
    (*task.mutable_values())[value.name()] =
        value.initial() * std::pow(factor, static_cast<double>(round_ - 1));
  }
  if (train) {
    task.mutable_values()->insert(next_values_.begin(), next_values_.end());
  }
  task.set_update_encoding(EncodingOr(config_.wire().up(), dtype));
  if (IsReplay()) {
    options.wait = true;
    return options;
  }
  if (cohort.deadline_seconds() > 0) {
    options.deadline =
        context_.out.now + absl::Seconds(cohort.deadline_seconds());
  }
  options.wait = cohort.too_few() != v1::Cohort::SKIP &&
                 cohort.too_few() != v1::Cohort::FAIL;
  options.replace = options.wait;
  return options;
}

// ------------------------------------------------------------------ training

void RoundFlow::CloseTraining() {
  train_->Close();
  EndSection("train");
  if (train_->whole() == 0) {  // a recorded round that was skipped
    skipped_ = true;
    BeginEvaluation(false);
    return;
  }
  stage_ = Stage::kAggregating;
  context_.out.Add(effect::Aggregate{round_});
}

void RoundFlow::GiveUpTraining() {
  const bool hopeless = train_->hopeless();
  const std::string what =
      hopeless ? absl::StrCat("round ", round_,
                              ": no client's answer is good, after many tries; "
                              "the last one: ",
                              train_->last_reason())
               : absl::StrCat("round ", round_,
                              ": too few clients answered: ", train_->whole(),
                              " of ", train_->asked(), " asked");
  train_->Abandon("too few others answered");
  context_.out.Add(effect::DiscardAggregate{});
  EndSection("train");
  if (hopeless || config_.cohort().too_few() == v1::Cohort::FAIL) {
    EndRun({v1::FAILED, what});
    return;
  }
  context_.out.Warn(absl::StrCat(what, "; it is skipped"));
  skipped_ = true;
  BeginEvaluation(false);
}

void RoundFlow::OnAggregated(const event::Aggregated& aggregated) {
  if (stage_ != Stage::kAggregating) return;
  EndSection("aggregate");
  if (!aggregated.status.ok()) {
    EndRun({v1::FAILED, absl::StrCat("round ", round_, ": no new model: ",
                                     aggregated.status.message())});
    return;
  }
  model_hash_ = aggregated.model_hash;
  train_->TellCounted();
  BeginEvaluation(true);
}

// ---------------------------------------------------------------- evaluation

bool RoundFlow::IsLastRound() const {
  return round_ >= config_.stop().rounds();
}

void RoundFlow::BeginEvaluation(bool aggregated) {
  stage_ = Stage::kEvaluating;
  if (IsReplay() || end_) {
    EndEvaluation("");
    return;
  }
  if (MeasuresDirection() &&
      (IsLastRound() ||
       (aggregated &&
        IsMeasured(round_,
                   config_.diagnostics().direction_gap().per_decade())))) {
    direction_pending_ = true;
    context_.out.Add(effect::MeasureDirection{round_});
  }
  const int64_t every = config_.evaluation().every();
  if (!IsLastRound() && !(aggregated && every > 0 && round_ % every == 0)) {
    if (!direction_pending_) EndEvaluation("");
    return;
  }
  if (config_.evaluation().central()) {
    central_pending_ = true;
    context_.out.Add(effect::EvaluateCentrally{round_});
  }
  if (config_.evaluation().federated() && aggregated)
    BeginFederatedEvaluation();
}

void RoundFlow::BeginFederatedEvaluation() {
  Phase::Options options = PhaseOptions(v1::EVALUATE);
  for (const std::string& name : train_->Counted()) {
    const Client* client = context_.registry.Find(name);
    if (client != nullptr && client->evaluates) options.members.push_back(name);
  }
  options.needed = static_cast<int32_t>(options.members.size());
  if (options.needed == 0) {
    context_.out.Warn(absl::StrCat(
        "round ", round_, ": no client of the cohort can evaluate the model"));
    return;
  }
  options.quorum = ShareOf(config_.cohort().quorum(), options.needed);
  evaluate_ = std::make_unique<Phase>(std::move(options), &context_);
}

void RoundFlow::OnCentrallyEvaluated(
    const event::CentrallyEvaluated& evaluated) {
  if (stage_ != Stage::kEvaluating || !central_pending_) return;
  central_pending_ = false;
  if (evaluated.metrics.ok()) {
    central_ = *evaluated.metrics;
    return;
  }
  if (!end_) {
    end_ =
        End{v1::FAILED, absl::StrCat("round ", round_, ": central evaluation: ",
                                     evaluated.metrics.status().message())};
  }
  EndEvaluation("the run failed");
}

void RoundFlow::OnDirectionPrepared(const event::DirectionPrepared& prepared) {
  preparing_ = false;
  if (stage_ != Stage::kWaiting || prepared.status.ok()) return;
  EndRun({v1::FAILED, absl::StrCat("diagnostics.direction_gap: ",
                                   prepared.status.message())});
}

void RoundFlow::OnDirectionMeasured(const event::DirectionMeasured& measured) {
  if (stage_ != Stage::kEvaluating || !direction_pending_) return;
  direction_pending_ = false;
  if (measured.numbers.ok()) {
    direction_ = *measured.numbers;
    gap_ = Value(direction_, "gap");
    log_loss_ = Value(direction_, "log_loss");
    return;
  }
  if (!end_) {
    end_ = End{v1::FAILED,
               absl::StrCat("round ", round_, ": diagnostics.direction_gap: ",
                            measured.numbers.status().message())};
  }
  EndEvaluation("the run failed");
}

void RoundFlow::EndEvaluation(absl::string_view unless_done) {
  central_pending_ = direction_pending_ = false;
  std::optional<double> loss, accuracy;
  if (evaluate_ != nullptr) {
    if (evaluate_->outcome() == Phase::Outcome::kFull) {
      evaluate_->Close();
      evaluate_->TellCounted();
      loss = evaluate_->Mean("loss");
      accuracy = evaluate_->Mean("accuracy");
    } else {
      const bool hopeless = evaluate_->hopeless();
      const std::string reason = evaluate_->last_reason();
      evaluate_->Abandon(unless_done);
      if (!end_ &&
          (hopeless || config_.cohort().too_few() == v1::Cohort::FAIL)) {
        std::string why = absl::StrCat("round ", round_, ": ", unless_done);
        if (hopeless) absl::StrAppend(&why, "; the last reason: ", reason);
        end_ = End{v1::FAILED, std::move(why)};
      }
    }
  }
  if (central_) {
    loss = Value(*central_, "loss");
    accuracy = Value(*central_, "accuracy");
  }
  if (loss) loss_ = loss;
  if (accuracy) accuracy_ = accuracy;
  if (central_ || evaluate_ != nullptr || !direction_.empty()) {
    EndSection("evaluate");
  }
  const std::optional<End> met = end_ ? end_ : StopCondition(loss, accuracy);
  Commit();
  if (met) {
    EndRun(*met);
    return;
  }
  const int64_t every = config_.checkpoints().every();
  if (every > 0 && round_ % every == 0) {
    context_.out.Add(effect::WriteCheckpoint{round_, false});
  }
  stage_ = Stage::kWaiting;
}

// ---------------------------------------------------------------- committing

void RoundFlow::Commit() {
  effect::ReportRound report;
  report.round.set_round(round_);
  train_->AppendOutcomes(&report.round);
  if (evaluate_ != nullptr) evaluate_->AppendOutcomes(&report.round);
  report.round.set_model_hash(model_hash_);
  if (central_) {
    report.round.mutable_central()->insert(central_->begin(), central_->end());
  }
  next_values_ = NextValuesOf(config_, report.round, next_values_);
  report.round.mutable_next_values()->insert(next_values_.begin(),
                                             next_values_.end());
  report.round.mutable_direction()->insert(direction_.begin(),
                                           direction_.end());
  v1::JournalRecord record;
  *record.mutable_round_committed() = report.round;
  context_.out.Add(effect::Record{std::move(record)});

  report.opened = opened_;
  report.skipped = skipped_;
  report.central = central_;
  report.bytes_up = context_.bytes_up - up_before_;
  report.bytes_down = context_.bytes_down - down_before_;
  report.phase_seconds = section_seconds_;
  report.registered = static_cast<int32_t>(context_.registry.size());
  context_.out.Add(std::move(report));

  committed_ = round_;
  train_.reset();
  evaluate_.reset();
}

std::optional<RoundFlow::End> RoundFlow::StopCondition(
    std::optional<double> loss, std::optional<double> accuracy) const {
  if (IsReplay()) return std::nullopt;
  const v1::Stop& stop = config_.stop();
  if (stop.has_accuracy() && accuracy && *accuracy >= stop.accuracy()) {
    return End{v1::FINISHED,
               absl::StrCat("stop.accuracy was reached in round ", round_)};
  }
  if (stop.has_loss() && loss && *loss <= stop.loss()) {
    return End{v1::FINISHED,
               absl::StrCat("stop.loss was reached in round ", round_)};
  }
  if (IsLastRound()) return End{v1::FINISHED, "all rounds are done"};
  return std::nullopt;
}

void RoundFlow::Stop(v1::RunState state, std::string reason) {
  if (end_) return;
  end_ = End{state, std::move(reason)};
  switch (stage_) {
    case Stage::kTraining:
      train_->Abandon("the run ended");
      context_.out.Add(effect::DiscardAggregate{});
      EndRun(*end_);
      break;
    case Stage::kWaiting:
      EndRun(*end_);
      break;
    case Stage::kEvaluating:
      EndEvaluation("the run ended");
      break;
    case Stage::kAggregating:  // its end commits the round
    case Stage::kEnded:
      break;
  }
}

void RoundFlow::EndRun(End end) {
  const bool model_is_whole = stage_ != Stage::kAggregating;
  stage_ = Stage::kEnded;
  if (committed_ > 0 && model_is_whole) {
    context_.out.Add(effect::WriteCheckpoint{committed_, true});
  }
  end_ = std::move(end);
}

void RoundFlow::EndSection(absl::string_view name) {
  section_seconds_.emplace_back(
      std::string(name),
      absl::ToDoubleSeconds(context_.out.now - section_start_));
  section_start_ = context_.out.now;
}

}  // namespace parley
