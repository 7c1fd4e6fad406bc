// A round driver in virtual time, and what its run must come to.
#ifndef PARLEY_TESTS_UNIT_DRIVER_DRIVER_BENCH_H_
#define PARLEY_TESTS_UNIT_DRIVER_DRIVER_BENCH_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/random.h"
#include "common/config/defaults.h"
#include "common/config/validate.h"
#include "server/round/round_driver.h"
#include "tests/support/status_matchers.h"
#include "tests/support/virtual_clock.h"
#include "tests/unit/driver/fake_client.h"

namespace parley {

inline constexpr int64_t kWeights = 50000;

// A linear model of 50,000 weights and a counter, trained by whoever joins.
inline v1::RunConfig Config(int rounds = 3) {
  v1::RunConfig config;
  config.set_name("test");
  v1::Custom& custom = *config.mutable_model()->mutable_custom();
  custom.set_name("linear");
  v1::TensorSpec* tensor = custom.mutable_spec()->add_tensors();
  tensor->set_name("w");
  tensor->add_shape(kWeights);
  tensor = custom.mutable_spec()->add_tensors();
  tensor->set_name("steps");
  tensor->set_merge(v1::COPY);
  tensor = custom.mutable_spec()->add_tensors();
  tensor->set_name("own");
  tensor->add_shape(3);
  tensor->set_merge(v1::LOCAL);
  config.mutable_cohort()->set_min(3);
  config.mutable_stop()->set_rounds(rounds);
  FillDefaults(&config);
  EXPECT_OK(CheckRun(config));
  return config;
}

// What client `name` makes of the parameters: half-way to a target of its own.
inline std::vector<float> Train(const std::string& name, int64_t round,
                                const std::vector<float>& w) {
  Rng rng(11, name, round, "target");
  std::vector<float> change(w.size());
  for (size_t i = 0; i + 1 < w.size(); ++i) {
    change[i] = (static_cast<float>(rng.Normal()) - w[i]) / 2;
  }
  change.back() = static_cast<float>(round) + static_cast<float>(name[0]);
  return change;
}

inline const std::map<std::string, double> kClients = {
    {"a", 10}, {"b", 3}, {"c", 7}};

// The same run by a loop: cohorts[r] in cohort order.
inline std::vector<float> Naive(
    const std::vector<std::vector<std::string>>& cohorts, double momentum = 0) {
  std::vector<float> w(kWeights + 1, 0), m(kWeights + 1, 0);
  for (size_t r = 0; r < cohorts.size(); ++r) {
    std::vector<double> sum(w.size(), 0);
    double weight = 0;
    for (const std::string& name : cohorts[r]) {
      const std::vector<float> change =
          Train(name, static_cast<int64_t>(r) + 1, w);
      for (size_t i = 0; i < w.size(); ++i) {
        sum[i] += kClients.at(name) * static_cast<double>(change[i]);
      }
      weight += kClients.at(name);
    }
    const float steps =
        Train(cohorts[r][0], static_cast<int64_t>(r) + 1, w).back();
    for (size_t i = 0; i < w.size(); ++i) {
      const double next = momentum * m[i] + sum[i] / weight;
      m[i] = static_cast<float>(next);
      w[i] = static_cast<float>(w[i] + next);
    }
    w.back() = steps;
  }
  return w;
}

inline std::vector<float> Numbers(const ParameterVector& model) {
  const absl::Span<const float> values = model.As<float>();
  return {values.begin(), values.end()};
}
// Everything on the test's thread, in virtual time.
class Bench {
 public:
  explicit Bench(RoundDriverOptions options) {
    options.clock = &clock_;
    options.control = options.work = &executor_;
    options.on_round = [this](const RoundReport& report) {
      reports.push_back(report);
    };
    options.say = [this](LogLevel, const std::string& text) {
      said.push_back(text);
    };
    options.on_end = [this](const v1::RunStatus& status) { end = status; };
    auto made = RoundDriver::Create(std::move(options));
    EXPECT_OK(made);
    driver = *std::move(made);
  }
  ~Bench() {
    executor_.RunAll();
    driver.reset();
  }

  std::shared_ptr<FakeClient> Join(const std::string& name,
                                   Turnstile* turnstile = nullptr,
                                   bool keep_downloads_open = false,
                                   FakeClient::Train train = nullptr,
                                   bool stall = false,
                                   bool reads_inline = false) {
    if (train == nullptr) {
      train = [name](int64_t round, const std::vector<float>& w) {
        return Train(name, round, w);
      };
    }
    return FakeClient::Join({.name = name,
                             .weight = kClients.at(name),
                             .train = std::move(train),
                             .turnstile = turnstile,
                             .executor = &executor_,
                             .keep_downloads_open = keep_downloads_open,
                             .stall = stall,
                             .reads_inline = reads_inline},
                            driver.get());
  }
  void Run() {
    driver->Start();
    executor_.RunAll();
  }
  void Advance(absl::Duration d) {
    Pass(d);
    executor_.RunAll();
  }
  // From within a closure.
  void Pass(absl::Duration d) { clock_.Advance(d); }
  std::vector<std::vector<std::string>> Cohorts() const {
    std::vector<std::vector<std::string>> cohorts;
    for (const RoundReport& report : reports) cohorts.push_back(report.counted);
    return cohorts;
  }

  std::vector<RoundReport> reports;
  std::vector<std::string> said;
  std::optional<v1::RunStatus> end;
  std::unique_ptr<RoundDriver> driver;

 private:
  VirtualClock clock_;
  ManualExecutor executor_;
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_DRIVER_DRIVER_BENCH_H_
