#include "common/report/conservation.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace parley {
namespace {

// The part that is audited: of x, or of ω.
using Part = double Balance::*;

double Flows(const PeerBooks& books, Part part) {
  double sum = books.gone.*part;
  for (const PeerBooks::Edge& edge : books.edges) sum += edge.flow.*part;
  return sum;
}

double Magnitudes(const PeerBooks& books, Part part) {
  double sum = std::abs(books.has.*part) + std::abs(books.gone.*part);
  if (part == &Balance::sum) sum += books.norm;
  if (books.added) sum += std::abs((*books.added).*part);
  for (const PeerBooks::Edge& edge : books.edges) {
    sum += std::abs(edge.flow.*part);
  }
  return sum;
}

double Share(double error, double of) { return of > 0 ? error / of : 0; }

// Of one part.
struct Audit {
  double has = 0, added = 0, in_flight = 0, written_off = 0;
  double balance_error = 0, edge_error = 0;
};

struct Auditor {
  const std::vector<PeerBooks>& peers;
  const WrittenOffBooks& lost;
  const bool in_step;
  std::set<int> there = {};

  Audit Of(Part part) const {
    Audit audit = {.added = lost.added.*part,
                   .written_off = lost.brought.*part};
    double magnitudes = std::abs(lost.added.*part) +
                        std::abs(lost.brought.*part) +
                        (part == &Balance::sum ? lost.norm : 0);
    for (const PeerBooks& books : peers) {
      audit.has += books.has.*part;
      if (books.added) audit.added += (*books.added).*part;
      audit.written_off -= books.gone.*part;
      for (const PeerBooks::Edge& edge : books.edges) {
        if (!there.contains(edge.peer)) audit.written_off -= edge.flow.*part;
      }
      magnitudes += Magnitudes(books, part);
    }
    AddEdges(part, &audit);
    audit.balance_error = Share(
        std::abs(audit.has + audit.in_flight + audit.written_off - audit.added),
        magnitudes);
    return audit;
  }

  // Where both ends told.
  void AddEdges(Part part, Audit* audit) const {
    struct Sum {
      double flow = 0, doubt = 0, moved = 0;
      bool in_doubt = false;
    };
    std::map<std::pair<int, int>, Sum> edges;  // the lower number first
    for (const PeerBooks& books : peers) {
      for (const PeerBooks::Edge& edge : books.edges) {
        if (!there.contains(edge.peer)) continue;
        Sum& sum = edges[std::minmax(books.peer, edge.peer)];
        sum.flow += edge.flow.*part;
        sum.doubt += edge.doubt.*part;
        sum.moved += std::abs(edge.flow.*part);
        sum.in_doubt |= edge.in_doubt;
      }
    }
    double off = 0, moved = 0;
    for (const auto& [ends, sum] : edges) {
      if (!in_step) {
        audit->in_flight -= sum.flow;
        continue;
      }
      // What is off by more than is in doubt stays, and makes the balance err.
      const double most = sum.in_doubt ? sum.doubt : 0;
      const double doubtful = std::clamp(sum.flow, -most, most);
      audit->in_flight -= doubtful;
      off = std::max(off, std::abs(sum.flow - doubtful));
      moved += sum.moved;
    }
    audit->edge_error = Share(off, moved);
  }
};

}  // namespace

void WrittenOffBooks::Add(const PeerBooks& books) {
  norm += books.norm;
  for (const Part part : {&Balance::sum, &Balance::omega}) {
    const double had = books.has.*part - Flows(books, part);
    brought.*part += had;
    added.*part += books.added ? (*books.added).*part : had;
  }
}

std::map<std::string, double> AuditConservation(
    const std::vector<PeerBooks>& peers, const WrittenOffBooks& written_off,
    bool in_step) {
  Auditor auditor = {peers, written_off, in_step};
  std::set<std::pair<int, int>> doubts;
  bool all_tell = true;
  for (const PeerBooks& books : peers) {
    auditor.there.insert(books.peer);
    all_tell &= books.added.has_value();
    for (const PeerBooks::Edge& edge : books.edges) {
      if (edge.in_doubt) doubts.insert(std::minmax(books.peer, edge.peer));
    }
  }
  const Audit x = auditor.Of(&Balance::sum),
              omega = auditor.Of(&Balance::omega);
  std::map<std::string, double> found = {
      {kMass, omega.has},
      {kWrittenOff, omega.written_off},
      {kMassInFlight, omega.in_flight},
      {kSum, x.has},
      {kSumWrittenOff, x.written_off},
      {kSumInFlight, x.in_flight},
      {kConservationError, std::max(x.edge_error, omega.edge_error)},
      {kInDoubt, static_cast<double>(doubts.size())}};
  if (all_tell) {
    found[kMassAdded] = omega.added;
    found[kSumAdded] = x.added;
    found[kBalanceError] = std::max(x.balance_error, omega.balance_error);
  }
  return found;
}

double OwnBalanceError(const PeerBooks& books) {
  if (!books.added) return 0;
  double error = 0;
  for (const Part part : {&Balance::sum, &Balance::omega}) {
    const double off =
        books.has.*part - (*books.added).*part - Flows(books, part);
    error = std::max(error, Share(std::abs(off), Magnitudes(books, part)));
  }
  return error;
}

}  // namespace parley
