// What the round driver does for the machine, but for the run's end.
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/wire/encoding.h"
#include "common/wire/payload_source.h"
#include "common/wire/spec.h"
#include "server/round/round_driver.h"
#include "server/round/round_summary.h"

namespace parley {
namespace {

// A download that moves no more must not hold up the round for longer.
constexpr absl::Duration kReaderPatience = absl::Seconds(5);

}  // namespace

// ------------------------------------------------------------------ transfers

void RoundDriver::Perform(effect::AnswerTransfer& e) {
  const auto it = asked_.find(e.transfer);
  PARLEY_CHECK(it != asked_.end());
  Asked asked = std::move(it->second);
  asked_.erase(it);
  if (!e.status.ok()) {
    return asked.download ? std::move(asked.download)(e.status)
                          : std::move(asked.upload)(e.status);
  }
  transfers_[e.transfer] = {.state = std::make_shared<TransferState>(),
                            .break_off = std::move(asked.break_off),
                            .progress = absl::InfiniteFuture()};
  if (asked.download) {
    BeginDownload(e, std::move(asked.download));
  } else {
    BeginUpload(e, std::move(asked.upload));
  }
  if (!stall_timer_.pending()) WatchTransfers();
}

void RoundDriver::BeginDownload(const effect::AnswerTransfer& answer,
                                DownloadReady ready) {
  const TransferId id = answer.transfer;
  Transfer& transfer = transfers_[id];
  absl::StatusOr<std::unique_ptr<ChunkSource>> source =
      absl::AbortedError("the round is over: its model changes now");
  if (aggregate_wanted_ == 0) {
    source = ModelReader::Create(
        model_->model(), DownEncoding(), answer.offset, transfer.state,
        [this, id](const absl::Status& status, uint64_t moved) {
          OnSequence([this, id, status, moved] {
            EndTransfer(
                {.transfer = id, .status = status, .bytes_moved = moved});
          });
        });
  }
  if (source.ok()) {
    transfer.buffer = buffer_;
    transfer.progress = clock()->Now();
    ++readers_;
  } else {
    EndTransfer({.transfer = id, .status = source.status()});
  }
  std::move(ready)(std::move(source));
}

v1::Encoding RoundDriver::DownEncoding() const {
  const v1::Encoding encoding = config().wire().down();
  return encoding == v1::ENCODING_UNSPECIFIED
             ? NativeEncoding(model_->spec().dtype())
             : encoding;
}

void RoundDriver::Perform(effect::Send& e) {
  if (e.message.task().update_inline()) {
    PARLEY_CHECK(aggregate_wanted_ == 0);  // nobody writes to the model
    if (model_chunks_ == nullptr) {
      const ParameterVector& model = *model_->model();
      const auto source = PayloadSource::Create({{.dtype = model.dtype(),
                                                  .encoding = DownEncoding(),
                                                  .elements = model.elements(),
                                                  .data = model.data()}},
                                                0);
      PARLEY_CHECK(source.ok());
      model_chunks_ = std::make_shared<InlineChunks>(ReadAll(**source));
    }
    e.chunks = model_chunks_;
  }
  BasicDriver::Perform(e);
}

void RoundDriver::BeginUpload(const effect::AnswerTransfer& answer,
                              UploadReady ready) {
  const TransferId id = answer.transfer;
  Transfer& transfer = transfers_[id];
  absl::Status status;
  if (transfer.state->broken_off != absl::StatusCode::kOk) {
    status = absl::AbortedError("the upload is wanted no more");
  }
  const auto unstaged = unstaged_.find(answer.update);
  if (status.ok() && unstaged != unstaged_.end()) {
    status = staging_.Open(answer.update, unstaged->second);
    if (status.ok()) {
      unstaged_.erase(unstaged);
    } else if (absl::IsResourceExhausted(status)) {
      if (freeing_ == 0 && model_->settles() && !pending_.empty()) {
        SettleUpdates();
      }
      if (freeing_ > 0) {
        roomless_.push_back({answer, std::move(ready)});
        return;
      }
    }
  }
  const std::shared_ptr<StagedUpdate> update = staging_.Find(answer.update);
  uint64_t ticket = 0;
  if (status.ok()) {
    PARLEY_CHECK(update != nullptr);
    absl::StatusOr<uint64_t> begun = update->Begin(answer.offset);
    status = begun.status();
    if (begun.ok()) ticket = *begun;
  }
  if (!status.ok()) {
    EndTransfer({.transfer = id,
                 .status = status,
                 .staged = update == nullptr ? 0 : update->staged()});
    return std::move(ready)(status);
  }
  transfer.progress = clock()->Now();
  // The writer, which calls this, holds the update.
  StagedUpdate* const borrowed = update.get();
  std::move(ready)(std::make_unique<UpdateWriter>(
      update, ticket, transfer.state,
      [this, id, borrowed](const absl::Status& status, uint64_t moved) {
        OnSequence([this, id, status, staged = borrowed->staged(), moved] {
          EndTransfer({id, status, staged, moved});
        });
      }));
}

void RoundDriver::EndTransfer(event::TransferEnded ended) {
  const auto it = transfers_.find(ended.transfer);
  if (it != transfers_.end()) {
    if (it->second.buffer == buffer_) --readers_;
    transfers_.erase(it);
  }
  Handle(std::move(ended));
  AggregateOnceUnread(true);
}

void RoundDriver::Perform(effect::CancelTransfer& e) {
  BreakTransferOff(e.transfer,
                   absl::AbortedError("the transfer is wanted no more"));
}

void RoundDriver::BreakTransferOff(TransferId id, const absl::Status& why) {
  const auto it = transfers_.find(id);
  if (it == transfers_.end()) return;
  Transfer& transfer = it->second;
  if (transfer.state->broken_off != absl::StatusCode::kOk) return;
  transfer.state->broken_off = why.code();
  const uint64_t moved = transfer.state->moved;
  const bool download = transfer.buffer.has_value();
  if (BreakOff break_off = std::move(transfer.break_off)) {
    std::move(break_off)(why);
  }
  // A socket may hold a download's numbers for long; the permit is free now.
  if (download) {
    Handle(event::TransferEnded{
        .transfer = id, .status = why, .bytes_moved = moved});
  }
}

void RoundDriver::WatchTransfers() {
  const absl::Time now = clock()->Now();
  std::vector<TransferId> stalled;
  bool watched = false;
  for (auto& [id, transfer] : transfers_) {
    if (transfer.state->broken_off != absl::StatusCode::kOk) continue;
    const uint64_t moved = transfer.state->moved;
    if (moved != transfer.moved) {
      transfer.moved = moved;
      transfer.progress = now;
    } else if (now - transfer.progress >= stall_time_) {
      stalled.push_back(id);
      continue;
    }
    watched = true;
  }
  if (watched)
    stall_timer_.Set(now + stall_time_ / 4, [this] { WatchTransfers(); });
  for (const TransferId id : stalled) {
    BreakTransferOff(
        id, absl::DeadlineExceededError(absl::StrCat(
                "no chunk moved for ", absl::FormatDuration(stall_time_),
                "; where the link is slow, smaller chunks help")));
  }
}

void RoundDriver::Perform(effect::OpenStaging& e) {
  // Room is taken when the first bytes come: many may be announced at once.
  unstaged_[e.update] = std::move(e.header);
}

void RoundDriver::Perform(effect::StageChunks& e) {
  event::ChunksStaged ended{
      .update = e.update,
      .client = std::move(e.client),
      .status = staging_.Open(e.update, unstaged_.at(e.update))};
  if (ended.status.ok()) {
    unstaged_.erase(e.update);
    const std::shared_ptr<StagedUpdate> update = staging_.Find(e.update);
    const absl::StatusOr<uint64_t> ticket = update->Begin(0);
    PARLEY_CHECK(ticket.ok());
    UpdateWriter writer(update, *ticket, std::make_shared<TransferState>(),
                        [&](const absl::Status& status, uint64_t moved) {
                          ended.status = status;
                          ended.bytes_moved = moved;
                        });
    (void)WriteAll(e.chunks, writer);
    ended.staged = update->staged();
  }
  Handle(std::move(ended));
}

void RoundDriver::Perform(effect::DropStaging& e) {
  unstaged_.erase(e.update);
  staging_.Drop(e.update);
}

// ------------------------------------------------------------------ the model

void RoundDriver::RunFreeing(Closure job, Closure done) {
  ++freeing_;
  compute_.Run(std::move(job), [this, done = std::move(done)]() mutable {
    std::move(done)();
    --freeing_;
    for (Roomless& waiting : std::exchange(roomless_, {})) {
      BeginUpload(waiting.answer, std::move(waiting.ready));
    }
  });
}

void RoundDriver::Perform(effect::Fold& e) {
  std::shared_ptr<StagedUpdate> update = staging_.Find(e.update);
  PARLEY_CHECK(update != nullptr);
  staging_.Drop(e.update);
  compute_.Run(
      [this, borrowed = update.get(), round = e.round] {
        if (meter_ != nullptr) {
          meter_->Observe(round, model_->View(*borrowed), *model_->model());
        }
        model_->Accumulate(*borrowed);
      },
      [] {});
  pending_.push_back(std::move(update));
  if (model_->settles() && pending_.size() >= kFoldAtOnce) SettleUpdates();
}

void RoundDriver::SettleUpdates() {
  RunFreeing([this] { model_->Settle(); },
             [held = std::exchange(pending_, {})]() mutable { held.clear(); });
}

void RoundDriver::Perform(effect::Aggregate& e) {
  aggregate_wanted_ = e.round;
  model_chunks_.reset();
  AggregateOnceUnread(true);
}

void RoundDriver::AggregateOnceUnread(bool patient) {
  if (aggregate_wanted_ == 0 || aggregating_ || checkpoints_ > 0) return;
  const bool leave = readers_ > 0;
  if (leave && patient) {
    if (!patience_timer_.pending()) {
      patience_timer_.Set(clock()->Now() + kReaderPatience,
                          [this] { AggregateOnceUnread(false); });
    }
    return;
  }
  patience_timer_.Cancel();
  if (leave) {
    effect::Say say{LogLevel::kWarning,
                    absl::StrCat(readers_,
                                 " downloads are stuck; they keep a "
                                 "copy of the old model")};
    Perform(say);
    ++buffer_;
    readers_ = 0;
  }
  aggregating_ = true;
  const auto hash = std::make_shared<absl::StatusOr<uint64_t>>(0);  // job's
  RunFreeing(
      [this, hash, leave, round = aggregate_wanted_, values = next_values_] {
        if (leave) model_->LeaveToReaders();
        *hash = model_->Aggregate(round);
        if (meter_ != nullptr) meter_->RoundTaken(round, values);
      },
      [this, hash, held = std::exchange(pending_, {})]() mutable {
        held.clear();
        aggregate_wanted_ = 0;
        aggregating_ = false;
        Handle(event::Aggregated{hash->status(), hash->value_or(0)});
      });
}

void RoundDriver::Perform(effect::DiscardAggregate&) {
  RunFreeing(
      [this] {
        if (meter_ != nullptr) meter_->Forget();
        model_->Discard();
      },
      [held = std::exchange(pending_, {})]() mutable { held.clear(); });
}

void RoundDriver::Perform(effect::EvaluateCentrally&) {
  if (evaluator_ == nullptr) {
    return Handle(event::CentrallyEvaluated{
        absl::FailedPreconditionError("there is no data.test")});
  }
  // Shared with the job, which fills it.
  const auto metrics = std::make_shared<std::map<std::string, double>>();
  compute_.Run(
      [this, metrics] { *metrics = evaluator_->Evaluate(*model_->model()); },
      [this, metrics] {
        Handle(event::CentrallyEvaluated{std::move(*metrics)});
      });
}

void RoundDriver::Perform(effect::PrepareDirection& e) {
  const auto say = [this](absl::string_view text) {
    effect::Say say{LogLevel::kInfo, absl::StrCat("direction_gap: ", text)};
    Perform(say);
  };
  const auto next = std::make_shared<absl::StatusOr<std::string>>("");  // job's
  compute_.Run(
      [this, next] { *next = meter_->PrepareNext(); },
      [this, next, say, e]() mutable {
        if (!next->ok() || run_over()) {
          return Handle(event::DirectionPrepared{next->status()});
        }
        if (!(*next)->empty()) {
          say(**next);
          return Perform(e);
        }
        for (const std::string& sentence : SentencesOf(meter_->facts())) {
          say(sentence);
        }
        Handle(event::DirectionPrepared{});
      });
}

void RoundDriver::Perform(effect::MeasureDirection&) {
  using Numbers = absl::StatusOr<std::map<std::string, double>>;
  const auto numbers =
      std::make_shared<Numbers>(std::map<std::string, double>());  // job's
  compute_.Run(
      [this, numbers] { *numbers = meter_->Measure(*model_->model()); },
      [this, numbers] {
        Handle(event::DirectionMeasured{std::move(*numbers)});
      });
}

// ---------------------------------------------------------------------- files

void RoundDriver::Perform(effect::Record& e) {
  if (e.record.has_round_committed()) {
    next_values_ = {e.record.round_committed().next_values().begin(),
                    e.record.round_committed().next_values().end()};
  }
  Append(e.record);
  if (e.record.has_round_committed()) SyncJournal();
}

void RoundDriver::Perform(effect::ReportRound& e) {
  const RoundReport report = Summarize(e, Seconds());
  Append(report);
  if (const auto warning = losses_.Take(report)) {
    effect::Say say{LogLevel::kWarning, *warning};
    Perform(say);
  }
  if (on_round_) on_round_(report);
}

void RoundDriver::Perform(effect::WriteCheckpoint& e) {
  if (store() == nullptr) return;
  v1::Checkpoint head;
  head.set_run(config().name());
  head.set_term(store()->term());
  head.set_round(e.round);
  *head.mutable_spec() = SpecToProto(model_->spec());
  ++checkpoints_;  // which keeps the model as it is
  const auto status = std::make_shared<absl::Status>();  // with the job
  files()->Run(
      [this, status, head = std::move(head),
       sections = model_->Sections()]() mutable {
        *status = store()->WriteCheckpoint(std::move(head), sections);
      },
      [this, status] {
        --checkpoints_;
        if (!status->ok()) Fail(*status);
        AggregateOnceUnread(true);
      });
}

}  // namespace parley
