#include "server/round/reception.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/round/update_check.h"

namespace parley {
namespace {

constexpr int kMaxStrikes = 10;  // messages that make no sense, of one session

// For people.
std::string NameOf(const Session& session) {
  return Printable(session.client.empty() ? session.peer.address
                                          : session.client);
}

}  // namespace

Reception::Reception(v1::ServerMessage welcome, absl::Duration lease,
                     Registry* registry, RunOutbox* out,
                     std::function<void(Client&)> on_disconnected)
    : welcome_(std::move(welcome)),
      lease_(lease),
      registry_(registry),
      out_(out),
      on_disconnected_(std::move(on_disconnected)),
      sessions_(lease_,
                absl::Milliseconds(welcome_.registered().heartbeat_ms())) {}

void Reception::Open(event::SessionOpened& e) {
  if (closed_) {
    out_->Goodbye(e.session, "the run is over", true, false);
    return out_->EndSession(e.session, absl::OkStatus());
  }
  const auto crowded_out =
      sessions_.Open(e.session, std::move(e.peer), out_->now);
  if (!crowded_out) return;
  const absl::Status why = SessionTable::CrowdedOut();
  out_->Goodbye(*crowded_out, why.message(), false, true);
  End(*crowded_out, why);
}

void Reception::Forget(SessionId id) {
  const Session* const session = sessions_.Find(id);
  if (session == nullptr) return;
  const std::string name = session->client;
  sessions_.Erase(id);
  Client* const client = registry_->Find(name);
  if (client == nullptr || client->session != id) return;
  client->session = 0;
  if (on_disconnected_) on_disconnected_(*client);
}

void Reception::End(SessionId id, absl::Status why) {
  if (sessions_.Find(id) == nullptr) return;
  out_->EndSession(id, std::move(why));
  Forget(id);
}

void Reception::Refuse(SessionId id, const Session& session,
                       const absl::Status& why) {
  out_->Warn(absl::StrCat(NameOf(session),
                          " was turned away: ", Printable(why.message())));
  out_->Goodbye(id, why.message(), false, absl::IsResourceExhausted(why));
  End(id, why);
}

void Reception::Strike(SessionId id, Session& session, absl::string_view what) {
  out_->Warn(absl::StrCat(NameOf(session), ": ", what, "; passed over"));
  if (++session.strikes < kMaxStrikes) return;
  out_->Goodbye(id,
                absl::StrCat("too many messages that make no sense: ", what),
                false, false);
  End(id, absl::InvalidArgumentError("messages that make no sense"));
}

Reception::Heard Reception::Hear(const event::MessageReceived& e) {
  Session* const session = sessions_.Find(e.session);
  if (session == nullptr) return {};  // crossed its end
  if (!sessions_.Spend(*session, out_->now)) {
    const absl::Status why = sessions_.TooFast();
    out_->Warn(absl::StrCat(NameOf(*session), " sent ", why.message()));
    out_->Goodbye(e.session, why.message(), false, true);
    End(e.session, why);
    return {};
  }
  const v1::ClientMessage& message = e.message;
  if (message.has_register_()) {
    if (message.run().empty() || message.run() == out_->run()) {
      return {session, nullptr};
    }
    Refuse(e.session, *session,
           absl::NotFoundError(absl::StrCat("this coordinator runs '",
                                            out_->run(), "', not '",
                                            Printable(message.run()), "'")));
    return {};
  }
  Client* const client = registry_->Find(session->client);
  if (session->client.empty() || client == nullptr) {
    Refuse(
        e.session, *session,
        absl::FailedPreconditionError("the first message has to be Register"));
    return {};
  }
  if (message.run() != out_->run() || message.term() != out_->term()) {
    Strike(e.session, *session, "a message of another run or term");
    return {};
  }
  registry_->Renew(*client, out_->now);
  return {session, client};
}

std::optional<Admission> Reception::Admit(SessionId id, Session& session,
                                          const v1::Register& request,
                                          const absl::Status& fits) {
  if (!session.client.empty() && session.client != request.name()) {
    Strike(id, session, "a second Register, under another name");
    return std::nullopt;
  }
  if (!fits.ok()) {
    Refuse(id, session, fits);
    return std::nullopt;
  }
  const auto admission =
      registry_->Admit(id, request, session.peer.certificate_name, out_->now);
  if (!admission.ok()) {
    Refuse(id, session, admission.status());
    return std::nullopt;
  }
  Client& client = *admission->client;
  sessions_.Register(session, client.name);
  if (admission->displaced != 0) {
    if (admission->kind == Admission::Kind::kRestarted) {
      out_->Goodbye(admission->displaced,
                    "another process joined under this name", false, false);
    }
    End(admission->displaced,
        absl::AbortedError("a later session took its place"));
  }
  v1::ServerMessage welcome = welcome_;
  welcome.mutable_registered()->set_token(client.token);
  if (client.part) welcome.mutable_registered()->set_part(*client.part);
  out_->Send(client, std::move(welcome));
  return *admission;
}

void Reception::Expire(
    absl::FunctionRef<void(const std::string& name, const std::string& reason)>
        lose) {
  while (const Client* client = registry_->NextExpired(out_->now)) {
    const std::string name = client->name;
    const SessionId session = client->session;
    if (session != 0) {
      out_->Goodbye(session, "silent for longer than the lease", false, true);
      End(session, absl::DeadlineExceededError("the lease is over"));
    }
    lose(name,
         absl::StrCat("is lost: silent for ", absl::FormatDuration(lease_)));
  }
  while (const auto id = sessions_.NextSilent(out_->now)) {
    out_->Goodbye(*id, "no Register came", false, true);
    End(*id, absl::DeadlineExceededError("no Register came"));
  }
}

absl::Time Reception::NextTimer() const {
  return std::min(registry_->NextExpiry(), sessions_.NextTimer());
}

void Reception::Close(absl::string_view reason, bool well) {
  closed_ = true;
  for (const auto& [id, session] : sessions_.all()) {
    out_->Goodbye(id, reason, well, false);
    out_->EndSession(id, absl::OkStatus());
  }
  sessions_.Clear();
}

}  // namespace parley
