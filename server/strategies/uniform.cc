// The plain mean: every client that counted counts the same, however much data
// it has, and however many contributors it claims.
#include "server/strategies/strategy.h"

namespace parley {
namespace {

class Uniform final : public Strategy {
 public:
  double Weight(const v1::UpdateReady&) const override { return 1; }
};

}  // namespace

StrategyOr MakeUniform(const v1::Aggregation&) {
  return std::make_unique<Uniform>();
}

}  // namespace parley
