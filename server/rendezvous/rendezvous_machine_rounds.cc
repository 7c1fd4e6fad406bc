// The rendezvous machine's rounds, epochs and end, and what people are told.
#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/report/gossip_facts.h"
#include "common/topology/topology.h"
#include "server/rendezvous/peer_report_check.h"
#include "server/rendezvous/rendezvous_machine_impl.h"
#include "server/round/update_check.h"

namespace parley {

// -------------------------------------------------------------------- rounds

void RendezvousMachine::Impl::OnReports(SessionId id, Session& session,
                                        const v1::PeerReports& reports) {
  if (!peers_.begun()) {
    return reception_.Strike(id, session,
                             "reports of a run that has not begun");
  }
  if (reports.report_size() == 0 || reports.report_size() > kMaxPeerReports) {
    return reception_.Strike(
        id, session,
        absl::StrCat(reports.report_size(), " reports at once; 1 to ",
                     kMaxPeerReports, " are taken"));
  }
  for (const v1::PeerReport& report : reports.report()) {
    const auto* const names = peers_.NamesIn(report.epoch());
    const absl::Status fits = CheckPeerReport(
        report, static_cast<int>(names == nullptr ? kMostPeers : names->size()),
        rounds_, peers_.epoch());
    if (!fits.ok()) {
      return reception_.Strike(id, session, Printable(fits.message()));
    }
  }
  for (const v1::PeerReport& report : reports.report()) {
    if (!peers_.Counts(session.client, report)) continue;
    if (const int peer = peers_.IndexOf(session.client); peer >= 0) {
      PeerEntry& entry = peers_.entries()[peer];
      entry.joined |= report.epoch() >= entry.since && report.omega() > 0;
    }
    ledger_.Add(session.client, report, peers_.NamesIn(report.epoch()));
  }
  TellRounds();
  // What is not told yet would be lost with this process.
  v1::ServerMessage message;
  message.mutable_reports_taken()->set_round(ledger_.told());
  out_.Send(id, std::move(message));
}

void RendezvousMachine::Impl::OnDone(SessionId id, Session& session,
                                     const v1::PeerDone& done) {
  if (!peers_.begun()) {
    return reception_.Strike(id, session,
                             "the end of a run that has not begun");
  }
  const absl::Status fits = CheckPeerDone(done);
  if (!fits.ok()) {
    return reception_.Strike(id, session, Printable(fits.message()));
  }
  // One that was dropped has come to an end without the others.
  const int peer = peers_.IndexOf(session.client);
  if (peer < 0 || peers_.entries()[peer].lost) return;
  if (!peers_.entries()[peer].has_model()) {
    Lose(session.client, "ended without any of the model");
    return reception_.End(id, absl::OkStatus());
  }
  peers_.entries()[peer].done = done;
}

void RendezvousMachine::Impl::TellRounds() {
  if (!peers_.begun()) return;
  while (std::optional<RoundReport> report =
             ledger_.Next([this](int64_t round) { return AwaitedIn(round); })) {
    Tell(*std::move(report));
  }
}

std::vector<std::string> RendezvousMachine::Impl::AwaitedIn(
    int64_t round) const {
  std::vector<std::string> awaited;
  for (const PeerEntry& entry : peers_.entries()) {
    if (!entry.lost && !entry.done && peers_.FirstRoundOf(entry) <= round) {
      awaited.push_back(entry.name);
    }
  }
  return awaited;
}

void RendezvousMachine::Impl::Tell(RoundReport report) {
  const auto counted = [&report](const std::string& name) {
    return std::find(report.counted.begin(), report.counted.end(), name) !=
           report.counted.end();
  };
  report.asked = peers_.MembersOf(report.round);
  for (const std::string& name : report.counted) {
    if (std::find(report.asked.begin(), report.asked.end(), name) ==
        report.asked.end()) {
      report.asked.push_back(name);
    }
  }
  for (const std::string& name : report.asked) {
    if (counted(name)) continue;
    std::string reason = "has told nothing of it";
    if (const int index = peers_.IndexOf(name); index >= 0) {
      if (peers_.entries()[index].lost) reason = peers_.entries()[index].reason;
    } else if (const auto gone = peers_.gone().find(name);
               gone != peers_.gone().end()) {
      reason = gone->second.reason;
    }
    report.refused.push_back({name, reason});
  }
  report.clients = static_cast<int32_t>(registry_.size());
  const auto epoch = contractions_.upper_bound(report.round);
  if (epoch != contractions_.begin() && std::prev(epoch)->second) {
    report.metrics[kRho] = *std::prev(epoch)->second;
  }
  progress_.Take(report);
  owes_ = true;
  out_.Add(effect::TellRound{std::move(report)});
}

// -------------------------------------------------------------------- epochs

// Reports may come late, and one that says too much moves nobody: the median of
// the peers that are there.
int64_t RendezvousMachine::Impl::LatestRound() const {
  std::vector<int64_t> latest;
  for (const PeerEntry& entry : peers_.entries()) {
    if (!entry.lost) latest.push_back(ledger_.latest(entry.name));
  }
  if (latest.empty()) return ledger_.told();
  const auto middle = latest.begin() + (latest.size() - 1) / 2;
  std::nth_element(latest.begin(), middle, latest.end());
  return std::max(*middle, ledger_.told());
}

void RendezvousMachine::Impl::NoteContraction(int64_t first_round) {
  const auto found =
      ContractionOf(options_.config, peers_.epoch(), peers_.peers());
  // A later epoch may begin with the same round, or an earlier one.
  contractions_.erase(contractions_.lower_bound(first_round),
                      contractions_.end());
  contractions_[first_round] = found.ok() ? *found : std::nullopt;
}

void RendezvousMachine::Impl::ChangeEpochIfDue() {
  if (end_) return;
  std::optional<EpochKeeper::Next> next =
      epochs_.Decide(LatestRound(), out_.now);
  if (next) {
    for (const PeerEntry& entry : next->members) {
      const int before = peers_.IndexOf(entry.name);
      if (before < 0 || peers_.entries()[before].lost) {
        ledger_.WriteOff(entry.name, peers_.epoch() + 1);
      }
    }
    peers_.Advance(std::move(next->members), next->first_round);
    NoteContraction(next->first_round);
    out_.Say(absl::StrCat("epoch ", peers_.epoch(), " from round ",
                          next->first_round, ": ", peers_.peers(), " peer",
                          peers_.peers() == 1 ? "" : "s", "; ", next->what));
    TellMembership();
  }
  if (stays_ == epochs_.stays()) return;
  stays_ = epochs_.stays();
  if (!stays_.empty()) out_.Warn(stays_);
}

// ----------------------------------------------------------------------- end

void RendezvousMachine::Impl::TellLastRound() {
  if (!peers_.begun()) return;
  // What could still come will not.
  const auto nobody = [](int64_t) { return std::vector<std::string>(); };
  while (std::optional<RoundReport> report = ledger_.Next(nobody)) {
    Tell(*std::move(report));
  }
  std::optional<RoundReport> last = ledger_.TakeLast();
  if (!last) return;
  if (!AddEvaluations(peers_, &*last)) {
    out_.Warn(
        "the peers' models differ, though they say that they are the average "
        "of all");
  }
  Tell(*std::move(last));
}

void RendezvousMachine::Impl::EndRun() {
  ended_ = true;
  const bool well = end_->first == v1::FINISHED;
  out_.Say(absl::StrCat("the run ended: ", end_->second),
           well ? LogLevel::kInfo : LogLevel::kWarning);
  reception_.Close(end_->second, well);
  out_.Add(effect::SetTimer{absl::InfiniteFuture()});
  out_.Add(effect::EndRun{end_->first, end_->second});
}

// -------------------------------------------------------------------- people

void RendezvousMachine::Impl::TellStatus() {
  const auto state = end_             ? end_->first
                     : peers_.begun() ? v1::RUNNING
                                      : v1::WAITING;
  const Told now_is(state, ledger_.told(), peers_.done(), peers_.ready(),
                    registry_.size(), peers_.lost());
  const bool begins = std::get<0>(now_is) != std::get<0>(told_);
  if (now_is != told_) {
    told_ = now_is;
    changed_at_ = out_.now;
    waits_for_.clear();
    owes_ = true;
  }
  if (!owes_) return;
  if (!end_ && !begins && out_.now < told_at_ + kStatusEvery) return;
  owes_ = false;
  told_at_ = out_.now;
  v1::RunStatus status = progress_.Status(end_, registry_.size());
  if (!end_ && !waits_for_.empty()) status.set_detail(waits_for_);
  out_.Add(effect::StatusChanged{std::move(status)});
}

void RendezvousMachine::Impl::TellWaiting() {
  if (out_.now < changed_at_ + kSayEvery) return;
  changed_at_ = out_.now;
  waits_for_ = progress_.WaitsFor(registry_.size());
  out_.Say(waits_for_);
  owes_ = true;
  TellStatus();
  if (peers_.begun()) return;
  v1::ServerMessage notice;
  notice.mutable_notice()->set_text(waits_for_);
  for (const auto& [id, session] : reception_.sessions().all()) {
    if (!session.client.empty()) out_.Send(id, notice);
  }
}

void RendezvousMachine::Impl::SetTimer() {
  absl::Time next = changed_at_ + kSayEvery;
  if (owes_) next = std::min(next, told_at_ + kStatusEvery);
  next = std::min({next, back_by_, reception_.NextTimer(), epochs_.wake_at()});
  // One that fires too early does no harm; moving it at each message would.
  if (next >= timer_) return;
  timer_ = next;
  out_.Add(effect::SetTimer{next});
}

}  // namespace parley
