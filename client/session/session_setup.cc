#include "client/session/session_setup.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/state/local_tensors.h"
#include "common/base/status_macros.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"

namespace parley {
namespace {

// Whether the run's LOCAL tensors are kept in a file. A run that has no id
// cannot be told from others of its name.
bool IsKept(const v1::Registered& registered,
            const CoordinatorSessionOptions& options) {
  return !options.state_folder.empty() && registered.run_id() != 0;
}

int64_t LocalElements(const ParameterSpec& spec) {
  return spec.elements() - TravellingSpec(spec).elements();
}

}  // namespace

SessionMachineOptions MachineOptions(const CoordinatorSessionOptions& options,
                                     bool gossips) {
  SessionMachineOptions result;
  v1::Register& hello = result.hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_name(options.name);
  hello.set_incarnation(options.incarnation);
  hello.mutable_labels()->insert(options.labels.begin(), options.labels.end());
  for (v1::Encoding encoding :
       {v1::ENCODING_FLOAT32, v1::ENCODING_FLOAT64, v1::ENCODING_BFLOAT16}) {
    hello.add_encodings(encoding);
  }
  hello.add_kinds(v1::TRAIN);
  hello.add_kinds(v1::EVALUATE);
  hello.add_features(kInlineFeature);
  if (gossips) hello.add_features(kGossipFeature);
  hello.set_software(options.software);
  hello.set_wants_part(options.wants_part);
  if (options.part) hello.set_part(*options.part);
  hello.mutable_except_runs()->Add(options.except_runs.begin(),
                                   options.except_runs.end());
  result.servers = options.servers;
  result.max_offline = options.max_offline;
  result.report_every = options.report_every;
  return result;
}

absl::StatusOr<std::shared_ptr<Workbench>> MakeBench(
    const v1::Registered& registered, const ParameterSpec& spec,
    const CoordinatorSessionOptions& options, const TrainerFactory& factory) {
  auto bench = std::make_shared<Workbench>();
  std::optional<int32_t> part;
  if (registered.has_part()) part = registered.part();
  PARLEY_ASSIGN_OR_RETURN(bench->trainer, factory(registered.config(), part));
  PARLEY_RETURN_IF_ERROR(bench->trainer->Accepts(spec));
  const int64_t local = LocalElements(spec);
  LocalTensors::Options keep = {
      .path = {}, .run_id = registered.run_id(), .spec_hash = spec.Hash()};
  if (local > 0 && IsKept(registered, options)) {
    keep.path = LocalTensorsPath(options.state_folder, options.name,
                                 registered.run_id());
  }
  PARLEY_ASSIGN_OR_RETURN(
      bench->local, LocalTensors::Open(std::move(keep), spec.dtype(), local));
  bench->spec = spec;
  return bench;
}

absl::StatusOr<ParameterSpec> ReadSpec(const v1::Registered& registered,
                                       int64_t max_bytes) {
  absl::StatusOr<ParameterSpec> spec = SpecFromProto(registered.spec());
  if (!spec.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot read the coordinator's model: ", spec.status().message()));
  }
  if (spec->Hash() != registered.spec_hash()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the coordinator's model ", spec->ToString(), " has the hash ",
        absl::Hex(spec->Hash(), absl::kZeroPad16), " here and ",
        absl::Hex(registered.spec_hash(), absl::kZeroPad16),
        " there; use programs of the same version"));
  }
  const int64_t size = static_cast<int64_t>(SizeOf(spec->dtype()));
  if (spec->elements() > max_bytes / size) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the run's model takes ", spec->elements() * size,
        " bytes, this client takes at most ", max_bytes,
        ": raise --max-model-bytes where there is memory for several copies"));
  }
  return spec;
}

std::optional<std::pair<LogLevel, std::string>> LocalTensorsNote(
    const Workbench& bench) {
  const int64_t local = LocalElements(bench.spec);
  if (local == 0) return std::nullopt;
  const LocalTensors& tensors = bench.local;
  if (tensors.path().empty()) {
    return std::pair(
        LogLevel::kWarning,
        absl::StrCat("this client's LOCAL tensors (", local,
                     " numbers) end with it: give --state to keep them"));
  }
  const std::string from =
      tensors.round() == 0
          ? ", from zeros on"
          : absl::StrCat(", as round ", tensors.round(), " left them");
  return std::pair(LogLevel::kInfo, absl::StrCat("keeps its LOCAL tensors in ",
                                                 tensors.path(), from));
}

}  // namespace parley
