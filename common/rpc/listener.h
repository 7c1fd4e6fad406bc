// Takes connections for the gRPC server, and no more than it should.
#ifndef PARLEY_COMMON_RPC_LISTENER_H_
#define PARLEY_COMMON_RPC_LISTENER_H_

#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"

namespace parley {

// gRPC's own listener is gone for good once a process runs out of descriptors.
// This one closes a connection whose descriptor is beyond its limit, and waits
// where there is none left. As the lowest free descriptor is always taken, that
// bounds the connections that are open, without counting them.
//
// Open, Start, and Stop or destroy before the gRPC server. Thread-compatible;
// accepts on a thread of its own, as accepting blocks.
class Listener {
 public:
  using Acceptor = grpc::experimental::ExternalConnectionAcceptor;

  // Listens at `address`: HOST:PORT or [IPV6]:PORT, where port 0 is any free
  // one; or unix:PATH, which takes the place of a dead server's socket. About
  // `max_connections` at once, fewer where RLIMIT_NOFILE is lower.
  // Unavailable: cannot listen there, and why.
  static absl::StatusOr<std::unique_ptr<Listener>> Open(
      const std::string& address, int max_connections);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int port() const { return port_; }  // 0: none, at a Unix socket

  // Once the gRPC server that the acceptor is of has started.
  void Start(std::unique_ptr<Acceptor> acceptor);
  // Takes no connections any more, and removes a Unix socket's file;
  // connections that it took stay.
  void Stop();

 private:
  Listener() = default;
  // Why it cannot listen there; else empty.
  std::string OpenNetwork(const std::string& address);
  std::string OpenUnix(const std::string& path);
  void Loop();
  // Takes all that wait; false: no descriptor is left to take them by.
  bool Accept(int listener);

  std::unique_ptr<Acceptor> acceptor_;
  std::vector<int> listeners_;
  int port_ = 0;
  std::string socket_file_;  // made by it; empty: none
  int first_refused_ = 0;    // descriptor
  bool full_ = false;        // turned somebody away since it last said so
  int wake_ = -1;            // an eventfd: stop
  std::thread thread_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_RPC_LISTENER_H_
