// Gossip runs of the tests: small vectors, trainers that are formulas.
#ifndef PARLEY_TESTS_UNIT_GOSSIP_GOSSIP_BENCH_H_
#define PARLEY_TESTS_UNIT_GOSSIP_GOSSIP_BENCH_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "client/gossip/peer_state.h"
#include "client/gossip/vectors.h"
#include "client/sdk/trainer.h"
#include "common/base/executor.h"
#include "common/base/random.h"
#include "common/topology/schedule.h"
#include "tools/sim/gossip_world.h"

namespace parley {

using Vector = std::vector<double>;

inline ParameterVector ToParameters(const Vector& v,
                                    DType dtype = DType::kFloat64) {
  ParameterVector result(dtype, static_cast<int64_t>(v.size()));
  for (size_t i = 0; i < v.size(); ++i) {
    if (dtype == DType::kFloat64) {
      result.As<double>()[i] = v[i];
    } else {
      result.As<float>()[i] = static_cast<float>(v[i]);
    }
  }
  return result;
}
inline Vector ToVector(const ParameterVector& v) {
  Vector result(v.elements());
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] =
        v.dtype() == DType::kFloat64 ? v.As<double>()[i] : v.As<float>()[i];
  }
  return result;
}

inline Vector RandomVector(uint64_t seed, int peer, int64_t n) {
  Rng rng(seed, "", peer, "start");
  Vector v(n);
  for (double& x : v) x = rng.Normal();
  return v;
}

// Adds to the parameters what a function says of them: Δ.
class FormulaTrainer final : public Trainer {
 public:
  using Delta = std::function<Vector(int64_t round, const Vector& at)>;
  explicit FormulaTrainer(Delta delta) : delta_(std::move(delta)) {}
  absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                    ParameterVector& parameters) override {
    const Vector delta = delta_(task.round, ToVector(parameters));
    AddScaled(1, ToParameters(delta, parameters.dtype()), &parameters);
    return TrainResult{.examples = 1, .local_steps = 1};
  }
  absl::StatusOr<TrainResult> Evaluate(const TrainTask&,
                                       const ParameterVector&) override {
    return absl::UnimplementedError("no data");
  }

 private:
  const Delta delta_;
};

inline std::shared_ptr<const Schedule> MakeSchedule(TopologyOptions options,
                                                    int64_t peers,
                                                    uint64_t seed = 1) {
  auto schedule =
      Schedule::Create(options, {.seed = seed, .epoch = 0, .peers = peers});
  EXPECT_TRUE(schedule.ok()) << schedule.status();
  return schedule.ok() ? *std::move(schedule) : nullptr;
}

// Δ of peer j; null: none.
using PeerDelta =
    std::function<Vector(int peer, int64_t round, const Vector& at)>;

inline GossipWorldOptions BenchOptions(Executor* pool,
                                       std::shared_ptr<const Schedule> schedule,
                                       int64_t rounds, int64_t elements,
                                       PeerDelta delta = nullptr) {
  GossipWorldOptions options;
  options.schedule = std::move(schedule);
  options.rounds = rounds;
  options.final_average = false;
  options.pool = pool;
  options.limit = absl::Hours(10);
  options.start = [elements](int peer) {
    return ToParameters(RandomVector(7, peer, elements));
  };
  options.trainer = [delta, elements](int peer) {
    return std::make_unique<FormulaTrainer>(
        [=](int64_t round, const Vector& at) {
          return delta ? delta(peer, round, at) : Vector(elements, 0.0);
        });
  };
  return options;
}

inline Vector MeanOf(const std::vector<Vector>& x) {
  Vector mean(x[0].size(), 0.0);
  for (const Vector& v : x) {
    for (size_t i = 0; i < v.size(); ++i) mean[i] += v[i] / x.size();
  }
  return mean;
}

// sqrt(Σ ‖x_j − x̄‖²).
inline double Spread(const std::vector<Vector>& x) {
  const Vector mean = MeanOf(x);
  double sum = 0;
  for (const Vector& v : x) {
    for (size_t i = 0; i < v.size(); ++i) {
      sum += (v[i] - mean[i]) * (v[i] - mean[i]);
    }
  }
  return std::sqrt(sum);
}

// Models of all peers after each round, as the run's callbacks see them.
class Trajectory {
 public:
  void Watch(GossipWorldOptions* options) {
    options->on_round = [this](int peer, const GossipRound& round,
                               const PeerState& state) {
      models_[round.round].resize(
          std::max(models_[round.round].size(), static_cast<size_t>(peer) + 1));
      models_[round.round][peer] = ToVector(state.Model());
    };
  }
  const std::vector<Vector>& At(int64_t round) { return models_[round]; }

 private:
  std::map<int64_t, std::vector<Vector>> models_;
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_GOSSIP_GOSSIP_BENCH_H_
