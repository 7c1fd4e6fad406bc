#include "server/host/lobby.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/registry/registry.h"

namespace parley {
namespace {

v1::Goodbye Farewell(absl::string_view reason, bool retry) {
  v1::Goodbye goodbye;
  goodbye.set_reason(std::string(reason));
  goodbye.set_retry(retry);
  return goodbye;
}

// A client may wait for one run that it took part in, and for any other.
std::string PlaceOf(const v1::ClientMessage& hello) {
  return absl::StrCat(hello.register_().name(), " ", hello.run());
}

}  // namespace

void Answers::SendAway(std::shared_ptr<SessionSink> sink, v1::Goodbye goodbye,
                       absl::Status why) {
  v1::ServerMessage message;
  *message.mutable_goodbye() = std::move(goodbye);
  Send(sink, std::move(message));
  Close(std::move(sink), std::move(why));
}

void Answers::Deliver() && {
  for (Answer& answer : answers_) {
    if (answer.close) {
      answer.sink->Close(answer.why);
    } else {
      answer.sink->Send(answer.message);
    }
  }
}

// A guest sends nothing: it is not registered anywhere, so there is no lease to
// renew by heartbeats.
Lobby::Lobby(size_t max_guests)
    : max_guests_(max_guests), table_(kPatience, kPatience) {}

void Lobby::Open(SessionId id, PeerIdentity peer,
                 std::shared_ptr<SessionSink> sink, absl::Time now,
                 Answers* out) {
  const auto crowded_out = table_.Open(id, peer, now);
  sessions_[id] = {std::move(peer), std::move(sink), {}};
  if (!crowded_out) return;
  const absl::Status why = SessionTable::CrowdedOut();
  SendAway(*crowded_out, Farewell(why.message(), true), why, out);
}

void Lobby::Return(SessionId id, Guest guest, absl::Time now, Answers* out) {
  Open(id, std::move(guest.peer), std::move(guest.sink), now, out);
  Guest& returned = sessions_[id];
  returned.hello = std::move(guest.hello);
  Admit(id, returned, now, out);
}

const Guest* Lobby::Hear(SessionId id, v1::ClientMessage message,
                         absl::Time now, Answers* out) {
  Session* const session = table_.Find(id);
  if (session == nullptr) return nullptr;  // crossed its end
  Guest& guest = sessions_[id];
  if (!table_.Spend(*session, now)) {
    const absl::Status why = table_.TooFast();
    SendAway(id, Farewell(why.message(), true), why, out);
    return nullptr;
  }
  const bool waits = !session->client.empty();
  if (message.has_leave()) {
    SendAway(id, Farewell("goodbye", false), absl::OkStatus(), out);
  } else if (waits) {
    return nullptr;  // whatever it is, it is for no run
  } else if (!message.has_register_()) {
    SendAway(id, Farewell("the first message has to be Register", false),
             absl::FailedPreconditionError("not registered"), out);
  } else {
    guest.hello = std::move(message);
    Admit(id, guest, now, out);
  }
  return Find(id);
}

void Lobby::Admit(SessionId id, Guest& guest, absl::Time now, Answers* out) {
  const v1::Register& hello = guest.hello.register_();
  absl::Status wrong = CheckIdentity(hello, guest.peer.certificate_name);
  if (const size_t bytes = guest.hello.ByteSizeLong();
      wrong.ok() && bytes > kMaxHelloBytes) {
    wrong = absl::InvalidArgumentError(absl::StrCat(
        "a Register of ", bytes, " bytes; it may have ", kMaxHelloBytes));
  }
  const std::string place = PlaceOf(guest.hello);
  const auto known = places_.find(place);
  if (wrong.ok() && known == places_.end() && places_.size() >= max_guests_) {
    wrong = absl::ResourceExhaustedError(absl::StrCat(
        max_guests_, " clients wait for a run already (--max-clients)"));
  }
  if (!wrong.ok()) {
    return SendAway(id,
                    Farewell(wrong.message(), absl::IsResourceExhausted(wrong)),
                    wrong, out);
  }
  if (known != places_.end()) {
    const SessionId earlier = known->second;
    const bool other = sessions_[earlier].hello.register_().incarnation() !=
                       hello.incarnation();
    SendAway(earlier,
             Farewell(other ? "another process joined under this name"
                            : "a later session took its place",
                      !other),
             absl::AbortedError("a later session took its place"), out);
  }
  table_.Register(*table_.Find(id), hello.name());
  places_[place] = id;
  next_notice_ = std::min(next_notice_, now + kNoticeEvery);
}

void Lobby::Erase(SessionId id) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return;
  const auto place = places_.find(PlaceOf(it->second.hello));
  if (place != places_.end() && place->second == id) places_.erase(place);
  sessions_.erase(it);
  table_.Erase(id);
}

void Lobby::CloseAll(const v1::Goodbye& goodbye, Answers* out) {
  for (auto& [id, guest] : sessions_) {
    out->SendAway(std::move(guest.sink), goodbye,
                  absl::UnavailableError(goodbye.reason()));
  }
  sessions_.clear();
  places_.clear();
  table_.Clear();
}

std::vector<SessionId> Lobby::guests() const {
  std::vector<SessionId> ids;
  for (const auto& [id, guest] : sessions_) {
    if (guest.hello.has_register_()) ids.push_back(id);
  }
  return ids;
}

const Guest* Lobby::Find(SessionId id) const {
  const auto it = sessions_.find(id);
  if (it == sessions_.end() || !it->second.hello.has_register_()) {
    return nullptr;
  }
  return &it->second;
}

Guest Lobby::Take(SessionId id) {
  Guest guest = sessions_[id];
  Erase(id);
  return guest;
}

void Lobby::SendAway(SessionId id, v1::Goodbye goodbye, absl::Status why,
                     Answers* out) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return;
  out->SendAway(it->second.sink, std::move(goodbye), std::move(why));
  Erase(id);
}

void Lobby::Tell(SessionId id, absl::string_view text, Answers* out) const {
  const Guest* const guest = Find(id);
  if (guest == nullptr) return;
  v1::ServerMessage message;
  message.mutable_notice()->set_text(std::string(text));
  out->Send(guest->sink, std::move(message));
}

void Lobby::Tick(absl::Time now, Answers* out) {
  while (const auto id = table_.NextSilent(now)) {
    SendAway(*id, Farewell("no Register came", true),
             absl::DeadlineExceededError("no Register came"), out);
  }
}

bool Lobby::TakeNotice(absl::Time now) {
  if (now < next_notice_) return false;
  next_notice_ = places_.empty() ? absl::InfiniteFuture() : now + kNoticeEvery;
  return true;
}

absl::Time Lobby::NextTimer() const {
  return std::min(next_notice_, table_.NextTimer());
}

}  // namespace parley
