// Many clients in one process that answer each task without any work: for
// benchmarks of the rounds themselves and for tests of the coordinator's memory.

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "client/rpc/coordinator_client.h"
#include "client/session/coordinator_session.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/flags.h"
#include "common/base/log.h"
#include "common/rpc/process.h"

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

int Main(int argc, char** argv) {
  TuneProcess();
  std::string server;
  int64_t clients = 1, first = 1, threads = 2;
  Flags flags({.program = "idle-clients",
               .arguments = "",
               .about = "Clients of one process that train nothing.",
               .notes = ""});
  flags.Add("server", &server, "HOST:PORT", "the coordinator");
  flags.Add("clients", &clients, "N", "how many");
  flags.Add("first", &first, "I", "number of the first, for their names");
  flags.Add("threads", &threads, "N", "for all of them together");
  if (const auto code = flags.ParseMain(argc, argv)) return *code;

  auto clock = MakeRealClock();
  ThreadPool control(1), work(static_cast<int>(threads));
  struct Client {
    std::unique_ptr<CoordinatorClient> transport;
    std::unique_ptr<CoordinatorSession> session;
  };
  std::vector<Client> all(clients);
  Mutex mu;
  CondVar changed;
  int64_t running = clients;
  int failed = 0;
  for (int64_t i = 0; i < clients; ++i) {
    all[i].transport = std::make_unique<CoordinatorClient>(DialOptions{});
    CoordinatorSessionOptions options;
    options.servers = {server};
    options.name = absl::StrFormat("idle-%05d", first + i);
    options.incarnation = static_cast<uint64_t>(first + i);
    options.software = "idle-clients";
    options.log = [](LogLevel level, absl::string_view text) {
      if (level != LogLevel::kInfo) Log(level, text);
    };
    auto session = CoordinatorSession::Create(
        std::move(options),
        {.transport = all[i].transport.get(),
         .clock = clock.get(),
         .control = &control,
         .work = &work},
        [](const v1::RunConfig&,
           std::optional<int32_t>) -> absl::StatusOr<std::unique_ptr<Trainer>> {
          return std::make_unique<IdleTrainer>();
        });
    if (!session.ok()) {
      LogError(session.status().ToString());
      return 1;
    }
    all[i].session = *std::move(session);
    all[i].session->Start([&](absl::Status status) {
      MutexLock lock(mu);
      if (!status.ok()) {
        LogError(status.ToString());
        ++failed;
      }
      --running;
      changed.SignalAll();
    });
  }
  {
    MutexLock lock(mu);
    while (running > 0) changed.Wait(mu);
  }
  all.clear();
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace parley

int main(int argc, char** argv) { return parley::Main(argc, argv); }
