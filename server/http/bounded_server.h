// cpp-httplib's server with bounds: what a peer can take of memory, time,
// threads and descriptors.
#ifndef PARLEY_SERVER_HTTP_BOUNDED_SERVER_H_
#define PARLEY_SERVER_HTTP_BOUNDED_SERVER_H_

#include <httplib.h>

#include <set>

#include "common/base/mutex.h"

namespace parley {

// One request a connection, without a body: at most kMaxRequestBytes, which
// have to arrive within kReadTime. Each write has kWriteTime; a peer that takes
// longer is cut off. At most kMaxConnections at once: others wait to be
// accepted. Thread-safe once it listens.
class BoundedServer final : public httplib::Server {
 public:
  static constexpr size_t kMaxRequestBytes = 32 << 10;
  static constexpr std::chrono::seconds kReadTime{5};
  static constexpr std::chrono::seconds kWriteTime{10};

  explicit BoundedServer(int max_connections);

  // Returns once stop() is heard: listen_after_bind has begun on another
  // thread.
  void AwaitListening();
  // Ends all connections, whatever they do.
  void CutOff();

 private:
  bool process_and_close_socket(socket_t socket) override;

  Mutex mu_;
  CondVar changed_;
  bool listening_ GUARDED_BY(mu_) = false;
  std::set<int> open_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_SERVER_HTTP_BOUNDED_SERVER_H_
