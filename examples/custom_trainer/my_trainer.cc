// A model of one's own: a line through points that each client measures itself.
//   parley run run.textproto --clients 4 -- ./my_trainer
#include <random>

#include "client/program/client_program.h"
using namespace parley;

class Line final : public Trainer {
 public:
  explicit Line(const std::string& client) {
    std::mt19937 random(std::hash<std::string>()(client));
    std::normal_distribution<float> normal;
    for (auto& [x, y] : points_) {
      x = normal(random);
      y = 2 * x - 1 + 0.1f * normal(random);
    }
  }
  absl::StatusOr<TrainResult> Train(const TrainTask& task, ParameterVector& line) override {
    const auto w = line.As<float>();  // slope and offset
    for (const auto& [x, y] : points_) {
      const float error = w[0] * x + w[1] - y;
      w[0] -= 0.01f * error * x;
      w[1] -= 0.01f * error;
    }
    return Evaluate(task, line);
  }
  absl::StatusOr<TrainResult> Evaluate(const TrainTask&, const ParameterVector& line) override {
    const auto w = line.As<float>();
    double loss = 0;
    for (const auto& [x, y] : points_) loss += std::abs(w[0] * x + w[1] - y) / 100;
    return TrainResult{.examples = 100, .local_steps = 100, .metrics = {{"loss", loss}}};
  }
  std::pair<float, float> points_[100];
};

int main(int argc, char** argv) {
  return ClientMain(argc, argv, [](auto& setup) { return std::make_unique<Line>(setup.client); });
}
