#include "server/rendezvous/peer_report_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

v1::PeerReport Good() {
  v1::PeerReport report;
  report.set_round(3);
  report.set_epoch(2);
  report.set_examples(10);
  (*report.mutable_scalars())["loss"] = 1;
  report.set_used_edges(2);
  report.set_bytes_sent(100);
  report.add_sent()->set_peer(1);
  report.set_omega(1);
  report.set_sum(-7);
  (*report.mutable_evaluation())["accuracy"] = 0.5;
  report.add_sent_sketch(1);
  report.add_mixed_sketch(1);
  return report;
}

TEST(PeerReportCheckTest, EveryNumberIsChecked) {
  EXPECT_OK(CheckPeerReport(Good(), 4, 5, 2));
  const double nan = std::nan("");
  const std::function<void(v1::PeerReport&)> wrong[] = {
      [](auto& r) { r.set_round(0); },
      [](auto& r) { r.set_round(7); },
      [](auto& r) { r.set_epoch(-1); },
      [](auto& r) { r.set_epoch(3); },
      [](auto& r) { r.set_examples(-1); },
      [&](auto& r) { r.set_examples(nan); },
      [&](auto& r) { (*r.mutable_scalars())["x"] = nan; },
      [](auto& r) { (*r.mutable_scalars())[""] = 1; },
      [](auto& r) { (*r.mutable_scalars())[std::string(200, 'x')] = 1; },
      [](auto& r) {
        for (int i = 0; i <= kMaxPeerScalars; ++i) {
          (*r.mutable_scalars())[std::to_string(i)] = 1;
        }
      },
      [](auto& r) { r.set_used_edges(-1); },
      [](auto& r) { r.set_lost_edges(5); },
      [](auto& r) { r.set_bytes_sent(~uint64_t{0}); },
      [](auto& r) { r.set_bytes_received(~uint64_t{0}); },
      [](auto& r) { r.mutable_sent(0)->set_peer(4); },
      [](auto& r) { r.mutable_sent(0)->set_peer(-1); },
      [](auto& r) { r.mutable_sent(0)->set_bytes(~uint64_t{0}); },
      [](auto& r) { r.add_sent()->set_peer(1); },
      [&](auto& r) { r.set_neighbour_distance(nan); },
      [](auto& r) { r.set_seconds(-1); },
      [&](auto& r) { r.mutable_sent(0)->set_flow(nan); },
      [](auto& r) { r.mutable_sent(0)->set_flow_omega(HUGE_VAL); },
      [](auto& r) { r.set_omega(-1); },
      [](auto& r) { r.set_omega(1e301); },
      [&](auto& r) { r.set_sum(nan); },
      [&](auto& r) { r.set_added(nan); },
      [](auto& r) { r.set_added_omega(-1e301); },
      [](auto& r) { r.set_gone_flow(HUGE_VAL); },
      [&](auto& r) { r.set_gone_flow_omega(nan); },
      [&](auto& r) { r.mutable_sent(0)->set_doubt(nan); },
      [](auto& r) { r.mutable_sent(0)->set_doubt(-1); },
      [](auto& r) { r.mutable_sent(0)->set_doubt_omega(-1); },
      [](auto& r) { r.mutable_sent(0)->set_doubt_omega(HUGE_VAL); },
      [&](auto& r) { (*r.mutable_evaluation())["loss"] = nan; },
      [](auto& r) { r.add_sent_sketch(1); },
      [&](auto& r) { r.set_mixed_sketch(0, nan); },
      [](auto& r) {
        r.mutable_sent_sketch()->Resize(kMaxSketchNumbers + 1, 0);
        r.mutable_mixed_sketch()->Resize(kMaxSketchNumbers + 1, 0);
      }};
  for (const auto& spoil : wrong) {
    v1::PeerReport report = Good();
    spoil(report);
    EXPECT_EQ(CheckPeerReport(report, 4, 5, 2).code(),
              absl::StatusCode::kInvalidArgument)
        << report.ShortDebugString();
  }
}

TEST(PeerReportCheckTest, TheEndIsCheckedToo) {
  v1::PeerDone done;
  EXPECT_OK(CheckPeerDone(done));
  (*done.mutable_evaluation())["loss"] =
      std::numeric_limits<double>::infinity();
  EXPECT_EQ(CheckPeerDone(done).code(), absl::StatusCode::kInvalidArgument);
  done.clear_evaluation();
  (*done.mutable_own_evaluation())["loss"] = std::nan("");
  EXPECT_EQ(CheckPeerDone(done).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace parley
