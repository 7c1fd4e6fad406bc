// The live view over HTTP: pages with the charts of report.html, JSON, and
// metrics for Prometheus. Read-only.
#ifndef PARLEY_SERVER_HTTP_HTTP_SERVER_H_
#define PARLEY_SERVER_HTTP_HTTP_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/http/live_source.h"

namespace parley {

inline constexpr char kHttpAddressFile[] = "http-address";

// Serves from Start until Shutdown or destruction, on threads of its own.
//   /                       the runs, live
//   /run/NAME               one of them, live
//   /api/runs               their statuses: an array of RunStatus (admin.proto)
//   /api/runs/NAME          one of them
//   /api/runs/NAME/rounds   its metrics.jsonl; ?after=N: of the rounds after N
//   /metrics                for Prometheus
//   /healthz                "ok"
// Pages get what is new over /events and /run/NAME/events (server-sent events,
// see page/live.js). Whoever asks under a host name that is not this server's
// is refused: a page elsewhere may have made it up (DNS rebinding).
class HttpServer {
 public:
  struct Options {
    std::string address = "127.0.0.1:0";  // port 0: any free one
    bool allow_insecure = false;          // beyond loopback: there is no TLS
    int max_viewers =
        16;  // of live pages; each takes a thread while it is open
  };

  // `source` must outlive the server. InvalidArgument: no HOST:PORT.
  // FailedPrecondition: beyond loopback. Unavailable: cannot listen there, and
  // why.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      const Options& options, LiveSource* source);
  ~HttpServer();

  int port() const;

  // Tells viewers what is left to tell, and returns when no connection is left:
  // in about two seconds at most, however slow they are.
  void Shutdown();

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_HTTP_HTTP_SERVER_H_
