#include "server/rendezvous/round_ledger.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "common/report/evaluations.h"

namespace parley {
namespace {

// Of what peers found on data.test with their own models.
std::optional<double> Found(const v1::PeerReport& report, const char* name) {
  const auto it = report.evaluation().find(name);
  if (it == report.evaluation().end()) return std::nullopt;
  return it->second;
}

// Σ ‖s_j − s̄‖² over sketches of equal length, given by `get`.
template <typename Get>
double SquaredSpread(const std::vector<const v1::PeerReport*>& reports,
                     int numbers, Get get) {
  double sum = 0;
  for (int i = 0; i < numbers; ++i) {
    double mean = 0;
    for (const v1::PeerReport* report : reports) mean += get(*report)[i];
    mean /= static_cast<double>(reports.size());
    for (const v1::PeerReport* report : reports) {
      const double off = get(*report)[i] - mean;
      sum += off * off;
    }
  }
  return sum;
}

}  // namespace

std::optional<MixingMeasure> MeasureMixing(
    const std::vector<const v1::PeerReport*>& reports) {
  std::vector<const v1::PeerReport*> with;
  for (const v1::PeerReport* report : reports) {
    if (report->sent_sketch_size() > 0) with.push_back(report);
  }
  if (with.size() < 2) return std::nullopt;
  const int numbers = with.front()->sent_sketch_size();
  for (const v1::PeerReport* report : with) {
    if (report->sent_sketch_size() != numbers) return std::nullopt;
  }
  const double before = SquaredSpread(
      with, numbers,
      [](const v1::PeerReport& r) -> const auto& { return r.sent_sketch(); });
  const double after = SquaredSpread(
      with, numbers,
      [](const v1::PeerReport& r) -> const auto& { return r.mixed_sketch(); });
  MixingMeasure measure;
  measure.distance = before / static_cast<double>(with.size());
  if (!std::isfinite(before) || !std::isfinite(after)) return std::nullopt;
  const double shrunk = std::sqrt(after / before);
  if (before > 0 && std::isfinite(shrunk)) measure.contraction = shrunk;
  return measure;
}

RoundLedger::RoundLedger(const std::vector<std::string>& names, int64_t rounds,
                         int64_t told, bool in_step)
    : rounds_(rounds), told_(told), in_step_(in_step) {
  for (const std::string& name : names) NumberOf(name);
}

int RoundLedger::NumberOf(const std::string& peer) {
  const auto [it, added] =
      number_of_.try_emplace(peer, static_cast<int>(names_.size()));
  if (added) names_.push_back(peer);
  return it->second;
}

void RoundLedger::Add(const std::string& peer, v1::PeerReport report,
                      const std::vector<std::string>* names) {
  const int64_t round = report.round();
  int64_t& latest = latest_[peer];
  latest = std::max(latest, round);
  if (round <= told_) return;
  if (names == nullptr) {
    report.clear_sent();
    report.clear_added();  // there is nothing to hold it against
  }
  for (auto& edge : *report.mutable_sent()) {
    edge.set_peer(NumberOf((*names)[edge.peer()]));
  }
  open_[round].emplace(NumberOf(peer), std::move(report));
}

void RoundLedger::WriteOff(const std::string& peer, int64_t epoch) {
  came_anew_[NumberOf(peer)].push_back(epoch);
}

int64_t RoundLedger::latest(const std::string& peer) const {
  const auto it = latest_.find(peer);
  return it == latest_.end() ? 0 : it->second;
}

std::optional<RoundReport> RoundLedger::Next(const Awaited& awaited) {
  if (open_.empty()) return std::nullopt;
  const int64_t round = open_.begin()->first;
  if (round >= rounds_) return std::nullopt;
  if (open_.size() <= kMaxOpen) {
    for (const std::string& peer : awaited(round)) {
      if (latest(peer) < round) return std::nullopt;
    }
  }
  told_ = round;
  return Tell(round, open_.extract(open_.begin()).mapped());
}

std::optional<RoundReport> RoundLedger::TakeLast() {
  if (open_.empty()) return std::nullopt;
  const auto average = open_.extract(rounds_ + 1);
  std::optional<RoundReport> last;
  if (!open_.empty()) {
    const auto& [round, reports] = *open_.rbegin();
    last = Tell(round, reports);
  } else if (told_ < rounds_) {
    last.emplace();
    last->round = rounds_;
  } else {
    return std::nullopt;
  }
  told_ = last->round;
  open_.clear();
  if (average.empty()) return last;
  AddTraffic(average.mapped(), &*last);
  double seconds = 0;
  for (const auto& [peer, report] : average.mapped()) {
    seconds = std::max(seconds, report.seconds());
  }
  last->seconds.emplace_back("average", seconds);
  return last;
}

RoundReport RoundLedger::Tell(int64_t round, const Reports& reports) {
  RoundReport told;
  told.round = round;
  std::vector<const v1::PeerReport*> all;
  // Peers count alike, as in the average that the run ends with.
  std::map<std::string, std::pair<double, double>> sums;
  double seconds = 0, bound = 0;
  int64_t used = 0, lost = 0;
  for (const auto& [peer, report] : reports) {
    told.counted.push_back(names_[peer]);
    all.push_back(&report);
    for (const auto& [name, value] : report.scalars()) {
      sums[name].first += value;
      sums[name].second += 1;
    }
    seconds = std::max(seconds, report.seconds());
    bound += report.neighbour_distance();
    used += report.used_edges();
    lost += report.lost_edges();
    if (!report.evaluation().empty() &&
        told.evaluations.size() < kMaxEvaluations) {
      told.evaluations.push_back({.client = names_[peer],
                                  .examples = 1,
                                  .loss = Found(report, "loss"),
                                  .accuracy = Found(report, "accuracy")});
    }
  }
  told.federated = MeanOf(told.evaluations);
  for (const auto& [name, sum] : sums) {
    told.metrics[name] = sum.first / sum.second;
  }
  if (const auto loss = told.metrics.find("loss"); loss != told.metrics.end()) {
    told.train_loss = loss->second;
    told.metrics.erase(loss);
  }
  if (const auto mixing = MeasureMixing(all)) {
    told.metrics[kConsensusDistance] = mixing->distance;
    if (mixing->contraction) told.metrics[kContraction] = *mixing->contraction;
  }
  told.metrics[kNeighbourDistance] =
      all.empty() ? 0 : bound / static_cast<double>(all.size());
  told.metrics[kUsedEdges] = static_cast<double>(used);
  told.metrics[kLostEdges] = static_cast<double>(lost);
  // Over what a peer may have told under the same names.
  for (const char* name : {kMassAdded, kSumAdded, kBalanceError}) {
    told.metrics.erase(name);
  }
  for (const auto& [name, value] : Audit(reports)) told.metrics[name] = value;
  told.seconds = {{"round", seconds}};
  AddTraffic(reports, &told);
  return told;
}

// -------------------------------------------------------------------- audit

int RoundLedger::ProcessOf(int peer, int64_t epoch) {
  const std::vector<int64_t>& anew = came_anew_[peer];
  const auto times =
      std::upper_bound(anew.begin(), anew.end(), epoch) - anew.begin();
  return processes_
      .try_emplace({peer, static_cast<int>(times)},
                   static_cast<int>(processes_.size()))
      .first->second;
}

PeerBooks RoundLedger::BooksOf(int peer, const v1::PeerReport& report) {
  double squares = 0;
  for (const double x : report.sent_sketch()) squares += x * x;
  PeerBooks books = {.peer = ProcessOf(peer, report.epoch()),
                     .has = {report.sum(), report.omega()},
                     .norm = std::sqrt(squares),
                     .gone = {report.gone_flow(), report.gone_flow_omega()}};
  if (report.has_added()) books.added = {report.added(), report.added_omega()};
  for (const v1::PeerReport::EdgeTraffic& edge : report.sent()) {
    books.edges.push_back({ProcessOf(edge.peer(), report.epoch()),
                           {edge.flow(), edge.flow_omega()},
                           edge.in_doubt(),
                           {edge.doubt(), edge.doubt_omega()}});
  }
  return books;
}

std::map<std::string, double> RoundLedger::Audit(const Reports& reports) {
  std::vector<PeerBooks> told;
  std::set<int> tellers;
  for (const auto& [peer, report] : reports) {
    told.push_back(BooksOf(peer, report));
    tellers.insert(told.back().peer);
    last_books_[told.back().peer] = told.back();
  }
  WrittenOffBooks written_off;
  for (const auto& [process, books] : last_books_) {
    if (!tellers.contains(process)) written_off.Add(books);
  }
  return AuditConservation(told, written_off, in_step_);
}

void RoundLedger::AddTraffic(const Reports& reports,
                             RoundReport* report) const {
  std::map<std::pair<int, int>, uint64_t> edges;
  for (const EdgeTraffic& edge : report->edges) {
    edges[{edge.from, edge.to}] = edge.bytes;
  }
  for (const auto& [peer, told] : reports) {
    report->bytes_up += told.bytes_sent();
    report->bytes_down += told.bytes_received();
    for (const auto& edge : told.sent()) {
      if (edge.bytes() > 0) edges[{peer, edge.peer()}] += edge.bytes();
    }
  }
  report->edges.clear();
  for (const auto& [edge, bytes] : edges) {
    report->edges.push_back({edge.first, edge.second, bytes});
  }
}

}  // namespace parley
