// Numbers that both ends of the protocol must agree on.
#ifndef PARLEY_COMMON_WIRE_PROTOCOL_H_
#define PARLEY_COMMON_WIRE_PROTOCOL_H_

#include <cstdint>

namespace parley {

inline constexpr uint32_t kProtocolVersion = 1;
inline constexpr int64_t kChunkBytes = 1 << 20;  // what a sender aims at
// Between peers, who fold each chunk while it is in the cache.
inline constexpr int64_t kPeerChunkBytes = 512 << 10;
inline constexpr int64_t kMaxChunkBytes = 4 << 20;    // what a receiver takes
inline constexpr int64_t kMaxControlBytes = 1 << 20;  // one control message
// A transfer that completes no chunk for so many leases is broken off.
inline constexpr int kStallLeases = 2;
inline constexpr int kMaxExceptRuns = 100;  // of a Register
// So many bytes of payloads may travel within their Task or UpdateReady.
inline constexpr int64_t kInlineBytes = 512 << 10;
inline constexpr char kModelPayload[] = "model";

// In Register.features, of a client that
inline constexpr char kGossipFeature[] = "gossip";  // can be a peer
inline constexpr char kInlineFeature[] = "inline";  // reads Task.chunks

}  // namespace parley

#endif  // PARLEY_COMMON_WIRE_PROTOCOL_H_
