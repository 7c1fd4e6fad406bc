#include "server/strategies/server_optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/strategies/updates.h"

namespace parley {
namespace {

v1::Aggregation Config(const std::string& kind) {
  v1::Aggregation config;
  if (kind == "plain") config.mutable_plain()->set_step_size(0.5);
  if (kind == "momentum") {
    config.mutable_momentum()->set_step_size(0.5);
    config.mutable_momentum()->set_momentum(0.75);
  }
  if (kind == "adam") {
    config.mutable_adam()->set_step_size(0.1);
    config.mutable_adam()->set_beta1(0.9);
    config.mutable_adam()->set_beta2(0.99);
    config.mutable_adam()->set_epsilon(0.01);
  }
  if (kind == "anchored") config.mutable_anchored()->set_power(0.5);
  return config;
}

TEST(ServerOptimizer, FollowsTheFormulas) {
  const std::vector<double> changes = {1, -2, 0.25, 0, 3};
  for (const char* kind : {"plain", "momentum", "adam", "anchored"}) {
    ParameterVector model(DType::kFloat64, 1);
    model.As<double>()[0] = 4;
    const auto optimizer = MakeServerOptimizer(Config(kind), model);
    double x = 4, m = 0, v = 0.01 * 0.01;
    int64_t round = 0;
    for (double d : changes) {
      ++round;
      if (kind == std::string("plain")) {
        x += 0.5 * d;
      } else if (kind == std::string("momentum")) {
        m = 0.75 * m + d;
        x += 0.5 * m;
      } else if (kind == std::string("anchored")) {
        const double pull = 1 / std::sqrt(round + 1.0);
        x = pull * 4 + (1 - pull) * (x + d);
      } else {
        m = 0.9 * m + 0.1 * d;
        v = 0.99 * v + 0.01 * d * d;
        x += 0.1 * m / (std::sqrt(v) + 0.01);
      }
      optimizer->Step(round, 0, {d}, model);
      EXPECT_NEAR(model.As<double>()[0], x, 1e-12) << kind;
    }
  }
}

TEST(ServerOptimizer, RangesInAnyOrderGiveTheSameBits) {
  const int64_t n = 1000;
  const std::vector<double> change = RandomValues(1, n);
  for (const char* kind : {"plain", "momentum", "adam", "anchored"}) {
    ParameterVector whole(DType::kFloat32, n), pieces(DType::kFloat32, n);
    const auto a = MakeServerOptimizer(Config(kind), whole);
    const auto b = MakeServerOptimizer(Config(kind), whole);
    for (int round = 1; round <= 3; ++round) {
      a->Step(round, 0, change, whole);
      for (int64_t begin : {512, 0, 256, 768}) {
        const int64_t size = std::min<int64_t>(256, n - begin);
        b->Step(round, begin, absl::MakeSpan(change).subspan(begin, size),
                pieces);
      }
    }
    EXPECT_EQ(whole.Hash(), pieces.Hash()) << kind;
  }
}

TEST(ServerOptimizer, StateTakenOverGoesOnAlike) {
  const std::vector<double> change = RandomValues(2, 50);
  for (const char* kind : {"momentum", "adam", "anchored"}) {
    ParameterVector x(DType::kFloat32, 50);
    const auto b = MakeServerOptimizer(Config(kind), x);
    x.As<float>()[0] = 5;
    const auto a = MakeServerOptimizer(Config(kind), x);
    a->Step(1, 0, change, x);
    ParameterVector y = x.Clone();
    const auto from = a->state(), to = b->state();
    ASSERT_EQ(from.size(), to.size());
    ASSERT_FALSE(from.empty());
    for (size_t i = 0; i < from.size(); ++i) {
      EXPECT_EQ(from[i].name, to[i].name);
      *to[i].values = from[i].values->Clone();
    }
    a->Step(2, 0, change, x);
    b->Step(2, 0, change, y);
    EXPECT_EQ(x.Hash(), y.Hash()) << kind;
  }
}

}  // namespace
}  // namespace parley
