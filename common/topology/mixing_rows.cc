#include "common/topology/mixing_rows.h"

#include <algorithm>
#include <numeric>

namespace parley {
namespace {

void SortByPeer(std::vector<PeerWeight>& row) {
  std::sort(
      row.begin(), row.end(),
      [](const PeerWeight& a, const PeerWeight& b) { return a.peer < b.peer; });
}

class Periodic : public Schedule {
 public:
  Periodic(int64_t peers,
           std::vector<std::vector<std::vector<PeerWeight>>> rounds)
      : Schedule(peers, static_cast<int64_t>(rounds.size()),
                 /*symmetric=*/true),
        rounds_(std::move(rounds)) {}

 private:
  MixingRow RowOf(int64_t round, int64_t peer) const override {
    const std::vector<PeerWeight>& row = rounds_[round % period()][peer];
    return {.in = row, .out = row};
  }

  const std::vector<std::vector<std::vector<PeerWeight>>> rounds_;
};

class Circulant : public Schedule {
 public:
  Circulant(int64_t peers, std::vector<std::vector<int64_t>> offsets)
      : Schedule(peers, static_cast<int64_t>(offsets.size()),
                 /*symmetric=*/false),
        offsets_(std::move(offsets)) {}

 private:
  MixingRow RowOf(int64_t round, int64_t peer) const override {
    const std::vector<int64_t>& offsets = offsets_[round % period()];
    const double weight = 1.0 / static_cast<double>(offsets.size() + 1);
    MixingRow row = {.in = {{peer, weight}}, .out = {{peer, weight}}};
    for (int64_t offset : offsets) {
      row.in.push_back({(peer + peers() - offset) % peers(), weight});
      row.out.push_back({(peer + offset) % peers(), weight});
    }
    SortByPeer(row.in);
    SortByPeer(row.out);
    return row;
  }

  const std::vector<std::vector<int64_t>> offsets_;
};

}  // namespace

void SymmetricRows::AddEdge(int64_t a, int64_t b, double weight) {
  rows_[a].push_back({b, weight});
  rows_[b].push_back({a, weight});
}

void SymmetricRows::AddClique(absl::Span<const int64_t> peers) {
  const double weight = 1.0 / static_cast<double>(peers.size());
  for (size_t i = 0; i < peers.size(); ++i) {
    for (size_t j = 0; j < i; ++j) AddEdge(peers[i], peers[j], weight);
  }
}

std::vector<std::vector<PeerWeight>> SymmetricRows::Finish() && {
  for (size_t j = 0; j < rows_.size(); ++j) {
    double others = 0;
    for (const PeerWeight& weight : rows_[j]) others += weight.weight;
    rows_[j].push_back({static_cast<int64_t>(j), 1 - others});
    SortByPeer(rows_[j]);
  }
  return std::move(rows_);
}

std::unique_ptr<Schedule> MetropolisSchedule(int64_t peers,
                                             absl::Span<const PeerEdge> edges) {
  std::vector<int64_t> degree(peers, 0);
  for (const PeerEdge& edge : edges) {
    ++degree[edge.a];
    ++degree[edge.b];
  }
  SymmetricRows rows(peers);
  for (const PeerEdge& edge : edges) {
    const int64_t larger = std::max(degree[edge.a], degree[edge.b]);
    rows.AddEdge(edge.a, edge.b, 1.0 / static_cast<double>(1 + larger));
  }
  std::vector<SymmetricRows> rounds;
  rounds.push_back(std::move(rows));
  return PeriodicSchedule(peers, std::move(rounds));
}

std::unique_ptr<Schedule> PeriodicSchedule(int64_t peers,
                                           std::vector<SymmetricRows> rounds) {
  std::vector<std::vector<std::vector<PeerWeight>>> finished;
  finished.reserve(rounds.size());
  for (SymmetricRows& rows : rounds) {
    finished.push_back(std::move(rows).Finish());
  }
  return std::make_unique<Periodic>(peers, std::move(finished));
}

std::unique_ptr<Schedule> CirculantSchedule(
    int64_t peers, std::vector<std::vector<int64_t>> offsets) {
  return std::make_unique<Circulant>(peers, std::move(offsets));
}

bool Connected(int64_t peers, absl::Span<const PeerEdge> edges) {
  std::vector<int64_t> root(peers);  // a forest of sets, with path halving
  std::iota(root.begin(), root.end(), 0);
  const auto find = [&root](int64_t peer) {
    while (root[peer] != peer) peer = root[peer] = root[root[peer]];
    return peer;
  };
  int64_t sets = peers;
  for (const PeerEdge& edge : edges) {
    const int64_t a = find(edge.a), b = find(edge.b);
    if (a == b) continue;
    root[a] = b;
    --sets;
  }
  return sets == 1;
}

}  // namespace parley
