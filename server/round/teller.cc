#include "server/round/teller.h"

#include <algorithm>
#include <utility>

namespace parley {
namespace {

constexpr absl::Duration kSayEvery = absl::Seconds(10);
constexpr absl::Duration kStatusEvery = absl::Milliseconds(100);

}  // namespace

void Teller::TellStatus() {
  const absl::Time now = context_.out.now;
  v1::RunStatus status = flow_.Status();
  Step step(status.state(), status.phase(), status.round());
  const Counts counts(status.asked(), status.done(), status.clients());
  const bool moved = step != step_;
  if (moved || counts != counts_) {
    step_ = std::move(step);
    counts_ = counts;
    changed_at_ = now;
    waits_for_.clear();
    owes_ = true;
  }
  // No change to those who wait: a task may go on for ever.
  const int64_t progress =
      flow_.phase() == nullptr ? 0 : flow_.phase()->progress_told();
  if (std::exchange(progress_, progress) != progress) owes_ = true;
  if (!owes_ || (!moved && now < told_at_ + kStatusEvery)) return;
  owes_ = false;
  told_at_ = now;
  if (!waits_for_.empty()) status.set_detail(waits_for_);
  if (flow_.phase() != nullptr) flow_.phase()->DescribeClients(&status);
  context_.out.Add(effect::StatusChanged{std::move(status)});
}

std::string Teller::TellWaiting() {
  if (context_.out.now < changed_at_ + kSayEvery) return "";
  changed_at_ = context_.out.now;
  waits_for_ = flow_.WaitsFor();
  if (waits_for_.empty()) return "";
  context_.out.Say(waits_for_);
  owes_ = true;
  TellStatus();
  return waits_for_;
}

absl::Time Teller::NextTimer() const {
  const absl::Time say = changed_at_ + kSayEvery;
  return owes_ ? std::min(say, told_at_ + kStatusEvery) : say;
}

}  // namespace parley
