#include "common/rpc/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include "common/base/status_macros.h"
#include "common/rpc/address.h"
#include "common/wire/protocol.h"

namespace parley {
namespace {

constexpr int kKeepaliveMs = 30000;
constexpr int kKeepaliveTimeoutMs = 10000;
// Strictly below the sender's interval, or it is told off for its pings.
constexpr int kMinPingIntervalMs = 10000;
constexpr int kConnectTimeoutMs = 10000;
// Of one connection: a client has a session and a transfer or two.
constexpr int kMaxStreams = 100;
// A server drops who connects and does not speak the protocol, or opens no
// stream for so long; a client always has its session.
constexpr int kHandshakeTimeoutMs = 20000;
constexpr int kMaxIdleMs = 60000;
// A chunk's data and what precedes it.
constexpr int kMaxMessageBytes = kMaxChunkBytes + (64 << 10);

template <typename Set>
void SetCommon(int lookahead_bytes, Set set) {
  set(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  set(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Without probing a connection's window stays at 64 KiB and what the message
  // that is read needs: one chunk a round trip.
  set(GRPC_ARG_HTTP2_BDP_PROBE, lookahead_bytes > kDefaultLookaheadBytes);
  set(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, lookahead_bytes);
  set(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, kMaxMessageBytes);
  set(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, kMaxMessageBytes);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(
    const std::string& address, const DialOptions& options) {
  PARLEY_ASSIGN_OR_RETURN(auto credentials,
                          MakeChannelCredentials(address, options.security));
  grpc::ChannelArguments args;
  SetCommon(options.lookahead_bytes,
            [&](const char* name, int value) { args.SetInt(name, value); });
  // Channels to one address would share a connection otherwise.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Retries are the session's business; gRPC's would buffer what is sent.
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  if (!options.expected_name.empty() && !options.security.tls.empty()) {
    args.SetSslTargetNameOverride(options.expected_name);
  }
  if (IsLoopback(address)) args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address, credentials, args);
}

void SetServerArguments(grpc::ServerBuilder* builder, int lookahead_bytes) {
  SetCommon(lookahead_bytes, [&](const char* name, int value) {
    builder->AddChannelArgument(name, value);
  });
  builder->AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      kMinPingIntervalMs);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                              kHandshakeTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kMaxIdleMs);
}

}  // namespace parley
