#include "server/round/client_drift.h"

#include <algorithm>
#include <cmath>

#include "common/analysis/direction.h"

namespace parley {
namespace {

double Median(std::vector<double> sorted) {
  const size_t n = sorted.size();
  return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

}  // namespace

// The mean and the sum of squares around it move together (West 1979), so that
// drift much smaller than the changes does not cancel.
void ClientDrift::Add(const UpdateView& update,
                      absl::Span<const double> model) {
  const size_t n = model.size();
  mean_.resize(n);
  scratch_.resize(n);
  DecodeRange(update, 0, static_cast<int64_t>(n), scratch_.data());
  weight_ += update.weight;
  const double share = update.weight / weight_;
  double squares = 0;
  for (size_t i = 0; i < n; ++i) {
    const double difference = scratch_[i] - mean_[i];
    squares += difference * difference;
    mean_[i] += share * difference;
    scratch_[i] += model[i];  // the client's own model
  }
  squares_ += update.weight * (1 - share) * squares;
  if (!reference_.empty()) gaps_.push_back(DirectionGap(scratch_, reference_));
}

std::map<std::string, double> ClientDrift::Numbers() const {
  std::map<std::string, double> numbers;
  if (weight_ == 0) return numbers;
  const double drift = std::sqrt(squares_ / weight_);
  numbers["drift"] = drift;
  numbers["drift_share"] = drift / Norm(mean_);
  if (gaps_.empty()) return numbers;
  std::vector<double> sorted = gaps_;
  std::sort(sorted.begin(), sorted.end());
  numbers["client_gap_min"] = sorted.front();
  numbers["client_gap_max"] = sorted.back();
  numbers["client_gap_median"] = Median(std::move(sorted));
  return numbers;
}

void ClientDrift::Clear() {
  weight_ = squares_ = 0;
  std::fill(mean_.begin(), mean_.end(), 0.0);
  gaps_.clear();
}

}  // namespace parley
