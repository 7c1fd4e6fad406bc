// One task's numbers on a client: the model as it came, and the update that was
// made of it.
#ifndef PARLEY_CLIENT_SESSION_TASK_JOB_H_
#define PARLEY_CLIENT_SESSION_TASK_JOB_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/trainer.h"
#include "client/state/local_tensors.h"
#include "common/model/parameters.h"
#include "common/wire/chunk.h"
#include "common/wire/inline_chunks.h"
#include "common/wire/parameter_sink.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

// What stays with a client from task to task. Used by one piece of work at a
// time.
struct Workbench {
  std::unique_ptr<Trainer> trainer;
  ParameterSpec spec;
  LocalTensors local;  // one after another; zeros at first
};

// Download (Sink), then Work once, then Upload (Source) as often as needed. One
// of these at a time, from any thread; but Cancel at any time.
class TaskJob {
 public:
  TaskJob(uint64_t number, v1::Task task);

  uint64_t number() const { return number_; }
  const v1::Task& task() const { return task_; }

  // Takes in the task's payloads; the same one again when a download is gone
  // on with. `spec` is the run's. InvalidArgument: payloads that it does not
  // know or that do not fit the spec.
  absl::StatusOr<ParameterSink*> Sink(const ParameterSpec& spec);

  // Takes in the chunks that came with the task, once. NotFound: there are
  // none; else errors as Sink's and the sink's own.
  absl::Status TakeChunks(const ParameterSpec& spec);

  // Trains or evaluates. The result lacks what is not known here: task,
  // base_version, contributors and seconds. Cancelled; what the trainer said;
  // Internal: the trainer gave numbers that are none; as LocalTensors::Keep.
  absl::StatusOr<v1::UpdateReady> Work(Workbench& bench);

  // The result's payloads, from byte `offset` on; lives at most as long as the
  // job. InvalidArgument as PayloadSource::Create.
  absl::StatusOr<std::unique_ptr<ChunkSource>> Source(uint64_t offset) const;

  // The result's chunks, to go with its announcement: once, where the task
  // allows it and they are few; else null. If the link breaks over it, an
  // upload can go on where it stopped.
  SharedChunks ChunksFor(const v1::UpdateReady& announcement);

  void Cancel() { cancelled_ = true; }

  // How much of the work is done, 0..1, while the trainer is at it and says so.
  // From any thread.
  std::optional<double> Fraction() const;

 private:
  absl::StatusOr<v1::UpdateReady> Train(Workbench& bench);
  absl::StatusOr<v1::UpdateReady> Evaluate(Workbench& bench);
  TrainTask ForTrainer();

  const uint64_t number_;
  v1::Task task_;  // but for its chunks
  InlineChunks chunks_;
  bool gave_chunks_ = false;
  std::atomic<bool> cancelled_ = false;
  std::atomic<double> fraction_ = -1;  // below 0: not known

  ParameterVector base_;  // the travelling tensors; freed by Work
  std::optional<ParameterSink> sink_;
  ParameterVector update_;  // the update is its first update_elements_
  int64_t update_elements_ = 0;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_TASK_JOB_H_
