#include "common/report/event_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/files/file_io.h"
#include "common/report/metrics_log.h"
#include "parley/v1/event_file.pb.h"

namespace parley {
namespace {

// The version of the format that TensorBoard looks for.
constexpr char kFileVersion[] = "brain.Event:2";

// Of each byte value: its remainder, bits reversed.
std::array<uint32_t, 256> RemainderTable() {
  std::array<uint32_t, 256> table;
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t remainder = i;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ (remainder & 1 ? 0x82f63b78u : 0);
    }
    table[i] = remainder;
  }
  return table;
}

// A checksum of bytes that hold checksums themselves is troublesome, so the
// format turns and shifts it.
uint32_t MaskedCrc(absl::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

template <typename T>
absl::string_view BytesOf(const T& number) {
  return absl::string_view(reinterpret_cast<const char*>(&number), sizeof(T));
}

void AppendRecord(const v1::Event& event, std::string* out) {
  const std::string bytes = event.SerializeAsString();
  const uint64_t length = bytes.size();
  absl::StrAppend(out, BytesOf(length));
  absl::StrAppend(out, BytesOf(MaskedCrc(BytesOf(length))));
  absl::StrAppend(out, bytes, BytesOf(MaskedCrc(bytes)));
}

class Scalars {
 public:
  explicit Scalars(v1::Summary* summary) : summary_(*summary) {}

  // Nothing where there is no finite value.
  void Add(absl::string_view group, absl::string_view name,
           std::optional<double> value) {
    if (!value.has_value() || !std::isfinite(*value)) return;
    v1::Summary::Value& scalar = *summary_.add_value();
    scalar.set_tag(absl::StrCat(group, "/", name));
    scalar.set_simple_value(static_cast<float>(*value));
  }
  // Least, median and most, over the clients.
  void AddSpread(absl::string_view group, std::vector<double> values) {
    if (values.empty()) return;
    std::sort(values.begin(), values.end());
    Add(group, "least", values.front());
    Add(group, "median", values[values.size() / 2]);
    Add(group, "most", values.back());
  }

 private:
  v1::Summary& summary_;
};

v1::Summary Summarize(const RoundReport& round) {
  v1::Summary summary;
  Scalars scalars(&summary);
  scalars.Add("loss", "training", round.train_loss);
  scalars.Add("loss", "central", round.central.loss);
  scalars.Add("loss", "federated", round.federated.loss);
  scalars.Add("accuracy", "central", round.central.accuracy);
  scalars.Add("accuracy", "federated", round.federated.accuracy);
  std::vector<double> losses, accuracies;
  for (const ClientEvaluation& client : round.evaluations) {
    if (client.loss.has_value()) losses.push_back(*client.loss);
    if (client.accuracy.has_value()) accuracies.push_back(*client.accuracy);
  }
  scalars.AddSpread("loss_by_client", std::move(losses));
  scalars.AddSpread("accuracy_by_client", std::move(accuracies));
  for (const auto& [name, value] : round.metrics) {
    scalars.Add("metrics", name, value);
  }
  for (const auto& [name, value] : round.direction) {
    scalars.Add("direction", name, value);
  }
  for (const auto& [phase, value] : round.seconds) {
    scalars.Add("seconds", phase, value);
  }
  scalars.Add("bytes", "up", round.bytes_up);
  scalars.Add("bytes", "down", round.bytes_down);
  scalars.Add("clients", "connected", round.clients);
  scalars.Add("clients", "asked", round.asked.size());
  scalars.Add("clients", "counted", round.counted.size());
  return summary;
}

}  // namespace

uint32_t Crc32c(absl::string_view bytes) {
  static const std::array<uint32_t, 256> table = RemainderTable();
  uint32_t crc = ~uint32_t{0};
  for (const char c : bytes) {
    crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  }
  return ~crc;
}

absl::StatusOr<std::string> WriteEventFile(const std::string& metrics,
                                           absl::Time started,
                                           const std::string& folder) {
  // TensorBoard looks for "tfevents" in names, and sorts by what follows.
  const std::string path =
      absl::StrFormat("%s/events.out.tfevents.%010d.parley", folder,
                      absl::ToUnixSeconds(started));
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReplacer::Create(path));
  std::string bytes;
  v1::Event event;
  const double begin = absl::ToDoubleSeconds(started - absl::UnixEpoch());
  event.set_wall_time(begin);
  event.set_file_version(kFileVersion);
  AppendRecord(event, &bytes);
  absl::Status written;  // the first failure
  const absl::Status read = ForEachRound(metrics, [&](RoundReport round) {
    event.Clear();
    event.set_wall_time(begin + round.elapsed_seconds);
    event.set_step(round.round);
    *event.mutable_summary() = Summarize(round);
    AppendRecord(event, &bytes);
    if (!written.ok()) return;
    written = file->Write(bytes);
    bytes.clear();
  });
  // A run without rounds has no metrics.jsonl, or an empty one.
  if (!read.ok() && !absl::IsNotFound(read)) return read;
  PARLEY_RETURN_IF_ERROR(written);
  PARLEY_RETURN_IF_ERROR(file->Write(bytes));
  PARLEY_RETURN_IF_ERROR(file->Commit());
  return path;
}

}  // namespace parley
