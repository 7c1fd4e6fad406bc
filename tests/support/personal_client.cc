// A client with a layer of its own: its LOCAL tensor follows the shared one,
// and the shared one follows it, each client's in its own way. For tests of
// what outlives a client's process.

#include <functional>
#include <memory>
#include <string>

#include "client/program/client_program.h"

namespace parley {
namespace {

// The model is "shared" (MEAN) and "own" (LOCAL), of two numbers each.
class PersonalTrainer final : public Trainer {
 public:
  explicit PersonalTrainer(const std::string& client)
      : bias_(static_cast<float>(std::hash<std::string>()(client) % 100)) {}

  absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                    ParameterVector& parameters) override {
    const auto x = parameters.As<float>();
    for (int i = 0; i < 2; ++i) {
      float& shared = x[i];
      float& own = x[2 + i];
      own = 0.9f * own + 0.1f * shared + bias_ / static_cast<float>(task.round);
      shared += 0.5f * (own - shared);
    }
    return TrainResult{.examples = 1, .local_steps = 1, .metrics = {}};
  }
  absl::StatusOr<TrainResult> Evaluate(const TrainTask&,
                                       const ParameterVector&) override {
    return absl::UnimplementedError("nothing to evaluate on");
  }

 private:
  const float bias_;
};

}  // namespace
}  // namespace parley

int main(int argc, char** argv) {
  return parley::ClientMain(argc, argv, [](const auto& setup) {
    return std::make_unique<parley::PersonalTrainer>(setup.client);
  });
}
