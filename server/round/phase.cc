#include "server/round/phase.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/wire/encoding.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"
#include "server/round/update_check.h"

namespace parley {
namespace {

constexpr absl::Duration kFirstBackOff = absl::Seconds(1);
constexpr absl::Duration kMaxBackOff = absl::Seconds(30);

// A client that failed is not asked again at once.
void Blame(Client& client, absl::Time now) {
  const int doublings = std::min(client.failures++, 5);
  client.not_before =
      now + std::min(kMaxBackOff, kFirstBackOff * (int64_t{1} << doublings));
}

// So many clients' numbers may wait in memory as parts of messages: as much as
// transfers with all their permits would hold.
size_t InlineSlots(const v1::Task& task, const RoundContext& context) {
  const uint64_t answer =
      context.options.spec.elements() * EncodedSize(task.update_encoding());
  const uint64_t bytes = std::max(BytesOf(task.payloads()), answer);
  const uint64_t most = context.options.config.wire().inline_bytes();
  if (bytes == 0 || bytes > most) return 0;
  return context.desk.permits() * kMaxChunkBytes / bytes;
}

}  // namespace

Phase::Phase(Options options, RoundContext* context)
    : options_(std::move(options)),
      context_(*context),
      inline_slots_(InlineSlots(options_.task, *context)),
      replacement_draw_(context->options.config.seed(), "",
                        options_.task.task().round(), "replacement") {
  slots_.reserve(options_.members.size());
  for (const std::string& name : options_.members) Append(name);
}

void Phase::Append(const std::string& name) {
  const size_t i = slots_.size();
  slots_.emplace_back().client = name;
  slot_of_[name] = i;
  ++open_;
  AskOrHold(i);
}

Phase::Slot* Phase::SlotOf(absl::string_view client) {
  const auto it = slot_of_.find(client);
  return it == slot_of_.end() ? nullptr : &slots_[it->second];
}

v1::TaskId Phase::IdOf(const Slot& slot) const {
  v1::TaskId id = options_.task.task();
  id.set_client(slot.client);
  id.set_attempt(slot.attempt);
  return id;
}

bool Phase::Names(const Slot& slot, const v1::TaskId& task) const {
  const v1::TaskId& mine = options_.task.task();
  return task.client() == slot.client && task.attempt() == slot.attempt &&
         task.round() == mine.round() && task.phase() == mine.phase() &&
         task.term() == mine.term() && task.run() == mine.run();
}

// -------------------------------------------------------------------- asking

void Phase::AskOrHold(size_t i) {
  Slot& slot = slots_[i];
  slot.state = State::kHeld;
  slot.progress.reset();
  const Client* client = context_.registry.Find(slot.client);
  if (client == nullptr || client->session == 0) return;  // OnRegistered asks
  if (client->not_before > context_.out.now) {
    due_.insert({client->not_before, i});
    return;
  }
  slot.state = State::kAsked;
  slot.incarnation = client->incarnation;
  slot.with_chunks = client->reads_inline && i < inline_slots_;
  SendTask(slot, *client, slot.with_chunks);
}

void Phase::SendTask(const Slot& slot, const Client& client, bool with_chunks) {
  v1::ServerMessage message;
  v1::Task& task = *message.mutable_task();
  task = options_.task;
  *task.mutable_task() = IdOf(slot);
  task.set_update_inline(with_chunks);
  if (with_chunks) context_.bytes_down += BytesOf(task.payloads());
  const absl::Duration left = options_.deadline - context_.out.now;
  if (left > absl::ZeroDuration() && left < absl::InfiniteDuration()) {
    task.set_deadline_ms(std::max<int64_t>(1, absl::ToInt64Milliseconds(left)));
  }
  context_.out.Send(client, std::move(message));
}

void Phase::Restart(size_t i) {
  EndTransfers(i);
  DropStaging(i);
  WakeStarved();
  ++slots_[i].attempt;
  AskOrHold(i);
}

void Phase::OnRegistered(Client& client, Admission::Kind kind) {
  Slot* slot = SlotOf(client.name);
  if (closed_) return;
  if (slot == nullptr) {
    no_spare_ = false;
    Refill();
    return;
  }
  const size_t i = IndexOf(*slot);
  const bool same_process = client.incarnation == slot->incarnation;
  switch (slot->state) {
    case State::kHeld:
      AskOrHold(i);
      break;
    case State::kAsked:
      if (same_process) {
        // Within a message again it might break a slow link again, and again;
        // a download goes on where it stopped.
        SendTask(*slot, client, /*with_chunks=*/false);
      } else {
        Restart(i);
      }
      break;
    case State::kReady:
      if (!same_process) {
        Restart(i);
      } else if (slot->upload_runs) {
        // Of the connection that broke; its end tells where to go on.
        context_.out.Add(effect::CancelTransfer{slot->upload});
      } else {
        DropGrant(i);
        WantUpload(i);
      }
      break;
    case State::kWhole:
      if (kind == Admission::Kind::kResumed && same_process) {
        SendVerdict(context_.out, client, IdOf(*slot), true, "");
      }
      break;
    case State::kFailed:
      retryable_.insert(i);
      Refill();
      break;
  }
}

void Phase::OnDisconnected(const Client& client) {
  Slot* slot = SlotOf(client.name);
  if (slot == nullptr || closed_ || slot->state != State::kReady) return;
  const size_t i = IndexOf(*slot);
  DropGrant(i);
  if (slot->upload == 0) context_.desk.uploads.Withdraw(i);
}

void Phase::OnGone(const std::string& name, absl::string_view reason) {
  Slot* slot = SlotOf(name);
  if (slot == nullptr || closed_) return;
  if (slot->state == State::kFailed) {
    retryable_.erase(IndexOf(*slot));
  } else if (slot->state != State::kWhole) {
    Fail(IndexOf(*slot), reason);
  }
}

// ------------------------------------------------------------------- answers

void Phase::OnUpdateReady(Client& client, v1::UpdateReady update) {
  Slot* slot = SlotOf(client.name);
  if (slot == nullptr || !Names(*slot, update.task())) {
    AnswerLate(context_.out, client, update.task());
    return;
  }
  const size_t i = IndexOf(*slot);
  if (slot->state == State::kWhole) {
    SendVerdict(context_.out, client, IdOf(*slot), true, "");
    return;
  }
  if (closed_ || slot->state == State::kFailed || slot->state == State::kHeld) {
    AnswerLate(context_.out, client, update.task());
    return;
  }
  if (slot->state == State::kReady) return;  // said twice
  if (update.chunks_size() > 0 && !slot->with_chunks) {
    Refuse(i, "chunks came with the answer, which the task did not allow");
    return;
  }
  const absl::Status checked =
      CheckUpdate(update, options_.task, context_.options.spec,
                  context_.options.config.limits().max_weight());
  if (!checked.ok()) {
    Refuse(i, checked.message());
    return;
  }
  InlineChunks chunks;
  chunks.Swap(update.mutable_chunks());
  slot->header = std::move(update);
  slot->total = BytesOf(slot->header.payloads());
  if (slot->total == 0) {
    Accept(i);
    return;
  }
  slot->state = State::kReady;
  slot->misses = 0;
  slot->checksums = 0;
  slot->retry_at = absl::InfinitePast();
  chunks.empty() ? WantUpload(i) : StageChunks(i, std::move(chunks));
}

void Phase::Accept(size_t i) {
  Slot& slot = slots_[i];
  slot.state = State::kWhole;
  ++whole_;
  --open_;
  if (Client* client = context_.registry.Find(slot.client)) {
    client->failures = 0;
    client->not_before = absl::InfinitePast();
    SendVerdict(context_.out, *client, IdOf(slot), true, "");
  }
  FoldPrefix();
}

void Phase::Refuse(size_t i, absl::string_view reason) {
  const Slot& slot = slots_[i];
  if (Client* client = context_.registry.Find(slot.client)) {
    SendVerdict(context_.out, *client, IdOf(slot), false, reason);
    Blame(*client, context_.out.now);
  }
  ++failures_;
  Fail(i, absl::StrCat("refused: ", reason));
}

void Phase::OnTaskFailed(Client& client, const v1::TaskFailed& failure) {
  Slot* slot = SlotOf(client.name);
  if (slot == nullptr || closed_ || !Names(*slot, failure.task()) ||
      (slot->state != State::kAsked && slot->state != State::kReady)) {
    AnswerLate(context_.out, client, failure.task());
    return;
  }
  Blame(client, context_.out.now);
  ++failures_;
  Fail(IndexOf(*slot),
       absl::StrCat("the client failed: ", Printable(failure.reason())));
}

void Phase::Fail(size_t i, absl::string_view reason) {
  Slot& slot = slots_[i];
  EndTransfers(i);
  DropStaging(i);
  slot.state = State::kFailed;
  slot.reason = last_reason_ = std::string(reason);
  slot.closed = !options_.wait;
  --open_;
  context_.out.Warn(absl::StrCat("round ", options_.task.task().round(), ": ",
                                 slot.client, ": ", reason));
  if (Client* client = context_.registry.Find(slot.client)) {
    SendTaskOver(context_.out, *client, IdOf(slot), false, reason);
    retryable_.insert(i);
  }
  if (!slot.closed) failed_.insert(i);
  WakeStarved();
  FoldPrefix();
  Refill();
}

void Phase::OnProgress(const Client& client, const v1::TaskProgress& progress) {
  Slot* slot = SlotOf(client.name);
  // One that crossed the task's end tells nothing any more.
  if (slot == nullptr || closed_ || slot->state != State::kAsked ||
      !Names(*slot, progress.task())) {
    return;
  }
  slot->progress = progress.fraction();
  ++progress_told_;
}

// --------------------------------------------------------------------- order

void Phase::FoldPrefix() {
  const size_t before = folded_;
  for (; folded_ < slots_.size(); ++folded_) {
    Slot& slot = slots_[folded_];
    if (slot.state == State::kWhole) {
      slot.folded = true;
      if (slot.update != 0)
        context_.out.Add(
            effect::Fold{slot.update, options_.task.task().round()});
    } else if (slot.state != State::kFailed || !slot.closed) {
      break;
    }
  }
  if (folded_ != before) WakeStarved();
}

void Phase::Refill() {
  if (!options_.wait || closed_) return;
  while (whole_ + open_ < options_.quorum) {
    if (const auto name = DrawReplacement()) {
      if (!failed_.empty()) {  // has lost its place
        slots_[*failed_.begin()].closed = true;
        failed_.erase(failed_.begin());
      }
      Append(*name);
      FoldPrefix();
    } else if (!retryable_.empty()) {
      const size_t i = *retryable_.begin();
      retryable_.erase(i);
      if (slots_[i].closed) {
        Append(std::string(slots_[i].client));
      } else {
        failed_.erase(i);
        ++open_;
        Restart(i);
      }
    } else {
      return;
    }
  }
}

std::optional<std::string> Phase::DrawReplacement() {
  if (!options_.replace || no_spare_) return std::nullopt;
  const std::vector<std::string>& names = context_.pool.Sorted();
  const size_t start =
      names.empty() ? 0 : replacement_draw_.Below(names.size());
  for (size_t k = 0; k < names.size(); ++k) {
    const std::string& name = names[(start + k) % names.size()];
    if (slot_of_.contains(name)) continue;
    const Client* client = context_.registry.Find(name);
    if (client == nullptr) continue;
    if (options_.task.kind() == v1::EVALUATE && !client->evaluates) continue;
    return name;
  }
  no_spare_ = true;
  return std::nullopt;
}

Phase::Outcome Phase::outcome() const {
  const bool late = context_.out.now >= options_.deadline;
  if (whole_ >= options_.needed) return Outcome::kFull;
  if ((open_ == 0 || late) && whole_ >= options_.quorum) return Outcome::kFull;
  if (options_.wait && !hopeless()) return Outcome::kOpen;
  return hopeless() || late || whole_ + open_ < options_.quorum
             ? Outcome::kTooFew
             : Outcome::kOpen;
}

bool Phase::hopeless() const {
  if (whole_ > 0 ||
      failures_ < kMaxFailures * std::max<int64_t>(1, context_.pool.size())) {
    return false;
  }
  // One that has not failed so often may be at work still.
  const std::vector<std::string>& names = context_.pool.Sorted();
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    const Client* client = context_.registry.Find(name);
    return client == nullptr || client->failures >= kMaxFailures;
  });
}

void Phase::Close() {
  Finish(whole_ >= options_.needed
             ? absl::StrCat("not needed: ", whole_, " others answered first")
             : "late: the deadline had passed",
         true);
}

void Phase::Abandon(absl::string_view reason) { Finish(reason, false); }

void Phase::Finish(absl::string_view reason, bool count) {
  closed_ = true;
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    EndTransfers(i);
    slot.closed = true;
    if (slot.state == State::kFailed) continue;
    if (slot.state == State::kWhole && count) continue;
    --(slot.state == State::kWhole ? whole_ : open_);
    const bool was_asked = slot.state != State::kHeld;
    slot.state = State::kFailed;
    slot.reason = std::string(reason);
    if (!slot.folded) DropStaging(i);
    Client* client = context_.registry.Find(slot.client);
    if (client != nullptr && was_asked) {
      SendTaskOver(context_.out, *client, IdOf(slot), false, reason);
    }
  }
  FoldPrefix();
}

void Phase::TellCounted() {
  for (const Slot& slot : slots_) {
    if (slot.state != State::kWhole) continue;
    Client* client = context_.registry.Find(slot.client);
    if (client != nullptr)
      SendTaskOver(context_.out, *client, IdOf(slot), true, "");
  }
}

}  // namespace parley
