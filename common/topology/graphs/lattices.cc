// Ring, path, grid, torus and hypercube.
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/topology/graphs/graphs.h"
#include "common/topology/mixing_rows.h"

namespace parley {
namespace {

// Row by row. A side of 2 has one edge across it, closed or not.
std::vector<PeerEdge> GridEdges(int64_t rows, int64_t columns, bool closed) {
  std::vector<PeerEdge> edges;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t peer = r * columns + c;
      if (c + 1 < columns) {
        edges.push_back({peer, peer + 1});
      } else if (closed && columns > 2) {
        edges.push_back({peer, r * columns});
      }
      if (r + 1 < rows) {
        edges.push_back({peer, peer + columns});
      } else if (closed && rows > 2) {
        edges.push_back({peer, c});
      }
    }
  }
  return edges;
}

}  // namespace

int64_t GridRows(const TopologyOptions& options, int64_t peers) {
  if (options.rows > 0) return options.rows;
  int64_t rows = 1;
  for (int64_t r = 2; r * r <= peers; ++r) {
    if (peers % r == 0) rows = r;
  }
  return rows;
}

Fault CheckGrid(const TopologyOptions& options, int64_t peers) {
  const int64_t rows = options.rows;
  if (rows < 0) {
    return TopologyFault{
        "rows", absl::StrCat("is ", rows, ": must be 1 or more, or not said")};
  }
  if (peers > 1 && rows > 0 && peers % rows != 0) {
    return TopologyFault{"rows", absl::StrCat("is ", rows, ": must divide the ",
                                              peers, " peers")};
  }
  return std::nullopt;
}

Fault CheckHypercube(const TopologyOptions&, int64_t peers) {
  if ((peers & (peers - 1)) == 0) return std::nullopt;
  return TopologyFault{
      "", absl::StrCat("needs a power of two of peers, not ", peers)};
}

ScheduleOr MakeRing(const TopologyOptions& options, const ScheduleKey& key) {
  if (options.directed) return CirculantSchedule(key.peers, {{1}});
  return MetropolisSchedule(key.peers, GridEdges(1, key.peers, true));
}

ScheduleOr MakePath(const TopologyOptions&, const ScheduleKey& key) {
  return MetropolisSchedule(key.peers, GridEdges(1, key.peers, false));
}

ScheduleOr MakeGrid(const TopologyOptions& options, const ScheduleKey& key) {
  const int64_t rows = GridRows(options, key.peers);
  return MetropolisSchedule(key.peers,
                            GridEdges(rows, key.peers / rows, false));
}

ScheduleOr MakeTorus(const TopologyOptions& options, const ScheduleKey& key) {
  const int64_t rows = GridRows(options, key.peers);
  return MetropolisSchedule(key.peers, GridEdges(rows, key.peers / rows, true));
}

ScheduleOr MakeHypercube(const TopologyOptions&, const ScheduleKey& key) {
  std::vector<PeerEdge> edges;
  for (int64_t peer = 0; peer < key.peers; ++peer) {
    for (int64_t bit = 1; bit < key.peers; bit *= 2) {
      if ((peer & bit) == 0) edges.push_back({peer, peer | bit});
    }
  }
  return MetropolisSchedule(key.peers, edges);
}

}  // namespace parley
