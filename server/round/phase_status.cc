// What a phase says of itself: to the journal, to people.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/round/phase.h"

namespace parley {
namespace {

// "45 %"; 100 only when nothing is left.
std::string Percent(double fraction) {
  return absl::StrCat(static_cast<int>(100 * fraction), " %");
}

}  // namespace

void Phase::AppendOutcomes(v1::RoundCommitted* record) const {
  for (const Slot& slot : slots_) {
    v1::TaskOutcome& outcome = *record->add_outcomes();
    outcome.set_client(slot.client);
    outcome.set_kind(options_.task.kind());
    outcome.set_counted(slot.state == State::kWhole);
    outcome.set_reason(slot.reason);
    outcome.set_weight(slot.header.weight());
    outcome.set_local_steps(slot.header.local_steps());
    outcome.set_seconds(slot.header.seconds());
    *outcome.mutable_scalars() = slot.header.scalars();
  }
}

std::vector<std::string> Phase::Counted() const {
  std::vector<std::string> names;
  for (const Slot& slot : slots_) {
    if (slot.state == State::kWhole) names.push_back(slot.client);
  }
  return names;
}

std::optional<double> Phase::Mean(const std::string& scalar) const {
  double sum = 0, weight = 0;
  for (const Slot& slot : slots_) {
    const auto it = slot.header.scalars().find(scalar);
    if (slot.state != State::kWhole || it == slot.header.scalars().end()) {
      continue;
    }
    sum += slot.header.weight() * it->second;
    weight += slot.header.weight();
  }
  if (weight == 0) return std::nullopt;
  return sum / weight;
}

bool Phase::IsBusy(const Client& client) const {
  const auto it = slot_of_.find(client.name);
  if (it == slot_of_.end() || closed_) return false;
  const State state = slots_[it->second].state;
  return state == State::kAsked || state == State::kReady;
}

std::string Phase::DescribeSlot(const Slot& slot) const {
  const Client* client = context_.registry.Find(slot.client);
  if (slot.state == State::kWhole) return "done";
  if (slot.state == State::kFailed)
    return client == nullptr ? "lost" : "failed";
  if (client == nullptr) return "not registered";
  if (client->session == 0) return "disconnected";
  if (slot.state == State::kHeld) return "pausing";
  if (slot.state == State::kReady) {
    return slot.upload_runs ? "uploading" : "waiting to upload";
  }
  if (slot.download_runs) return "downloading";
  return options_.task.kind() == v1::TRAIN ? "training" : "evaluating";
}

void Phase::DescribeClients(v1::RunStatus* status) const {
  for (const Slot& slot : slots_) {
    v1::ClientStatus& row = *status->add_client();
    row.set_name(slot.client);
    row.set_state(DescribeSlot(slot));
    row.set_reason(slot.reason);
    if (slot.state == State::kAsked && slot.progress) {
      row.set_progress(*slot.progress);
    }
  }
}

std::string Phase::WaitsFor() const {
  constexpr int kNamed = 5;
  const int32_t missing = options_.needed - whole_;
  std::vector<std::string> named;
  int32_t others = 0;
  std::optional<double> slowest;  // of the others
  for (const Slot& slot : slots_) {
    if (slot.state == State::kWhole) continue;
    if (slot.state == State::kFailed && (slot.closed || open_ >= missing)) {
      continue;
    }
    if (static_cast<int>(named.size()) == kNamed) {
      ++others;
      if (slot.state == State::kAsked && slot.progress) {
        slowest = std::min(slowest.value_or(1), *slot.progress);
      }
    } else {
      named.push_back(absl::StrCat(slot.client, " (", DescribeSlot(slot), ")"));
      if (slot.state == State::kAsked && slot.progress) {
        named.back().insert(named.back().size() - 1,
                            absl::StrCat(", ", Percent(*slot.progress)));
      }
    }
  }
  std::string text = absl::StrCat(
      "waiting for ", std::max(missing, 1), " of ", options_.needed,
      options_.needed == 1 ? " answer: " : " answers: ",
      absl::StrJoin(named, ", "));
  if (others > 0) absl::StrAppend(&text, " and ", others, " more");
  if (slowest) absl::StrAppend(&text, ", the slowest at ", Percent(*slowest));
  if (named.empty()) absl::StrAppend(&text, "more clients have to join");
  return text;
}

}  // namespace parley
