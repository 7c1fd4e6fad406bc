// W as a dense matrix, from a schedule's rows.
#ifndef PARLEY_TESTS_UNIT_TOPOLOGY_MATRIX_H_
#define PARLEY_TESTS_UNIT_TOPOLOGY_MATRIX_H_

#include <Eigen/Core>
#include <memory>
#include <string>
#include <utility>

#include "common/topology/schedule.h"
#include "tests/support/status_matchers.h"

namespace parley {

inline std::unique_ptr<const Schedule> Make(const TopologyOptions& options,
                                            int64_t peers, uint64_t seed = 1,
                                            int64_t epoch = 0) {
  auto schedule =
      Schedule::Create(options, {.seed = seed, .epoch = epoch, .peers = peers});
  EXPECT_OK(schedule);
  return *std::move(schedule);
}

inline std::unique_ptr<const Schedule> Make(const char* kind, int64_t peers) {
  return Make(TopologyOptions{.kind = kind}, peers);
}

// From what each peer hears.
inline Eigen::MatrixXd MatrixOf(const Schedule& schedule, int64_t round) {
  Eigen::MatrixXd w = Eigen::MatrixXd::Zero(schedule.peers(), schedule.peers());
  for (int64_t peer = 0; peer < schedule.peers(); ++peer) {
    for (const PeerWeight& in : schedule.Row(round, peer).in) {
      w(peer, in.peer) += in.weight;
    }
  }
  return w;
}

// W of round `rounds` - 1 · ... · W of round 0.
inline Eigen::MatrixXd ProductOf(const Schedule& schedule, int64_t rounds) {
  Eigen::MatrixXd product =
      Eigen::MatrixXd::Identity(schedule.peers(), schedule.peers());
  for (int64_t round = 0; round < rounds; ++round) {
    product = MatrixOf(schedule, round) * product;
  }
  return product;
}

inline Eigen::MatrixXd MeanMatrix(int64_t peers) {
  return Eigen::MatrixXd::Constant(peers, peers,
                                   1.0 / static_cast<double>(peers));
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_TOPOLOGY_MATRIX_H_
