#include "client/session/peer_outbox.h"

#include <utility>

namespace parley {

void PeerOutbox::Add(v1::PeerReport report) {
  reports_.push_back(std::move(report));
  if (reports_.size() <= kMaxReports) return;
  reports_.pop_front();
  if (sent_ > 0) --sent_;
  ++dropped_;
}

void PeerOutbox::Taken(int64_t round) {
  while (!reports_.empty() && sent_ > 0 && reports_.front().round() <= round) {
    reports_.pop_front();
    --sent_;
  }
}

void PeerOutbox::Clear() {
  reports_.clear();
  done_.reset();
  Restart();
}

void PeerOutbox::Restart() {
  sent_ = 0;
  done_sent_ = false;
  not_before_ = absl::InfinitePast();
}

std::optional<v1::ClientMessage> PeerOutbox::Next(absl::Time now) {
  if (now < next_at()) return std::nullopt;
  v1::ClientMessage message;
  if (sent_ < reports_.size()) {
    v1::PeerReports& batch = *message.mutable_peer_reports();
    while (sent_ < reports_.size() && batch.report_size() < kMaxBatch) {
      *batch.add_report() = reports_[sent_++];
    }
    not_before_ = now + kPause;
  } else {
    *message.mutable_peer_done() = *done_;
    done_sent_ = true;
  }
  return message;
}

absl::Time PeerOutbox::next_at() const {
  if (sent_ < reports_.size()) return not_before_;
  if (done_ && !done_sent_) return absl::InfinitePast();
  return absl::InfiniteFuture();
}

}  // namespace parley
