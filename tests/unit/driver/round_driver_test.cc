#include "server/round/round_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>

#include "common/base/json.h"
#include "common/base/random.h"
#include "common/config/defaults.h"
#include "common/config/validate.h"
#include "common/files/parameter_file.h"
#include "server/store/recorded_run.h"
#include "tests/support/status_matchers.h"
#include "tests/support/virtual_clock.h"
#include "tests/unit/driver/fake_client.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kWeights = 50000;

// A linear model of 50,000 weights and a counter, trained by whoever joins.
v1::RunConfig Config(int rounds = 3) {
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
std::vector<float> Train(const std::string& name, int64_t round,
                         const std::vector<float>& w) {
  Rng rng(11, name, round, "target");
  std::vector<float> change(w.size());
  for (size_t i = 0; i + 1 < w.size(); ++i) {
    change[i] = (static_cast<float>(rng.Normal()) - w[i]) / 2;
  }
  change.back() = static_cast<float>(round) + static_cast<float>(name[0]);
  return change;
}

const std::map<std::string, double> kClients = {{"a", 10}, {"b", 3}, {"c", 7}};

// The same run by a loop: cohorts[r] in cohort order.
std::vector<float> Naive(const std::vector<std::vector<std::string>>& cohorts,
                         double momentum = 0) {
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

std::vector<float> Numbers(const ParameterVector& model) {
  const absl::Span<const float> values = model.As<float>();
  return {values.begin(), values.end()};
}

std::string TestFolder() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) /
      (std::string("parley_driver_") + info->name());
  std::filesystem::remove_all(path);
  return path.string();
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
                                   bool stall = false) {
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
                             .stall = stall},
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

TEST(RoundDriver, IsANaiveAverageInAnyOrderOfArrival) {
  std::vector<std::string> order = {"a", "b", "c"};
  do {
    Bench bench({.config = Config()});
    Turnstile turnstile(order);
    for (const char* name : {"a", "b", "c"}) bench.Join(name, &turnstile);
    bench.Run();
    ASSERT_TRUE(bench.end.has_value());
    EXPECT_EQ(bench.end->state(), v1::FINISHED) << bench.end->detail();
    ASSERT_EQ(bench.reports.size(), 3);
    EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
    EXPECT_EQ(bench.reports.back().model_hash, bench.driver->model().Hash());
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(RoundDriver, ThreadsDoNotChangeABit) {
  for (int threads : {1, 4}) {
    for (bool reverse : {false, true}) {
      const std::unique_ptr<Clock> clock = MakeRealClock();
      ThreadPool control(2), work(threads), transport(threads);
      std::vector<std::vector<std::string>> cohorts;
      RoundDriverOptions options{.config = Config(5)};
      options.clock = clock.get();
      options.control = &control;
      options.work = options.parallel = &work;
      options.on_round = [&](const RoundReport& report) {
        cohorts.push_back(report.counted);
      };
      options.say = [](LogLevel, const std::string&) {};
      ASSERT_OK_AND_ASSIGN(const auto driver,
                           RoundDriver::Create(std::move(options)));
      std::vector<std::string> order = {"a", "b", "c"};
      if (reverse) std::reverse(order.begin(), order.end());
      Turnstile turnstile(order);
      std::vector<std::shared_ptr<FakeClient>> clients;
      for (const char* name : {"a", "b", "c"}) {
        clients.push_back(FakeClient::Join(
            {.name = name,
             .weight = kClients.at(name),
             .train =
                 [name](int64_t round, const std::vector<float>& w) {
                   return Train(name, round, w);
                 },
             .turnstile = &turnstile,
             .executor = &transport},
            driver.get()));
      }
      driver->Start();
      const v1::RunStatus status = driver->Wait();
      EXPECT_EQ(status.state(), v1::FINISHED) << status.detail();
      EXPECT_EQ(cohorts.size(), 5);
      EXPECT_EQ(Numbers(driver->model()), Naive(cohorts));
    }
  }
}

TEST(RoundDriver, SaysWhatARoundWas) {
  Bench bench({.config = Config(1)});
  const auto a = bench.Join("a"), b = bench.Join("b"), c = bench.Join("c");
  bench.Run();
  ASSERT_EQ(bench.reports.size(), 1);
  const RoundReport& report = bench.reports[0];
  EXPECT_EQ(report.round, 1);
  EXPECT_EQ(report.asked, report.counted);
  EXPECT_THAT(report.counted, ::testing::UnorderedElementsAre("a", "b", "c"));
  EXPECT_THAT(report.refused, IsEmpty());
  EXPECT_EQ(report.train_loss, (10 * 5 + 3 * 1.5 + 7 * 3.5) / 20);
  EXPECT_EQ(report.bytes_up, 3 * 4 * (kWeights + 1));
  EXPECT_EQ(report.bytes_down, 3 * 4 * (kWeights + 1));
  EXPECT_EQ(report.clients, 3);
  EXPECT_EQ(bench.driver->spec().tensors().size(), 2);  // LOCAL stays away
  for (const auto& client : {a, b, c}) {
    EXPECT_EQ(client->counted(), 1);
    EXPECT_TRUE(client->closed());
  }
}

TEST(RoundDriver, NumbersThatAreNotFiniteCostTheirClientOnly) {
  v1::RunConfig config = Config(1);
  config.mutable_cohort()->set_quorum(0.5);
  config.mutable_cohort()->set_deadline_seconds(60);
  Bench bench({.config = config});
  const auto bad = bench.Join("b", nullptr, false, [](int64_t, const auto& w) {
    std::vector<float> change(w.size(), 1);
    change[1234] = NAN;
    return change;
  });
  bench.Join("a");
  bench.Join("c");
  bench.Run();
  ASSERT_EQ(bad->refusals().size(), 1);
  EXPECT_THAT(bad->refusals()[0], ::testing::HasSubstr("NaN"));
  bench.Advance(absl::Seconds(61));
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(bench.end->state(), v1::FINISHED) << bench.end->detail();
  EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
  EXPECT_THAT(bench.reports[0].counted,
              ::testing::UnorderedElementsAre("a", "c"));
}

TEST(RoundDriver, FailsWhenTheModelOverflows) {
  Bench bench({.config = Config()});
  for (const char* name : {"a", "b", "c"}) {
    bench.Join(name, nullptr, false, [](int64_t, const auto& w) {
      return std::vector<float>(w.size(), 3e38f);
    });
  }
  bench.Run();  // the second round goes beyond float32
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(bench.end->state(), v1::FAILED);
  EXPECT_THAT(bench.end->detail(), ::testing::HasSubstr("diverged"));
}

TEST(RoundDriver, AStuckDownloadKeepsTheOldModelAndHoldsUpOnlyBriefly) {
  Bench bench({.config = Config(2)});
  const auto stuck = bench.Join("a", nullptr, true);
  bench.Join("b");
  bench.Join("c");
  bench.Run();
  EXPECT_EQ(bench.reports.size(), 0);
  bench.Advance(absl::Seconds(4));
  EXPECT_EQ(bench.reports.size(), 0);
  bench.Advance(absl::Seconds(2));
  EXPECT_EQ(bench.reports.size(), 1);
  // The model moved on; what is being sent did not.
  const std::string zeros(1000, '\0');
  ASSERT_FALSE(stuck->open_downloads().empty());
  EXPECT_EQ(stuck->open_downloads()[0].substr(0, 1000), zeros);
  stuck->DropDownloads();
  bench.Advance(absl::ZeroDuration());
  stuck->DropDownloads();
  bench.Advance(absl::Seconds(6));
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
  stuck->DropDownloads();
}

TEST(RoundDriver, ATransferThatStallsLosesItsPermit) {
  v1::RunConfig config = Config(1);
  config.mutable_limits()->set_transfers(1);
  Bench bench({.config = config});
  const std::vector<std::shared_ptr<FakeClient>> clients = {
      bench.Join("a", nullptr, false, nullptr, /*stall=*/true),
      bench.Join("b", nullptr, false, nullptr, /*stall=*/true),
      bench.Join("c", nullptr, true)};
  bench.Run();
  const auto broken_off = [&] {
    std::vector<absl::Status> all = clients[0]->broken_off();
    for (const absl::Status& s : clients[1]->broken_off()) all.push_back(s);
    return all;
  };
  // One permit each way: a download that is not read holds up the next ones,
  // and then one stalled upload the other.
  int seconds = 0;
  for (; !bench.end && seconds < 300; seconds += 5) {
    EXPECT_TRUE(seconds >= 30 || broken_off().empty());
    bench.Advance(absl::Seconds(5));
    for (const auto& client : clients) client->Beat();
  }
  EXPECT_GE(seconds, 60);
  const std::vector<absl::Status> told = broken_off();
  ASSERT_EQ(told.size(), 2);
  for (const absl::Status& why : told) {
    EXPECT_THAT(why, StatusIs(absl::StatusCode::kDeadlineExceeded,
                              "no chunk moved for 30s"));
  }
  ASSERT_EQ(bench.reports.size(), 1);
  EXPECT_EQ(bench.reports[0].counted.size(), 3);
  EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
  clients[2]->DropDownloads();
}

TEST(RoundDriver, UpdatesShareLittleStagingRoom) {
  v1::RunConfig config = Config(3);
  // Of three updates one fits; the others wait for its fold.
  config.mutable_limits()->set_staging_bytes(5 * kWeights);
  config.mutable_limits()->set_staging_disk_bytes(0);
  Bench bench({.config = config});
  for (const char* name : {"a", "b", "c"}) bench.Join(name);
  bench.Run();
  for (int i = 0; i < 300 && !bench.end.has_value(); ++i) {
    bench.Advance(absl::Seconds(1));
  }
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(bench.end->state(), v1::FINISHED) << bench.end->detail();
  EXPECT_EQ(Numbers(bench.driver->model()), Naive(bench.Cohorts()));
  EXPECT_EQ(bench.reports.back().counted.size(), 3);
}

TEST(RoundDriver, WatchersHearOfTheEndLast) {
  Bench bench({.config = Config(2)});
  std::vector<v1::RunStatus> heard;
  const uint64_t id = bench.driver->Watch(
      [&](const v1::RunStatus& status) { heard.push_back(status); });
  int others = 0;
  const uint64_t gone =
      bench.driver->Watch([&](const v1::RunStatus&) { ++others; });
  bench.driver->Unwatch(gone);
  for (const char* name : {"a", "b", "c"}) bench.Join(name);
  bench.Run();
  ASSERT_GE(heard.size(), 2);
  EXPECT_EQ(heard.front().state(), v1::WAITING);
  EXPECT_EQ(heard.back().state(), v1::FINISHED);
  EXPECT_EQ(heard.back().round(), 2);
  for (size_t i = 0; i + 1 < heard.size(); ++i) {
    EXPECT_NE(heard[i].state(), v1::FINISHED);
  }
  EXPECT_EQ(others, 0);
  bench.driver->Unwatch(id);

  std::vector<v1::RunStatus> late;
  bench.driver->Watch(
      [&](const v1::RunStatus& status) { late.push_back(status); });
  bench.Advance(absl::ZeroDuration());
  ASSERT_EQ(late.size(), 1);
  EXPECT_EQ(late[0].state(), v1::FINISHED);
}

TEST(RoundDriver, StopEndsTheRun) {
  Bench bench({.config = Config()});
  bench.Join("a");  // two are missing
  bench.Run();
  EXPECT_FALSE(bench.end.has_value());
  bench.driver->Stop("enough");
  bench.Advance(absl::ZeroDuration());
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(bench.end->state(), v1::STOPPED);
  EXPECT_EQ(bench.end->detail(), "enough");
}

TEST(RoundDriver, WritesWhatWasDone) {
  const std::string folder = TestFolder();
  {
    Bench bench({.config = Config(2), .folder = folder});
    for (const char* name : {"a", "b", "c"}) bench.Join(name);
    bench.Run();
    ASSERT_TRUE(bench.end.has_value());
    EXPECT_EQ(bench.end->folder(), folder);

    ASSERT_OK_AND_ASSIGN(
        const ParameterVector model,
        LoadParameters(folder + "/model.safetensors", bench.driver->spec()));
    EXPECT_EQ(model.Hash(), bench.driver->model().Hash());
    ASSERT_OK_AND_ASSIGN(const auto reports,
                         ReadMetrics(folder + "/metrics.jsonl"));
    EXPECT_EQ(reports, bench.reports);
    ASSERT_OK_AND_ASSIGN(const RecordedRun run, ReadRecordedRun(folder));
    EXPECT_EQ(run.ended->state(), "FINISHED");
    EXPECT_EQ(run.rounds.at(2).committed->model_hash(), model.Hash());

    std::ifstream file(folder + "/status.json");
    std::string text;
    std::getline(file, text);
    ASSERT_OK_AND_ASSIGN(const Json status, Json::Parse(text));
    EXPECT_EQ(*status.Find("state")->AsString(), "finished");
    EXPECT_EQ(*status.Find("round")->AsInt64(), 2);

    // A replay of who counted makes the same model.
    Bench again({.config = Config(2), .script = ReplayScript(run)});
    for (const char* name : {"c", "b", "a"}) again.Join(name);
    again.Run();
    ASSERT_TRUE(again.end.has_value());
    EXPECT_EQ(again.driver->model().Hash(), model.Hash());
  }
  // And may be where another run starts.
  v1::RunConfig config = Config(1);
  config.mutable_start()->set_run(folder);
  const Bench next({.config = config});
  EXPECT_OK(LoadRunModel(folder, next.driver->spec()));
  EXPECT_NE(next.driver->model().As<float>()[0], 0);
}

TEST(RoundDriver, ResumedRunsEndAtTheSameModel) {
  v1::RunConfig config = Config(5);
  config.mutable_aggregation()->clear_optimizer();
  config.mutable_aggregation()->mutable_momentum()->set_momentum(0.5);
  config.mutable_aggregation()->mutable_momentum()->set_step_size(1);
  config.mutable_checkpoints()->set_every(2);
  std::vector<std::vector<std::string>> cohorts;
  uint64_t whole_hash;
  {
    Bench whole({.config = config});
    for (const char* name : {"a", "b", "c"}) whole.Join(name);
    whole.Run();
    cohorts = whole.Cohorts();
    whole_hash = whole.driver->model().Hash();
    EXPECT_EQ(Numbers(whole.driver->model()), Naive(cohorts, 0.5));
  }
  const std::string folder = TestFolder();
  const std::string crashed = folder + "_crashed";
  std::filesystem::remove_all(crashed);
  {
    Bench first({.config = config, .folder = folder});
    std::vector<std::shared_ptr<FakeClient>> clients;
    for (const char* name : {"a", "b", "c"}) {
      clients.push_back(
          first.Join(name, nullptr, false,
                     [&, name](int64_t round, const std::vector<float>& w) {
                       // As a crash in this round would leave the folder.
                       if (round == 4 && !std::filesystem::exists(crashed)) {
                         std::filesystem::copy(folder, crashed);
                       }
                       return Train(name, round, w);
                     }));
    }
    first.Run();
    EXPECT_EQ(first.driver->model().Hash(), whole_hash);
  }
  Bench second({.config = config, .folder = crashed, .resume = true});
  for (const char* name : {"a", "b", "c"}) second.Join(name);
  second.Run();
  ASSERT_TRUE(second.end.has_value());
  EXPECT_EQ(second.reports.size(), 3);  // 3, 4 and 5
  EXPECT_EQ(second.driver->model().Hash(), whole_hash);
  ASSERT_OK_AND_ASSIGN(const auto reports,
                       ReadMetrics(crashed + "/metrics.jsonl"));
  EXPECT_EQ(reports.size(), 5);
  ASSERT_OK_AND_ASSIGN(const RecordedRun run, ReadRecordedRun(crashed));
  EXPECT_EQ(run.opened.term(), 2);
  EXPECT_EQ(run.rounds.size(), 5);
  std::filesystem::remove_all(crashed);
}

TEST(RoundDriver, AResumedRunGoesOnCountingItsTime) {
  v1::RunConfig config = Config(5);
  config.mutable_checkpoints()->set_every(2);
  const std::string folder = TestFolder();
  const std::string crashed = folder + "_crashed";
  std::filesystem::remove_all(crashed);
  // Every round takes 10 s.
  const auto run = [&](Bench& bench, bool crash) {
    for (const char* name : {"a", "b", "c"}) {
      bench.Join(
          name, nullptr, false,
          [&, name](int64_t round, const std::vector<float>& w) {
            if (crash && round == 4 && !std::filesystem::exists(crashed)) {
              std::filesystem::copy(folder, crashed);
            }
            if (*name == 'a') bench.Pass(absl::Seconds(10));
            return Train(name, round, w);
          });
    }
    bench.Run();
  };
  Bench first({.config = config, .folder = folder});
  run(first, true);
  ASSERT_TRUE(first.end.has_value());
  EXPECT_EQ(first.end->seconds(), 50);

  // From the checkpoint of round 2 on; its time is over within round 4.
  config.mutable_stop()->set_wall_seconds(35);
  Bench second({.config = config, .folder = crashed, .resume = true});
  run(second, false);
  ASSERT_TRUE(second.end.has_value());
  EXPECT_EQ(second.end->state(), v1::FINISHED);
  EXPECT_EQ(second.end->round(), 3);
  EXPECT_EQ(second.end->seconds(), 40);
  std::vector<double> elapsed;
  ASSERT_OK_AND_ASSIGN(const auto reports,
                       ReadMetrics(crashed + "/metrics.jsonl"));
  for (const RoundReport& report : reports) {
    elapsed.push_back(report.elapsed_seconds);
  }
  EXPECT_THAT(elapsed, ElementsAre(10, 20, 30));
  std::filesystem::remove_all(crashed);
}

TEST(RoundDriver, JournalAndStatusAgreeThatAFileCouldNotBeWritten) {
  for (const std::string file :
       {"checkpoint-00000001", "model.safetensors", "status.json"}) {
    SCOPED_TRACE(file);
    const std::string folder = TestFolder();
    v1::RunConfig config = Config();
    config.mutable_checkpoints()->set_every(1);
    Bench bench({.config = config, .folder = folder});
    for (const char* name : {"a", "b", "c"}) bench.Join(name);
    // Nobody, not even root, writes a file where a folder is.
    std::filesystem::create_directory(folder + "/" + file + ".part");
    bench.Run();
    ASSERT_TRUE(bench.end.has_value());
    EXPECT_EQ(bench.end->state(), v1::FAILED);
    EXPECT_THAT(bench.end->detail(), ::testing::HasSubstr(file));
    ASSERT_OK_AND_ASSIGN(const RecordedRun run, ReadRecordedRun(folder));
    ASSERT_TRUE(run.ended.has_value());
    EXPECT_EQ(run.ended->state(), "FAILED");
    EXPECT_EQ(run.ended->reason(), bench.end->detail());
    EXPECT_EQ(std::filesystem::exists(folder + "/status.json"),
              file != "status.json");
  }
}

TEST(RoundDriver, AFileThatCannotBeWrittenFailsTheRun) {
  const std::string folder = TestFolder();
  Bench bench({.config = Config(), .folder = folder});
  for (const char* name : {"a", "b", "c"}) bench.Join(name);
  // No file may grow beyond what the journal has now.
  rlimit whole;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &whole), 0);
  signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {std::filesystem::file_size(folder + "/journal"),
                        whole.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  bench.Run();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &whole), 0);
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(bench.end->state(), v1::FAILED);
  EXPECT_THAT(bench.end->detail(), ::testing::HasSubstr("journal"));
}

}  // namespace
}  // namespace parley
