// How far the clients of one round went apart.
#ifndef PARLEY_SERVER_ROUND_CLIENT_DRIFT_H_
#define PARLEY_SERVER_ROUND_CLIENT_DRIFT_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "server/strategies/update_view.h"

namespace parley {

// Takes the updates of a round one after another, and keeps none of them: two
// float64 models of memory. Thread-compatible.
class ClientDrift {
 public:
  // What the clients' own models are held against; empty: nothing.
  explicit ClientDrift(std::vector<double> reference)
      : reference_(std::move(reference)) {}

  // An update of a float64 model without COPY tensors; `model` is what it
  // changes.
  void Add(const UpdateView& update, absl::Span<const double> model);
  // "drift", "drift_share" and the "client_gap_..." of RoundReport::direction.
  // Nothing where there was no update.
  std::map<std::string, double> Numbers() const;
  void Clear();

 private:
  const std::vector<double> reference_;
  double weight_ = 0;            // Σ p
  double squares_ = 0;           // Σ p·‖Δ − mean‖²
  std::vector<double> mean_;     // of the changes so far, weighted
  std::vector<double> scratch_;  // one update
  std::vector<double> gaps_;     // of the clients' models
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_CLIENT_DRIFT_H_
