#include "tests/unit/rendezvous/rendezvous_world.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/wire/protocol.h"

namespace parley {

v1::RunConfig GossipRun(int peers, int rounds) {
  v1::RunConfig config;
  config.set_name("g");
  config.mutable_gossip()->mutable_topology()->mutable_ring();
  config.mutable_data()->mutable_train()->mutable_mixture();
  config.mutable_data()->mutable_partition()->set_parts(peers);
  config.mutable_stop()->set_rounds(rounds);
  config.mutable_limits()->set_lease_seconds(15);
  config.mutable_limits()->set_clients(100);
  return config;
}

void RendezvousWorld::Resume(int64_t told) {
  for (const v1::JournalRecord& record : records) {
    if (record.has_membership()) options_.membership = record.membership();
  }
  options_.told_rounds = told;
  ++options_.term;
  peers_.clear();
  machine_.emplace(options_);
  timer_ = absl::InfiniteFuture();
  Step(event::TimerFired{});
}

void RendezvousWorld::Step(RendezvousEvent event) {
  for (RendezvousEffect& effect : machine_->Step(std::move(event), now_)) {
    if (auto* e = std::get_if<effect::Send>(&effect)) {
      for (auto& [name, peer] : peers_) {
        if (peer.session != e->session) continue;
        if (e->message.has_registered()) peer.welcome = e->message.registered();
        if (e->message.has_membership()) {
          peer.memberships.push_back(e->message.membership());
        }
        if (e->message.has_reports_taken()) {
          peer.taken = e->message.reports_taken().round();
        }
        if (e->message.has_goodbye()) peer.goodbye = e->message.goodbye();
      }
    } else if (auto* e = std::get_if<effect::EndSession>(&effect)) {
      for (auto& [name, peer] : peers_) {
        if (peer.session == e->session) peer.session = 0;
      }
    } else if (auto* e = std::get_if<effect::Record>(&effect)) {
      records.push_back(e->record);
    } else if (auto* e = std::get_if<effect::TellRound>(&effect)) {
      reports.push_back(e->report);
    } else if (auto* e = std::get_if<effect::SetTimer>(&effect)) {
      timer_ = e->when;
    } else if (auto* e = std::get_if<effect::StatusChanged>(&effect)) {
      status = e->status;
    } else if (auto* e = std::get_if<effect::Say>(&effect)) {
      said.push_back(e->text);
    } else if (auto* e = std::get_if<effect::EndRun>(&effect)) {
      end = *e;
    }
  }
}

void RendezvousWorld::Advance(absl::Duration d) {
  const absl::Time until = now_ + d;
  while (timer_ <= until) {
    now_ = std::max(now_, std::exchange(timer_, absl::InfiniteFuture()));
    Step(event::TimerFired{});
  }
  now_ = until;
}

void RendezvousWorld::AdvanceWith(absl::Duration d,
                                  const std::vector<std::string>& names) {
  for (absl::Duration gone; gone < d; gone += absl::Seconds(5)) {
    for (const std::string& name : names) {
      v1::ClientMessage message;
      message.mutable_heartbeat();
      Say(name, std::move(message));
    }
    Advance(std::min(absl::Seconds(5), d - gone));
  }
}

v1::Register RendezvousWorld::Hello(const std::string& name) const {
  v1::Register hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_name(name);
  hello.set_incarnation(1);
  hello.add_kinds(v1::TRAIN);
  hello.add_features("gossip");
  hello.set_wants_part(options_.config.data().has_train());
  return hello;
}

void RendezvousWorld::Join(const std::string& name, const v1::Register& hello) {
  FakePeer& peer = peers_[name];
  if (peer.session == 0) {
    peer.session = ++last_session_;
    Step(event::SessionOpened{peer.session, {.address = "ip"}});
  }
  v1::ClientMessage message;
  *message.mutable_register_() = hello;
  Step(event::MessageReceived{peer.session, std::move(message)});
}

void RendezvousWorld::Join(const std::string& name,
                           const std::string& address) {
  v1::Register hello = Hello(name);
  hello.set_incarnation(peers_[name].incarnation);
  Join(name, hello);
  hello.set_peer_address(address);
  Join(name, hello);
}

void RendezvousWorld::Break(const std::string& name) {
  const SessionId session = std::exchange(peers_[name].session, 0);
  Step(event::SessionClosed{session, absl::UnavailableError("broken")});
}

void RendezvousWorld::Say(const std::string& name, v1::ClientMessage message) {
  message.set_run(options_.run);
  message.set_term(options_.term);
  Step(event::MessageReceived{peers_[name].session, std::move(message)});
}

void RendezvousWorld::Report(const std::string& name, int64_t round,
                             double loss, int64_t epoch, double omega) {
  v1::ClientMessage message;
  v1::PeerReport& report = *message.mutable_peer_reports()->add_report();
  report.set_round(round);
  report.set_epoch(epoch);
  report.set_examples(10);
  report.set_omega(omega);
  (*report.mutable_scalars())["loss"] = loss;
  report.set_used_edges(2);
  report.set_bytes_sent(100);
  report.set_bytes_received(90);
  Say(name, std::move(message));
}

void RendezvousWorld::Done(const std::string& name, uint64_t hash,
                           bool averaged) {
  v1::ClientMessage message;
  message.mutable_peer_done()->set_model_hash(hash);
  message.mutable_peer_done()->set_averaged(averaged);
  (*message.mutable_peer_done()->mutable_evaluation())["loss"] = 0.25;
  (*message.mutable_peer_done()->mutable_evaluation())["accuracy"] = 0.9;
  (*message.mutable_peer_done()->mutable_own_evaluation())["loss"] = 0.5;
  Say(name, std::move(message));
}

void RendezvousWorld::Leave(const std::string& name,
                            const std::string& reason) {
  v1::ClientMessage message;
  message.mutable_leave()->set_reason(reason);
  Say(name, std::move(message));
}

void RendezvousWorld::Restart(const std::string& name,
                              const std::string& address) {
  if (peers_[name].session != 0) Break(name);
  ++peers_[name].incarnation;
  Join(name, address);
}

int RendezvousWorld::TimesSaid(const std::string& text) const {
  return static_cast<int>(std::count_if(
      said.begin(), said.end(),
      [&](const std::string& line) { return absl::StrContains(line, text); }));
}

std::string RendezvousWorld::Told(const std::string& name) {
  const FakePeer& peer = peers_[name];
  if (peer.memberships.empty()) return "";
  const v1::Membership& membership = peer.memberships.back();
  std::string text = absl::StrCat("epoch ", membership.epoch(), " from ",
                                  membership.first_round(), ":");
  for (const v1::Membership::Member& member : membership.member()) {
    absl::StrAppend(&text, " ", member.index(), "=", member.name(), "@",
                    member.address());
    if (member.since() > 0) absl::StrAppend(&text, " since ", member.since());
  }
  return text;
}

}  // namespace parley
