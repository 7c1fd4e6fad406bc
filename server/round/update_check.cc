#include "server/round/update_check.h"

#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status_macros.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"
#include "server/round/next_values.h"

namespace parley {
namespace {

constexpr int kMaxEntries = 64;             // scalars, and blobs
constexpr size_t kMaxNameBytes = 128;       // of a scalar or blob
constexpr size_t kMaxBlobBytes = 64 << 10;  // of all blobs together
constexpr double kMaxSeconds = 1e9;

template <typename... Args>
absl::Status Bad(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

absl::Status CheckExtras(const v1::UpdateReady& update) {
  if (update.scalars_size() > kMaxEntries) {
    return Bad(update.scalars_size(), " scalars; at most ", kMaxEntries,
               " are taken");
  }
  for (const auto& [name, value] : update.scalars()) {
    if (name.empty() || name.size() > kMaxNameBytes) {
      return Bad("a scalar's name has ", name.size(), " characters; 1 to ",
                 kMaxNameBytes, " are allowed");
    }
    if (!std::isfinite(value)) {
      return Bad("the scalar '", Printable(name), "' is ", value,
                 "; send only finite numbers");
    }
    if (name == "accuracy" && (value < 0 || value > 1)) {
      return Bad("the accuracy is ", value, "; it has to be a share, 0 to 1");
    }
  }
  if (update.blobs_size() > kMaxEntries) {
    return Bad(update.blobs_size(), " blobs; at most ", kMaxEntries,
               " are taken");
  }
  size_t bytes = 0;
  for (const auto& [name, value] : update.blobs()) {
    if (name.empty() || name.size() > kMaxNameBytes) {
      return Bad("a blob's name has ", name.size(), " characters; 1 to ",
                 kMaxNameBytes, " are allowed");
    }
    bytes += value.size();
  }
  if (bytes > kMaxBlobBytes) {
    return Bad("the blobs have ", bytes, " bytes together; at most ",
               kMaxBlobBytes, " are taken");
  }
  return absl::OkStatus();
}

absl::Status CheckPayloads(const v1::UpdateReady& update, const v1::Task& task,
                           const ParameterSpec& spec) {
  if (task.kind() != v1::TRAIN) {
    if (update.payloads_size() == 0) return absl::OkStatus();
    return Bad("an evaluation's answer has no payloads, this one has ",
               update.payloads_size());
  }
  if (update.payloads_size() != 1 ||
      update.payloads(0).name() != kModelPayload) {
    return Bad("a training's answer has one payload, '", kModelPayload,
               "', and no other");
  }
  const v1::Payload& payload = update.payloads(0);
  if (payload.encoding() != task.update_encoding()) {
    return Bad("the payload's encoding is ",
               v1::Encoding_Name(payload.encoding()), ", the task asks for ",
               v1::Encoding_Name(task.update_encoding()));
  }
  if (task.values().contains(kLogLoss) &&
      !update.scalars().contains(kLogLoss)) {
    return Bad("the scalar '", kLogLoss,
               "' is missing, by which the next round's steps are scaled");
  }
  return CheckPayload(payload, spec);
}

}  // namespace

absl::Status CheckUpdate(const v1::UpdateReady& update, const v1::Task& task,
                         const ParameterSpec& spec, double max_weight) {
  const double weight = update.weight();
  if (!std::isfinite(weight) || weight <= 0) {
    return Bad("the weight is ", weight,
               "; it has to be a number of examples above 0");
  }
  if (weight > max_weight) {
    return Bad("the weight is ", weight, ", above limits.max_weight, ",
               max_weight);
  }
  if (update.local_steps() < 0) {
    return Bad("local_steps is ", update.local_steps(), ", below 0");
  }
  if (update.contributors() < 1) {
    return Bad("contributors is ", update.contributors(),
               "; a plain client says 1");
  }
  if (update.base_version() != task.model_version()) {
    return Bad("the update starts from model version ", update.base_version(),
               ", the task's is ", task.model_version());
  }
  if (!(update.seconds() >= 0 && update.seconds() <= kMaxSeconds)) {
    return Bad("seconds is ", update.seconds(), "; 0 to ", kMaxSeconds,
               " are allowed");
  }
  PARLEY_RETURN_IF_ERROR(CheckExtras(update));
  return CheckPayloads(update, task, spec);
}

std::string Printable(absl::string_view text) {
  constexpr size_t kMaxBytes = 300;
  const bool cut = text.size() > kMaxBytes;
  if (cut) {
    size_t end = kMaxBytes;  // not within a character
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
      --end;
    }
    text = text.substr(0, end);
  }
  // Quotes are harmless in a log, and frequent in sentences.
  std::string printable =
      absl::StrReplaceAll(absl::Utf8SafeCEscape(text),
                          {{"\\\\", "\\\\"}, {"\\'", "'"}, {"\\\"", "\""}});
  if (cut) absl::StrAppend(&printable, "...");
  return printable;
}

}  // namespace parley
