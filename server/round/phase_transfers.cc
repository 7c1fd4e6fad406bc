// How the numbers of a phase come and go: permits, grants, room in the staging
// area.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/wire/spec.h"
#include "server/round/phase.h"

namespace parley {
namespace {

constexpr int kMaxChecksums = 3;  // wrong ones of one update

// Pauses between uploads that came to nothing.
absl::Duration RetryPause(int misses) {
  return std::min(absl::Seconds(10),
                  absl::Milliseconds(250) * (1 << std::min(misses, 6)));
}

}  // namespace

// ----------------------------------------------------------------- downloads

void Phase::OnDownloadRequested(TransferId transfer,
                                const v1::DownloadRequest& request) {
  Slot* slot = SlotOf(request.task().client());
  if (slot == nullptr || closed_ || !Names(*slot, request.task()) ||
      slot->state != State::kAsked) {
    Answer(transfer, absl::AbortedError("this task is over or was begun anew"));
    return;
  }
  const uint64_t total = BytesOf(options_.task.payloads());
  if (request.offset() > total) {
    Answer(transfer, absl::InvalidArgumentError(absl::StrCat(
                         "offset ", request.offset(), " lies beyond the ",
                         total, " bytes of the task's payloads")));
    return;
  }
  const size_t i = IndexOf(*slot);
  if (slot->download_runs) {  // on a connection that broke
    context_.out.Add(effect::CancelTransfer{slot->download});
    context_.desk.Detach(slot->download);
  } else if (slot->download != 0) {
    Answer(slot->download,
           absl::AbortedError("another download took its place"));
  }
  slot->download = transfer;
  slot->download_runs = false;
  slot->download_offset = request.offset();
  queued_[transfer] = i;
  context_.desk.downloads.Want(i, 0);
}

// ------------------------------------------------------------------- uploads

void Phase::OnUploadRequested(TransferId transfer, const v1::TaskId& task) {
  Slot* slot = SlotOf(task.client());
  if (slot == nullptr || closed_ || !Names(*slot, task) ||
      slot->state != State::kReady) {
    Answer(transfer, absl::AbortedError("no upload is wanted for this task"));
    return;
  }
  if (slot->upload != 0 || slot->granted_offset != slot->staged) {
    Answer(transfer, absl::FailedPreconditionError(
                         "wait for the next GrantUpload, then begin where it "
                         "says"));
    return;
  }
  const size_t i = IndexOf(*slot);
  slot->upload = transfer;
  if (slot->granted) {
    slot->granted = false;  // its permit passes on to the transfer
    grants_.erase({slot->grant_end, i});
    BeginUpload(i);
  } else {  // its grant had run out
    queued_[transfer] = i;
    context_.desk.uploads.Want(i, slot->misses);
  }
}

void Phase::WantUpload(size_t i) {
  const Slot& slot = slots_[i];
  if (slot.state != State::kReady || slot.upload_runs || slot.granted ||
      slot.starved) {
    return;
  }
  const Client* client = context_.registry.Find(slot.client);
  if (slot.upload == 0 && (client == nullptr || client->session == 0)) return;
  if (slot.retry_at > context_.out.now) {
    due_.insert({slot.retry_at, i});
    return;
  }
  context_.desk.uploads.Want(i, slot.misses);
}

void Phase::BeginUpload(size_t i) {
  Slot& slot = slots_[i];
  if (slot.update == 0) {
    slot.update = ++context_.last_update;
    context_.out.Add(
        effect::OpenStaging{slot.update, slot.client, slot.header});
  }
  queued_.erase(slot.upload);
  slot.upload_runs = true;
  slot.granted_offset.reset();
  context_.desk.Start(slot.upload, TransferDesk::Way::kUp, i);
  context_.out.Add(effect::AnswerTransfer{slot.upload, absl::OkStatus(),
                                          slot.update, slot.staged});
}

void Phase::OnTransferEnded(size_t i, TransferDesk::Way way,
                            const event::TransferEnded& ended) {
  Slot& slot = slots_[i];
  if (way == TransferDesk::Way::kDown) {
    slot.download = 0;
    slot.download_runs = false;
    return;
  }
  slot.upload = 0;
  slot.upload_runs = false;
  OnUploadEnded(i, ended.status, ended.staged);
}

void Phase::StageChunks(size_t i, InlineChunks chunks) {
  Slot& slot = slots_[i];
  slot.update = ++context_.last_update;
  context_.out.Add(effect::OpenStaging{slot.update, slot.client, slot.header});
  context_.out.Add(
      effect::StageChunks{slot.update, slot.client, std::move(chunks)});
}

void Phase::OnChunksStaged(const event::ChunksStaged& ended) {
  Slot* slot = SlotOf(ended.client);
  if (slot == nullptr || slot->update != ended.update || closed_) return;
  const size_t i = IndexOf(*slot);
  if (absl::IsResourceExhausted(ended.status)) {
    return WantUpload(i);  // which waits until there is room
  }
  OnUploadEnded(i, ended.status, ended.staged);
}

void Phase::OnUploadEnded(size_t i, const absl::Status& status,
                          uint64_t staged) {
  Slot& slot = slots_[i];
  const bool progress = staged > slot.staged;
  slot.staged = std::min(staged, slot.total);
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kFailedPrecondition:
      Refuse(i, status.message());
      return;
    case absl::StatusCode::kResourceExhausted:
      Starve(i);
      return;
    default:
      break;
  }
  if (slot.staged == slot.total) {
    Accept(i);
    return;
  }
  if (status.code() == absl::StatusCode::kDataLoss &&
      ++slot.checksums > kMaxChecksums) {
    Refuse(i, absl::StrCat(slot.checksums,
                           " wrong checksums: ", status.message()));
    return;
  }
  if (progress) slot.misses = 0;
  const Client* client = context_.registry.Find(slot.client);
  if (client == nullptr || client->session == 0)
    return;  // OnRegistered goes on
  if (!progress) {
    slot.retry_at = context_.out.now + RetryPause(slot.misses);
    Miss(i);
  } else {
    WantUpload(i);
  }
}

void Phase::Miss(size_t i) {
  Slot& slot = slots_[i];
  if (++slot.misses < kMaxMisses) {
    WantUpload(i);
    return;
  }
  Refuse(i, absl::StrCat("the upload was granted ", slot.misses,
                         " times and brought nothing"));
}

void Phase::ExpireGrants() {
  while (!grants_.empty() && grants_.begin()->first <= context_.out.now) {
    const size_t i = grants_.begin()->second;
    DropGrant(i);
    Miss(i);
  }
}

void Phase::DropGrant(size_t i) {
  Slot& slot = slots_[i];
  if (!slot.granted) return;
  slot.granted = false;
  grants_.erase({slot.grant_end, i});
  context_.desk.uploads.Release();
}

// ----------------------------------------------------- room for the updates

void Phase::Starve(size_t i) {
  if (slots_[i].staged == 0) DropStaging(i);
  slots_[i].starved = true;
  starved_.insert(i);
  // Those that wait for a client to come back must not hold up what is whole.
  while (!failed_.empty() && *failed_.begin() < i) {
    slots_[*failed_.begin()].closed = true;
    failed_.erase(failed_.begin());
  }
  FoldPrefix();
  if (i != folded_ || !slots_[i].starved) return;  // a fold makes room
  // The first in line needs the room of those behind it.
  for (size_t j = slots_.size(); j-- > i + 1;) {
    const Slot& other = slots_[j];
    if (other.update == 0 || other.upload_runs || other.folded) continue;
    Evict(j);
    slots_[i].starved = false;
    starved_.erase(i);
    WantUpload(i);
    return;
  }
  Refuse(i,
         absl::StrCat("the coordinator has no room for its ", slots_[i].total,
                      " bytes: raise limits.staging_bytes or "
                      "limits.staging_disk_bytes"));
}

void Phase::Evict(size_t j) {
  Slot& slot = slots_[j];
  if (slot.state == State::kWhole) {
    --whole_;
    ++open_;
    slot.state = State::kReady;
  }
  DropGrant(j);
  context_.desk.uploads.Withdraw(j);
  context_.out.Add(effect::DropStaging{slot.update});
  slot.update = 0;
  slot.staged = 0;
  slot.granted_offset.reset();
  slot.starved = true;
  starved_.insert(j);
  const Client* client = context_.registry.Find(slot.client);
  if (client == nullptr) {
    Fail(j, "lost before its update was folded");
  } else if (client->incarnation != slot.incarnation) {
    Restart(j);
  }
}

void Phase::WakeStarved() {
  const std::set<size_t> starved = std::exchange(starved_, {});
  for (const size_t i : starved) slots_[i].starved = false;
  for (const size_t i : starved) WantUpload(i);
}

void Phase::DropStaging(size_t i) {
  Slot& slot = slots_[i];
  starved_.erase(i);
  slot.starved = false;
  if (slot.update == 0) return;
  context_.out.Add(effect::DropStaging{slot.update});
  slot.update = 0;
  slot.staged = 0;
  slot.granted_offset.reset();
}

// ------------------------------------------------------------------- permits

void Phase::EndTransfers(size_t i) {
  Slot& slot = slots_[i];
  const auto end = [&](TransferId& transfer, bool& runs) {
    if (transfer == 0) return;
    if (runs) {
      context_.out.Add(effect::CancelTransfer{transfer});
      context_.desk.Detach(transfer);
    } else {
      Answer(transfer,
             absl::AbortedError("this task is over or was begun anew"));
    }
    transfer = 0;
    runs = false;
  };
  end(slot.download, slot.download_runs);
  end(slot.upload, slot.upload_runs);
  DropGrant(i);
  slot.granted_offset.reset();
  context_.desk.downloads.Withdraw(i);
  context_.desk.uploads.Withdraw(i);
}

void Phase::Answer(TransferId transfer, absl::Status status) {
  queued_.erase(transfer);
  context_.out.Add(effect::AnswerTransfer{transfer, std::move(status)});
}

void Phase::OnTransferCancelled(TransferId transfer) {
  const auto it = queued_.find(transfer);
  if (it == queued_.end()) return;
  const size_t i = it->second;
  queued_.erase(it);
  Slot& slot = slots_[i];
  if (slot.download == transfer) {
    slot.download = 0;
    context_.desk.downloads.Withdraw(i);
  } else if (slot.upload == transfer) {
    slot.upload = 0;
    context_.desk.uploads.Withdraw(i);
    WantUpload(i);
  }
}

void Phase::CallDue() {
  while (!due_.empty() && due_.begin()->first <= context_.out.now) {
    const size_t i = due_.begin()->second;
    due_.erase(due_.begin());
    if (slots_[i].state == State::kHeld) {
      AskOrHold(i);
    } else {
      WantUpload(i);
    }
  }
}

void Phase::Pump() {
  if (closed_) return;
  ExpireGrants();
  CallDue();
  while (const auto i = context_.desk.downloads.Next()) {
    Slot& slot = slots_[*i];
    queued_.erase(slot.download);
    slot.download_runs = true;
    context_.desk.Start(slot.download, TransferDesk::Way::kDown, *i);
    context_.out.Add(effect::AnswerTransfer{slot.download, absl::OkStatus(), 0,
                                            slot.download_offset});
  }
  while (const auto i = context_.desk.uploads.Next()) {
    Slot& slot = slots_[*i];
    if (slot.upload != 0) {
      BeginUpload(*i);
      continue;
    }
    const Client* client = context_.registry.Find(slot.client);
    slot.granted = true;
    slot.granted_offset = slot.staged;
    slot.grant_end = context_.out.now + kGrantTime;
    grants_.insert({slot.grant_end, *i});
    v1::ServerMessage message;
    *message.mutable_grant_upload()->mutable_task() = IdOf(slot);
    message.mutable_grant_upload()->set_offset(slot.staged);
    context_.out.Send(*client, std::move(message));
  }
}

absl::Time Phase::NextTimer() const {
  if (closed_) return absl::InfiniteFuture();
  absl::Time next = absl::InfiniteFuture();
  if (!grants_.empty()) next = std::min(next, grants_.begin()->first);
  if (!due_.empty()) next = std::min(next, due_.begin()->first);
  if (options_.deadline > context_.out.now) {
    next = std::min(next, options_.deadline);
  }
  return next;
}

}  // namespace parley
