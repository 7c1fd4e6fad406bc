// What both ends of a connection set, so that they agree: keepalive, flow
// control, sizes. Measured on gRPC 1.51: with its own probing of the bandwidth
// a busy connection takes 30 MiB, without it and with a fixed lookahead 6. But
// a link of 1 Gb/s and 40 ms there and back carries 8 MB/s without it.
#ifndef PARLEY_COMMON_RPC_CHANNEL_H_
#define PARLEY_COMMON_RPC_CHANNEL_H_

#include <grpcpp/channel.h>
#include <grpcpp/server_builder.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/credentials.h"

namespace parley {

// How much a receiver lets a sender be ahead of it on one stream: at least the
// bandwidth times the round-trip time, or the link is not filled. A connection
// takes about as much memory; with more than this default, for which gRPC has
// to probe the bandwidth, up to some times as much.
inline constexpr int kDefaultLookaheadBytes = 1 << 20;

struct DialOptions {
  Security security;
  int lookahead_bytes = kDefaultLookaheadBytes;
  // With TLS: the name that the other end has to prove, where that is not its
  // host's. Empty: its host's.
  std::string expected_name = {};
};

// A channel with a connection of its own, which is made by the first call. On
// loopback no proxy is used, whatever the environment says. Errors are those of
// MakeChannelCredentials.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const std::string& address,
                                                    const DialOptions& options);

// The same settings for a server. A port in use is an error, not shared.
void SetServerArguments(grpc::ServerBuilder* builder, int lookahead_bytes);

}  // namespace parley

#endif  // PARLEY_COMMON_RPC_CHANNEL_H_
