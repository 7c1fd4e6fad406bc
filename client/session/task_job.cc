#include "client/session/task_job.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/kernels/kernels.h"
#include "common/wire/encoding.h"
#include "common/wire/payload_source.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"

namespace parley {
namespace {

// All parameters: those that travelled, and the client's own in between.
ParameterVector Assemble(const ParameterSpec& spec,
                         const ParameterVector& travelled,
                         const ParameterVector& local) {
  ParameterVector all =
      ParameterVector::Uninitialized(spec.dtype(), spec.elements());
  const size_t size = SizeOf(spec.dtype());
  const char* next_travelled = travelled.data();
  const char* next_local = local.data();
  char* out = all.data();
  for (const TensorSpec& tensor : spec.tensors()) {
    const bool is_local = tensor.merge == MergeRule::kLocal;
    const size_t bytes = tensor.elements() * size;
    if (bytes == 0) continue;
    const char*& from = is_local ? next_local : next_travelled;
    std::memcpy(out, from, bytes);
    from += bytes;
    out += bytes;
  }
  return all;
}

// Turns trained parameters into the update, in place at the front: changes of
// MEAN tensors, values of COPY tensors. LOCAL ones go to `local`. Returns the
// elements of the update.
template <typename T>
int64_t MakeUpdate(const ParameterSpec& spec, absl::Span<const T> base,
                   absl::Span<T> trained, absl::Span<T> local) {
  int64_t to = 0, to_local = 0;  // `to` never overtakes what is read
  for (size_t i = 0; i < spec.tensors().size(); ++i) {
    const TensorSpec& tensor = spec.tensors()[i];
    const T* const from = trained.data() + spec.offset(i);
    const int64_t n = tensor.elements();
    if (tensor.merge == MergeRule::kLocal) {
      std::copy_n(from, n, local.data() + to_local);
      to_local += n;
      continue;
    }
    T* const out = trained.data() + to;
    if (out != from) std::memmove(out, from, n * sizeof(T));
    if (tensor.merge == MergeRule::kMean) {
      KernelsFor<T>().axpy(n, -1, base.data() + to, out);
    }
    to += n;
  }
  return to;
}

int64_t MakeUpdate(const ParameterSpec& spec, const ParameterVector& base,
                   ParameterVector& trained, ParameterVector& local) {
  return spec.dtype() == DType::kFloat32
             ? MakeUpdate(spec, base.As<float>(), trained.As<float>(),
                          local.As<float>())
             : MakeUpdate(spec, base.As<double>(), trained.As<double>(),
                          local.As<double>());
}

absl::StatusOr<v1::UpdateReady> ToMessage(const TrainResult& result) {
  v1::UpdateReady message;
  if (!std::isfinite(result.examples) || result.examples <= 0) {
    return absl::InternalError(absl::StrCat(
        "the trainer says that ", result.examples,
        " examples are behind its result; it must be a number > 0"));
  }
  message.set_weight(result.examples);
  message.set_local_steps(result.local_steps);
  for (const auto& [name, value] : result.metrics) {
    if (!std::isfinite(value)) {
      return absl::InternalError(absl::StrCat("the trainer's metric ", name,
                                              " is ", value,
                                              "; metrics must be finite"));
    }
    (*message.mutable_scalars())[name] = value;
  }
  return message;
}

}  // namespace

TaskJob::TaskJob(uint64_t number, v1::Task task)
    : number_(number), task_(std::move(task)) {
  chunks_.Swap(task_.mutable_chunks());
}

absl::StatusOr<ParameterSink*> TaskJob::Sink(const ParameterSpec& spec) {
  if (sink_) return &*sink_;
  if (task_.payloads_size() != 1 || task_.payloads(0).name() != kModelPayload) {
    std::vector<std::string> names;
    for (const v1::Payload& payload : task_.payloads()) {
      names.push_back(payload.name());
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "the task's payloads are {", absl::StrJoin(names, ", "),
        "}; this client knows tasks with one, \"", kModelPayload, "\""));
  }
  PARLEY_RETURN_IF_ERROR(CheckPayload(task_.payloads(0), spec));
  base_ = ParameterVector::Uninitialized(spec.dtype(),
                                         TravellingSpec(spec).elements());
  sink_.emplace(std::vector<PayloadTarget>{
      {.encoding = task_.payloads(0).encoding(), .into = &base_}});
  return &*sink_;
}

absl::Status TaskJob::TakeChunks(const ParameterSpec& spec) {
  if (chunks_.empty()) return absl::NotFoundError("no chunks with the task");
  InlineChunks chunks;
  chunks.Swap(&chunks_);
  PARLEY_ASSIGN_OR_RETURN(ParameterSink* const sink, Sink(spec));
  return WriteAll(chunks, *sink);
}

SharedChunks TaskJob::ChunksFor(const v1::UpdateReady& announcement) {
  if (!task_.update_inline() || std::exchange(gave_chunks_, true)) {
    return nullptr;
  }
  const uint64_t bytes = BytesOf(announcement.payloads());
  if (bytes == 0 || bytes > uint64_t{kInlineBytes}) return nullptr;
  const auto source = Source(0);
  PARLEY_CHECK(source.ok());
  return std::make_shared<InlineChunks>(ReadAll(**source));
}

absl::StatusOr<v1::UpdateReady> TaskJob::Work(Workbench& bench) {
  if (cancelled_) return absl::CancelledError("wanted no more");
  absl::StatusOr<v1::UpdateReady> result =
      task_.kind() == v1::TRAIN ? Train(bench) : Evaluate(bench);
  base_ = ParameterVector();
  fraction_ = -1;
  return result;
}

std::optional<double> TaskJob::Fraction() const {
  const double fraction = fraction_.load(std::memory_order_relaxed);
  // A trainer of one's own may overshoot.
  if (!(fraction >= 0)) return std::nullopt;
  return std::min(fraction, 1.0);
}

TrainTask TaskJob::ForTrainer() {
  TrainTask task;
  task.round = task_.task().round();
  task.client = task_.task().client();
  task.values.insert(task_.values().begin(), task_.values().end());
  task.cancelled = &cancelled_;
  task.fraction = &fraction_;
  return task;
}

absl::StatusOr<v1::UpdateReady> TaskJob::Train(Workbench& bench) {
  PARLEY_RETURN_IF_ERROR(CheckEncoding(task_.update_encoding()));
  const int64_t round = task_.task().round();
  ParameterVector trained =
      Assemble(bench.spec, base_, bench.local.Before(round));
  PARLEY_ASSIGN_OR_RETURN(const TrainResult result,
                          bench.trainer->Train(ForTrainer(), trained));
  if (cancelled_) return absl::CancelledError("wanted no more");
  PARLEY_ASSIGN_OR_RETURN(v1::UpdateReady message, ToMessage(result));
  if (trained.dtype() != bench.spec.dtype() ||
      trained.elements() != bench.spec.elements()) {
    return absl::InternalError("the trainer changed the parameters' shape");
  }
  if (!trained.AllFinite()) {
    return absl::InternalError(
        "training diverged: parameters are infinite or not numbers; a smaller "
        "step size may help");
  }
  ParameterVector local(bench.spec.dtype(), bench.local.latest().elements());
  update_elements_ = MakeUpdate(bench.spec, base_, trained, local);
  if (local.elements() > 0) {
    PARLEY_RETURN_IF_ERROR(bench.local.Keep(round, std::move(local)));
  }
  update_ = std::move(trained);
  *message.add_payloads() =
      PayloadFor(kModelPayload, bench.spec, task_.update_encoding());
  return message;
}

absl::StatusOr<v1::UpdateReady> TaskJob::Evaluate(Workbench& bench) {
  const bool all_travel = base_.elements() == bench.spec.elements();
  const ParameterVector parameters =
      all_travel ? std::move(base_)
                 : Assemble(bench.spec, base_, bench.local.latest());
  PARLEY_ASSIGN_OR_RETURN(const TrainResult result,
                          bench.trainer->Evaluate(ForTrainer(), parameters));
  return ToMessage(result);
}

absl::StatusOr<std::unique_ptr<ChunkSource>> TaskJob::Source(
    uint64_t offset) const {
  std::vector<PayloadView> payloads;
  if (task_.kind() == v1::TRAIN) {
    payloads.push_back({.dtype = update_.dtype(),
                        .encoding = task_.update_encoding(),
                        .elements = update_elements_,
                        .data = update_.data()});
  }
  return PayloadSource::Create(std::move(payloads), offset);
}

}  // namespace parley
