// Checks what peers say of themselves and of their rounds, before anything else
// looks at it.
#ifndef PARLEY_SERVER_RENDEZVOUS_PEER_REPORT_CHECK_H_
#define PARLEY_SERVER_RENDEZVOUS_PEER_REPORT_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "parley/v1/coordinator.pb.h"
#include "parley/v1/run.pb.h"
#include "server/rendezvous/peer_table.h"

namespace parley {

// Of a PeerReports.
inline constexpr int kMaxPeerReports = 100;
inline constexpr int kMaxSketchNumbers = 1024;
inline constexpr int kMaxPeerScalars = 64;

// OK where all fields are in range and all numbers finite, in a run of `rounds`
// rounds, an epoch of `peers` peers, and no epoch after `epoch`.
// InvalidArgument says what is wrong.
absl::Status CheckPeerReport(const v1::PeerReport& report, int peers,
                             int64_t rounds, int64_t epoch);
absl::Status CheckPeerDone(const v1::PeerDone& done);

// Whether the run can have this client as a peer, beside what any run asks of
// one. InvalidArgument: an address that is none; FailedPrecondition: come as
// you are, never. The text says what to do.
absl::Status CheckPeer(const v1::Register& request, const v1::RunConfig& config,
                       const PeerTable& peers);

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_PEER_REPORT_CHECK_H_
