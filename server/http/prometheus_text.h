// The runs as Prometheus scrapes them.
#ifndef PARLEY_SERVER_HTTP_PROMETHEUS_TEXT_H_
#define PARLEY_SERVER_HTTP_PROMETHEUS_TEXT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "parley/v1/admin.pb.h"

namespace parley {

struct ScrapedRun {
  v1::RunStatus status;
  std::vector<std::pair<std::string, double>> last_seconds;  // of each phase
};

inline constexpr char kPrometheusType[] = "text/plain; version=0.0.4";

// Metrics of the text format 0.0.4 with the label `run`. Nothing of what
// clients send becomes a label.
std::string PrometheusText(absl::Span<const ScrapedRun> runs);

}  // namespace parley

#endif  // PARLEY_SERVER_HTTP_PROMETHEUS_TEXT_H_
