// A peer of a gossip run that trains nothing: only the rounds themselves cost.
// For benchmarks of them and for tests of a peer's memory.
#include <memory>

#include "client/program/client_program.h"

namespace parley {
namespace {

// Leaves the parameters as they are.
class IdleTrainer final : public Trainer {
 public:
  absl::StatusOr<TrainResult> Train(const TrainTask&,
                                    ParameterVector&) override {
    return TrainResult{.examples = 1, .local_steps = 0, .metrics = {}};
  }
  absl::StatusOr<TrainResult> Evaluate(const TrainTask&,
                                       const ParameterVector&) override {
    return absl::UnimplementedError("nothing to evaluate on");
  }
};

}  // namespace
}  // namespace parley

int main(int argc, char** argv) {
  return parley::ClientMain(argc, argv, [](const auto&) {
    return std::make_unique<parley::IdleTrainer>();
  });
}
