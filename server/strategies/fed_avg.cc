// The mean of the updates weighted by the examples behind them (McMahan et al.
// 2017, algorithm 1).
#include "server/strategies/strategy.h"

namespace parley {
namespace {

class FedAvg final : public Strategy {
 public:
  double Weight(const v1::UpdateReady& header) const override {
    return header.weight();
  }
};

}  // namespace

StrategyOr MakeFedAvg(const v1::Aggregation&) {
  return std::make_unique<FedAvg>();
}

}  // namespace parley
