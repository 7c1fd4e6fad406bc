#include "common/report/conservation.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace parley {

std::map<std::string, double> AuditConservation(
    const std::vector<PeerBooks>& peers, double written_off) {
  std::map<int, int64_t> epochs;
  double mass = 0;
  for (const PeerBooks& books : peers) {
    epochs[books.peer] = books.epoch;
    mass += books.omega;
  }
  struct Sum {
    double flow = 0, omega = 0, moved = 0, moved_omega = 0;
    bool in_doubt = false;
    bool checked = true;
  };
  std::map<std::pair<int, int>, Sum> edges;  // the lower number first
  const auto comparable = [&](const PeerBooks& books, int peer) {
    const auto other = epochs.find(peer);
    return other != epochs.end() && other->second == books.epoch;
  };
  for (const PeerBooks& books : peers) {
    for (const PeerBooks::Edge& edge : books.edges) {
      Sum& sum = edges[std::pair(std::min(books.peer, edge.peer),
                                 std::max(books.peer, edge.peer))];
      sum.in_doubt |= edge.in_doubt;
      sum.checked &= !edge.in_doubt && comparable(books, edge.peer);
      sum.flow += edge.flow;
      sum.omega += edge.flow_omega;
      sum.moved += std::abs(edge.flow);
      sum.moved_omega += std::abs(edge.flow_omega);
    }
  }
  double off = 0, off_omega = 0, moved = 0, moved_omega = 0;
  int doubts = 0;
  for (const auto& [ends, sum] : edges) {
    doubts += sum.in_doubt;
    if (!sum.checked) continue;
    off = std::max(off, std::abs(sum.flow));
    off_omega = std::max(off_omega, std::abs(sum.omega));
    moved += sum.moved;
    moved_omega += sum.moved_omega;
  }
  const auto share = [](double part, double of) {
    return of > 0 ? part / of : 0;
  };
  return {{kMass, mass},
          {kConservationError,
           std::max(share(off, moved), share(off_omega, moved_omega))},
          {kInDoubt, static_cast<double>(doubts)},
          {kWrittenOff, written_off}};
}

}  // namespace parley
