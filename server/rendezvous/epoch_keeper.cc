#include "server/rendezvous/epoch_keeper.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/run_gossip.h"
#include "common/topology/schedule.h"

namespace parley {
namespace {

constexpr int kMaxNamed = 10;  // of those that come and go

absl::StatusOr<std::unique_ptr<const Schedule>> ScheduleFor(
    const v1::RunConfig& config, int64_t epoch, int64_t peers) {
  return Schedule::Create(
      GossipTopologyOf(config),
      {.seed = config.seed(), .epoch = epoch, .peers = peers});
}

}  // namespace

absl::Status CanHavePeers(const v1::RunConfig& config, int64_t epoch,
                          int peers) {
  const AlgorithmOptions algorithm = AlgorithmOptionsOf(config);
  if (TraitsOf(algorithm).pairs) {
    return absl::FailedPreconditionError(
        absl::StrCat(algorithm.kind, " keeps the peers that it began with"));
  }
  PARLEY_ASSIGN_OR_RETURN(const auto schedule,
                          ScheduleFor(config, epoch, peers));
  if (peers == 1) return absl::OkStatus();  // it has no edges
  PARLEY_ASSIGN_OR_RETURN(
      const auto first,
      ScheduleFor(config, 0, config.data().partition().parts()));
  if (schedule->symmetric() != first->symmetric()) {
    return absl::InvalidArgumentError(
        "the run began with edges of another kind");
  }
  return absl::OkStatus();
}

EpochKeeper::EpochKeeper(const v1::RunConfig& config, const PeerTable* peers)
    : config_(config),
      peers_(*peers),
      rounds_(config.stop().rounds()),
      gather_(std::min(kGather,
                       absl::Seconds(config.limits().lease_seconds()) / 3)) {}

absl::Duration EpochKeeper::Pause(const Return& known) const {
  if (known.times == 0) return absl::ZeroDuration();
  return std::min(kMostReturn, kReturn * (1 << std::min(known.times - 1, 20)));
}

const absl::Status& EpochKeeper::Fits(int peers) {
  const auto known = fits_.find(peers);
  if (known != fits_.end()) return known->second;
  return fits_[peers] = CanHavePeers(config_, peers_.epoch() + 1, peers);
}

std::optional<EpochKeeper::Next> EpochKeeper::Decide(int64_t latest,
                                                     absl::Time now) {
  wake_at_ = absl::InfiniteFuture();
  const auto nothing = [this] {
    changed_at_ = absl::InfiniteFuture();
    stays_.clear();
    return std::nullopt;
  };
  // At the end all that are there are members already, or come too late. And
  // beside the average of those that have ended with it there must be no other.
  if (!peers_.begun() || peers_.done() > 0) return nothing();
  const int staying = peers_.peers() - peers_.lost();
  std::vector<PeerEntry> joiners;
  for (const PeerEntry& entry : peers_.waiting()) {
    const Return& known = returns_[entry.name];
    const absl::Time at = known.admitted + Pause(known);
    if (now >= at) {
      joiners.push_back(entry);
    } else {
      wake_at_ = std::min(wake_at_, at);
    }
  }
  const int wanted = staying + static_cast<int>(joiners.size());
  if (peers_.lost() == 0 && joiners.empty()) return nothing();
  changed_at_ = std::min(changed_at_, now);
  const absl::Time due = std::max(changed_at_ + gather_, last_at_ + kEvery);
  if (now < due) {
    wake_at_ = std::min(wake_at_, due);
    return std::nullopt;
  }
  if (!peers_.AnyHasModel()) {
    stays_ =
        "all peers with the model are lost: the membership stays, and waits "
        "for one of them";
    return std::nullopt;
  }
  // Those that wait for a lost one do so in the round after the latest.
  const int64_t first_round =
      std::min(latest + (peers_.lost() > 0 ? 1 : 2), rounds_ + 1);
  if (first_round > rounds_) joiners.clear();  // they would have nothing to do
  // The first to come are the first to be let in, where not all can be.
  while (true) {
    const int peers = staying + static_cast<int>(joiners.size());
    if (joiners.empty() && peers_.lost() == 0) break;
    if (Fits(peers).ok()) return Make(joiners, first_round, now);
    if (joiners.empty()) break;
    joiners.pop_back();
  }
  StayWith(staying, wanted);
  return std::nullopt;
}

void EpochKeeper::StayWith(int staying, int wanted) {
  std::string why;
  for (const PeerEntry& entry : peers_.entries()) {
    if (!entry.lost) continue;
    absl::StrAppend(&why, why.empty() ? "" : ", ", entry.name, " ",
                    entry.reason);
  }
  if (wanted > staying) {
    absl::StrAppend(&why, why.empty() ? "" : ", ", wanted - staying,
                    " would join");
  }
  const absl::Status& fits = Fits(wanted);
  stays_ = absl::StrCat("the membership stays epoch ", peers_.epoch(), " with ",
                        peers_.peers(), " peers, though ", why);
  if (fits.ok()) {  // but there is no round left for those that join
    absl::StrAppend(&stays_, ": it waits for the end of the run");
    return;
  }
  absl::StrAppend(&stays_, ": with ", wanted, " peers ", fits.message());
  const int most = std::max(2 * wanted, peers_.peers());
  for (int more = 1; wanted + more <= most; ++more) {
    if (!Fits(wanted + more).ok()) continue;
    absl::StrAppend(&stays_, "; it waits for ", more, " more to join");
    return;
  }
}

// Whoever joins takes the place of one that goes, its own if it was started
// anew: most others keep their index.
EpochKeeper::Next EpochKeeper::Make(const std::vector<PeerEntry>& joiners,
                                    int64_t first_round, absl::Time now) {
  Next next;
  next.first_round = first_round;
  int named = 0, more = 0;
  const auto say = [&](auto... text) {
    if (++named > kMaxNamed) {
      ++more;
    } else {
      absl::StrAppend(&next.what, next.what.empty() ? "" : "; ", text...);
    }
  };
  std::vector<PeerEntry> come = joiners;
  std::stable_sort(
      come.begin(), come.end(), [this](const PeerEntry& a, const PeerEntry& b) {
        return (peers_.IndexOf(a.name) >= 0) > (peers_.IndexOf(b.name) >= 0);
      });
  std::vector<std::optional<PeerEntry>> places;
  for (const PeerEntry& entry : peers_.entries()) {
    if (!entry.lost) {
      places.emplace_back(entry);
      continue;
    }
    say(entry.name, " ", entry.reason);
    places.emplace_back();
  }
  for (PeerEntry& entry : come) {
    Return& known = returns_[entry.name];
    known.times = now - known.admitted > kMostReturn ? 0 : known.times;
    const int own = peers_.IndexOf(entry.name);
    const bool back = own >= 0 || peers_.gone().contains(entry.name);
    if (back) ++known.times;
    known.admitted = now;
    say(entry.name, back ? " joins again" : " joins");
    const auto place =
        own >= 0 ? places.begin() + own
                 : std::find_if(places.begin(), places.end(),
                                [](const auto& p) { return !p.has_value(); });
    if (place == places.end()) {
      places.emplace_back(std::move(entry));
    } else {
      *place = std::move(entry);
    }
  }
  for (std::optional<PeerEntry>& place : places) {
    if (place) next.members.push_back(*std::move(place));
  }
  if (more > 0) absl::StrAppend(&next.what, "; and ", more, " more");
  changed_at_ = absl::InfiniteFuture();
  last_at_ = now;
  stays_.clear();
  fits_.clear();
  return next;
}

}  // namespace parley
