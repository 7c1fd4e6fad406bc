#include "server/rendezvous/gossip_progress.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/report/gossip_facts.h"

namespace parley {
namespace {

constexpr int kMaxClients = 200;  // of a status

// How far apart the peers' own models are on data.test; empty: one alone.
std::string SpreadOf(const RoundReport& report) {
  const auto range = [&](auto member) {
    std::vector<double> values;
    for (const ClientEvaluation& evaluation : report.evaluations) {
      if (evaluation.*member) values.push_back(*(evaluation.*member));
    }
    std::sort(values.begin(), values.end());
    return values;
  };
  const auto accuracies = range(&ClientEvaluation::accuracy);
  if (accuracies.size() > 1) {
    return absl::StrFormat("peers %.1f to %.1f %%", 100 * accuracies.front(),
                           100 * accuracies.back());
  }
  const auto losses = range(&ClientEvaluation::loss);
  if (losses.size() < 2) return "";
  return absl::StrFormat("peers' loss %.4g to %.4g", losses.front(),
                         losses.back());
}

}  // namespace

void GossipProgress::Take(const RoundReport& report) {
  // Of the local steps until something was evaluated.
  if (report.train_loss && !evaluated_) loss_ = report.train_loss;
  for (const EvaluationReport* found : {&report.federated, &report.central}) {
    if (found->loss) loss_ = found->loss;
    evaluated_ |= found->loss.has_value();
    if (found->accuracy) accuracy_ = found->accuracy;
  }
  if (!report.evaluations.empty()) spread_ = SpreadOf(report);
  const auto number = [&](const char* name) -> std::optional<double> {
    const auto it = report.metrics.find(name);
    if (it == report.metrics.end()) return std::nullopt;
    return it->second;
  };
  if (const auto distance = number(kConsensusDistance)) distance_ = distance;
  if (const auto shrunk = number(kContraction); shrunk && *shrunk > 0) {
    log_contraction_ += std::log(*shrunk);
    ++contractions_;
    if (const auto rho = number(kRho)) {
      log_rho_ += std::log(*rho);
      ++rhos_;
    }
  }
  bytes_up_ += report.bytes_up;
  bytes_down_ += report.bytes_down;
}

v1::RunStatus GossipProgress::Status(const std::optional<RunEnd>& end,
                                     size_t registered) const {
  v1::RunStatus status;
  status.set_run(run_);
  status.set_rounds(rounds_);
  status.set_state(v1::WAITING);
  if (end) {
    status.set_state(end->first);
    status.set_detail(end->second);
    status.set_round(ledger_.told());
    if (peers_.begun()) {
      status.set_phase("gossip");
      status.set_asked(peers_.peers());
      status.set_done(peers_.done());
    }
  } else if (!peers_.begun()) {
    status.set_detail(WaitsFor(registered));
  } else {
    status.set_state(v1::RUNNING);
    status.set_phase("gossip");
    status.set_detail(spread_);
    status.set_round(std::min(ledger_.told() + 1, rounds_));
    int32_t done = 0;
    for (const PeerEntry& entry : peers_.entries()) {
      done += ledger_.latest(entry.name) >= status.round();
    }
    status.set_asked(peers_.peers());
    status.set_done(done);
  }
  if (loss_) status.set_loss(*loss_);
  if (accuracy_) status.set_accuracy(*accuracy_);
  if (distance_) status.set_consensus_distance(*distance_);
  if (contractions_ > 0) {
    status.set_contraction(
        std::exp(log_contraction_ / static_cast<double>(contractions_)));
    if (rhos_ == contractions_) {
      status.set_expected_contraction(
          std::exp(log_rho_ / static_cast<double>(rhos_)));
    }
  }
  status.set_bytes_up(bytes_up_);
  status.set_bytes_down(bytes_down_);
  status.set_clients(static_cast<int32_t>(registered));
  DescribePeers(&status);
  return status;
}

void GossipProgress::DescribePeers(v1::RunStatus* status) const {
  if (!peers_.begun()) return;
  const auto add = [&](const std::string& name, const std::string& state,
                       const std::string& reason) {
    if (status->client_size() >= kMaxClients) return;
    v1::ClientStatus& client = *status->add_client();
    client.set_name(name);
    client.set_progress(
        static_cast<double>(std::min(ledger_.latest(name), rounds_)) /
        static_cast<double>(rounds_));
    client.set_state(state);
    client.set_reason(reason);
  };
  for (const PeerEntry& entry : peers_.entries()) {
    const int64_t round = std::min(ledger_.latest(entry.name) + 1, rounds_);
    add(entry.name,
        entry.done   ? "done"
        : entry.lost ? "lost"
                     : absl::StrCat("round ", round),
        entry.reason);
  }
  for (const PeerEntry& entry : peers_.waiting()) {
    if (peers_.IndexOf(entry.name) < 0) add(entry.name, "waits to join", "");
  }
  for (const auto& [name, gone] : peers_.gone()) {
    const auto& waiting = peers_.waiting();
    if (std::none_of(waiting.begin(), waiting.end(),
                     [&](const PeerEntry& e) { return e.name == name; })) {
      add(name, "lost", gone.reason);
    }
  }
}

std::string GossipProgress::WaitsFor(size_t registered) const {
  if (!peers_.begun()) {
    const int missing = peers_.peers() - peers_.ready();
    return absl::StrCat("waiting for ", missing, " more peer",
                        missing == 1 ? "" : "s", " (", registered, " of ",
                        peers_.peers(), " registered, ", peers_.ready(),
                        " ready)");
  }
  std::string names;
  int more = 0;
  const int64_t round = std::min(ledger_.told() + 1, rounds_);
  for (const PeerEntry& entry : peers_.entries()) {
    // Whoever has told the last round has yet to tell of the end.
    const bool told = round < rounds_ && ledger_.latest(entry.name) >= round;
    if (entry.done || told) continue;
    if (names.size() > 100) {
      ++more;
      continue;
    }
    absl::StrAppend(&names, names.empty() ? "" : ", ", entry.name,
                    entry.lost ? " (lost)" : "");
  }
  return absl::StrCat("round ", round, ": waiting for ", names,
                      more == 0 ? "" : absl::StrCat(" and ", more, " more"));
}

}  // namespace parley
