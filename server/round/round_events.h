// What the round machine hears and wants done besides what every machine does.
// Tensors stay with the driver: transfers and updates are numbers here. The
// driver puts the model's chunks into a Task that is sent with update_inline.
#ifndef PARLEY_SERVER_ROUND_ROUND_EVENTS_H_
#define PARLEY_SERVER_ROUND_ROUND_EVENTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/wire/inline_chunks.h"
#include "parley/v1/coordinator.pb.h"
#include "parley/v1/journal.pb.h"
#include "server/run/run_events.h"

namespace parley {

// Names a staged update within one term; never 0, never used twice.
using UpdateId = uint64_t;
// Names a transfer that a transport asked for; chosen by the driver.
using TransferId = uint64_t;

namespace event {

// A transport asks to move numbers; answered by effect::AnswerTransfer, perhaps
// later, when a permit is free.
struct DownloadRequested {
  TransferId transfer;
  v1::DownloadRequest request;
};
struct UploadRequested {
  TransferId transfer;
  v1::TransferHeader header;
};
// An answered transfer is over and its permit free. OK: all bytes moved. For
// an upload `staged` says how many bytes of the update are whole.
struct TransferEnded {
  TransferId transfer;
  absl::Status status;
  uint64_t staged = 0;
  uint64_t bytes_moved = 0;  // on the wire, for the metrics
};
// The transport gave up a transfer before it was answered.
struct TransferCancelled {
  TransferId transfer;
};
// effect::StageChunks is done. OK: the update is whole.
struct ChunksStaged {
  UpdateId update;
  std::string client;
  absl::Status status;
  uint64_t staged = 0;       // bytes of it that are whole
  uint64_t bytes_moved = 0;  // on the wire, for the metrics
};
// effect::Aggregate is done: the model has its new version.
struct Aggregated {
  absl::Status status;
  uint64_t model_hash = 0;
};
struct CentrallyEvaluated {
  absl::StatusOr<std::map<std::string, double>> metrics;  // "loss", "accuracy"
};
struct DirectionPrepared {
  absl::Status status;
};
// By the names of RoundReport::direction.
struct DirectionMeasured {
  absl::StatusOr<std::map<std::string, double>> numbers;
};

}  // namespace event

using RoundEvent = std::variant<
    event::SessionOpened, event::MessageReceived, event::SessionClosed,
    event::DownloadRequested, event::UploadRequested, event::TransferEnded,
    event::TransferCancelled, event::ChunksStaged, event::Aggregated,
    event::CentrallyEvaluated, event::DirectionPrepared,
    event::DirectionMeasured, event::TimerFired, event::StopRequested>;

namespace effect {

// Lets a transfer begin, or refuses it. Of a download: the task's payloads from
// `offset` on. Of an upload: into the staged `update` from `offset` on.
struct AnswerTransfer {
  TransferId transfer;
  absl::Status status;
  UpdateId update = 0;  // uploads
  uint64_t offset = 0;
};
// A running transfer is wanted no more: its next chunk fails with Aborted.
struct CancelTransfer {
  TransferId transfer;
};
// Makes room for an update; its bytes come by upload. Where there is no room
// its upload ends with ResourceExhausted: the machine drops it or makes room,
// and begins it again later, perhaps under another id.
struct OpenStaging {
  UpdateId update;
  std::string client;
  v1::UpdateReady header;  // validated
};
// Stages an update, just opened, whose chunks came with its announcement;
// answered by event::ChunksStaged. The update is without room afterwards where
// there is none at once, and may come by upload then.
struct StageChunks {
  UpdateId update;
  std::string client;
  InlineChunks chunks;
};
struct DropStaging {
  UpdateId update;
};
// The next counted update, in cohort order; it is whole. A folding strategy
// adds it to the sum and frees it; a combining one keeps it until Aggregate.
struct Fold {
  UpdateId update;
  int64_t round;
};
// All counted updates were named by Fold: makes the next model in place, after
// the last reader of the old one is gone; answered by event::Aggregated.
struct Aggregate {
  int64_t round;
};
// Forgets what was folded: the round is skipped.
struct DiscardAggregate {};
// Answered by event::CentrallyEvaluated.
struct EvaluateCentrally {
  int64_t round;
};
// Finds what to measure against; no round opens before DirectionPrepared.
struct PrepareDirection {};
// Answered by event::DirectionMeasured.
struct MeasureDirection {
  int64_t round;
};
// A round is over: a line of metrics.jsonl. What the machine knows of it.
struct ReportRound {
  v1::RoundCommitted round;  // outcomes of all phases
  v1::RoundOpened opened;
  bool skipped = false;
  std::optional<std::map<std::string, double>> central;
  uint64_t bytes_up = 0, bytes_down = 0;  // in this round
  std::vector<std::pair<std::string, double>> phase_seconds;
  int32_t registered = 0;
};
struct WriteCheckpoint {
  int64_t round;
  bool last;
};

}  // namespace effect

using RoundEffect =
    std::variant<effect::Send, effect::EndSession, effect::AnswerTransfer,
                 effect::CancelTransfer, effect::OpenStaging,
                 effect::StageChunks, effect::DropStaging, effect::Fold,
                 effect::Aggregate, effect::DiscardAggregate,
                 effect::EvaluateCentrally, effect::PrepareDirection,
                 effect::MeasureDirection, effect::Record, effect::ReportRound,
                 effect::WriteCheckpoint, effect::SetTimer,
                 effect::StatusChanged, effect::Say, effect::EndRun>;

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_ROUND_EVENTS_H_
