#include "client/gossip/peer_report.h"

#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "client/gossip/vectors.h"
#include "common/model/sketch.h"

namespace parley {
namespace {

void AddEdges(const GossipRound& round, const PeerBooks& books,
              v1::PeerReport* report) {
  std::map<int, v1::PeerReport::EdgeTraffic> edges;
  for (const auto& [peer, bytes] : round.sent) edges[peer].set_bytes(bytes);
  for (const PeerBooks::Edge& told : books.edges) {
    v1::PeerReport::EdgeTraffic& edge = edges[told.peer];
    edge.set_flow(told.flow.sum);
    edge.set_flow_omega(told.flow.omega);
    edge.set_in_doubt(told.in_doubt);
    edge.set_doubt(told.doubt.sum);
    edge.set_doubt_omega(told.doubt.omega);
  }
  for (auto& [peer, edge] : edges) {
    edge.set_peer(peer);
    *report->add_sent() = std::move(edge);
  }
}

}  // namespace

PeerBooks BooksOf(int peer, const PeerState& state) {
  PeerBooks books = {
      .peer = peer,
      .has = state.balance(),
      .norm = std::sqrt(Compare(1, state.x(), 0, state.x()).squared_distance),
      .added = state.added(),
      .gone = state.gone()};
  std::map<int, PeerBooks::Edge> edges;
  for (const auto& [other, flow] : state.flows()) edges[other].flow = flow;
  for (const auto& [other, kept] : state.doubts()) {
    if (other < 0) continue;  // an average, which is no edge
    PeerBooks::Edge& edge = edges[other];
    edge.in_doubt = true;
    edge.doubt.sum += std::abs(kept.sum);
    edge.doubt.omega += std::abs(kept.omega);
  }
  for (auto& [other, edge] : edges) {
    edge.peer = other;
    books.edges.push_back(edge);
  }
  return books;
}

v1::PeerReport ReportOf(const GossipRound& round, const PeerState& state,
                        int64_t epoch, uint64_t sketch_seed,
                        int sketch_numbers) {
  const PeerBooks books = BooksOf(/*peer=*/0, state);
  v1::PeerReport report;
  report.set_round(round.round);
  report.set_examples(round.trained.examples);
  report.mutable_scalars()->insert(round.trained.metrics.begin(),
                                   round.trained.metrics.end());
  report.set_used_edges(round.used_edges);
  report.set_lost_edges(round.lost_edges);
  report.set_bytes_sent(round.bytes_sent);
  report.set_bytes_received(round.bytes_received);
  AddEdges(round, books, &report);
  report.set_epoch(epoch);
  report.set_omega(books.has.omega);
  report.set_sum(books.has.sum);
  report.set_added(books.added->sum);
  report.set_added_omega(books.added->omega);
  report.set_gone_flow(books.gone.sum);
  report.set_gone_flow_omega(books.gone.omega);
  report.set_neighbour_distance(round.neighbour_distance);
  report.set_seconds(absl::ToDoubleSeconds(round.elapsed));
  const int64_t elements = state.x().elements();
  const std::vector<double> sent =
      SketchOf(state.sent(), elements, sketch_seed, sketch_numbers);
  std::vector<double> mixed =
      SketchOf(state.mixed(), elements, sketch_seed, sketch_numbers);
  for (int i = 0; i < sketch_numbers; ++i) mixed[i] += sent[i];
  report.mutable_sent_sketch()->Add(sent.begin(), sent.end());
  report.mutable_mixed_sketch()->Add(mixed.begin(), mixed.end());
  return report;
}

}  // namespace parley
