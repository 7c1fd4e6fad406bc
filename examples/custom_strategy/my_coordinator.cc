// A strategy of one's own: clients count by the power of their examples, from
// plain means (0) to FedAvg (1).
//   parley run run.textproto --coordinator ./my_coordinator
#include <cmath>

#include "server/program/server_program.h"

class PowerMean final : public parley::Strategy {
 public:
  explicit PowerMean(double power) : power_(power) {}
  double Weight(const parley::v1::UpdateReady& update) const override {
    return std::pow(update.weight(), power_);
  }

 private:
  const double power_;
};

parley::StrategyOr MakePowerMean(const std::map<std::string, std::string>& params) {
  const auto power = params.find("power");
  char* end = nullptr;
  const double value =
      power == params.end() ? 0.5 : std::strtod(power->second.c_str(), &end);
  if (end != nullptr && (*end != '\0' || end == power->second.c_str())) {
    return absl::InvalidArgumentError("power_mean: power must be a number");
  }
  return std::make_unique<PowerMean>(value);
}

int main(int argc, char** argv) {
  return parley::ServerMain(argc, argv, {{"power_mean", MakePowerMean}});
}
