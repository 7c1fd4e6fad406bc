// How fast the updates of a round get from client processes into the model,
// over gRPC with all that Parley does on the way (chunks, checksums, checks,
// staging, the mean in double), against plain sockets that send the same bytes
// and do y += a·x.
// Everything over loopback, the two ways by turns. Run by hand:
//   bulk_bench [MiB of an update] [repetitions]
#include <arpa/inet.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/rpc/coordinator_client.h"
#include "common/base/executor.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/kernels/kernels.h"
#include "common/rpc/process.h"
#include "common/wire/payload_source.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"
#include "server/round/region_pool.h"
#include "server/round/staging.h"
#include "server/round/transfer_pipe.h"
#include "server/rpc/server.h"
#include "server/strategies/aggregator.h"
#include "server/strategies/strategy.h"

namespace parley {
namespace {

// An update alone waits for its own folding; of several, most are folded while
// others arrive.
constexpr struct {
  int clients, updates;
} kRows[] = {{1, 1}, {1, 8}, {4, 2}, {16, 1}};
constexpr int kMostClients = 16;
constexpr int kPermits = 4;  // uploads at once, as in a run
// Staged at once: arriving, pending, and being folded.
constexpr int kMostUpdates = kPermits + 2 * kFoldAtOnce + 1;
constexpr double kWeight = 0.5;

// What the parent asks of a client process.
struct Command {
  char way;  // 'g': gRPC, 't': TCP
  int port;
  int updates;  // to send one after another
};

void WriteAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = write(fd, data, std::min<size_t>(size, 1 << 20));
    PARLEY_CHECK(n > 0);
    data += n;
    size -= n;
  }
}

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// ------------------------------------------------------------ client process

class IgnoringListener final : public SessionListener {
 public:
  void OnMessage(v1::ServerMessage) override {}
  void OnClosed(const absl::Status&) override {}
};

class Waiter {
 public:
  void Tell(const absl::Status& status) {
    if (!status.ok()) LogError("upload: ", status.ToString());
    MutexLock lock(mu_);
    told_ = true;
    changed_.SignalAll();
  }
  void Await() {
    MutexLock lock(mu_);
    while (!told_) changed_.Wait(mu_);
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool told_ GUARDED_BY(mu_) = false;
};

[[noreturn]] void ClientProcess(int control, const ParameterVector& update) {
  CoordinatorClient client{DialOptions()};
  IgnoringListener listener;
  std::unique_ptr<ClientSession> session;
  int tcp = -1;
  Command command;
  while (read(control, &command, sizeof(command)) == sizeof(command)) {
    if (command.way == 't') {
      if (tcp < 0) {
        tcp = socket(AF_INET, SOCK_STREAM, 0);
        const sockaddr_in to = Loopback(command.port);
        PARLEY_CHECK(connect(tcp, reinterpret_cast<const sockaddr*>(&to),
                             sizeof(to)) == 0);
      }
      for (int i = 0; i < command.updates; ++i) {
        WriteAll(tcp, update.data(), update.bytes());
      }
      continue;
    }
    if (session == nullptr) {
      session = client.OpenSession(absl::StrCat("127.0.0.1:", command.port),
                                   &listener);
    }
    for (int i = 0; i < command.updates; ++i) {
      auto source = *PayloadSource::Create(
          {{update.dtype(), NativeEncoding(update.dtype()), update.elements(),
            update.data()}},
          0);
      Waiter done;
      auto transfer =
          client.Upload(v1::TransferHeader(), source.get(),
                        [&done](absl::Status status) { done.Tell(status); });
      done.Await();
    }
  }
  session.reset();
  _exit(0);
}

// ------------------------------------------------------------ server process

// Gives each upload a staged update once a permit is free, and takes what is
// whole as the round driver does, on a sequence beside the transfers.
class FoldingCoordinator final : public Coordinator {
 public:
  FoldingCoordinator(const ParameterSpec& spec)
      : pool_({.memory_bytes = kMostUpdates * (spec.bytes() + 4096ul),
               .disk_bytes = 0,
               .folder = ""}),
        model_(spec.dtype(), spec.elements()),
        strategy_(*MakeStrategy([] {
          v1::Aggregation config;
          config.mutable_uniform();
          return config;
        }())),
        aggregator_(strategy_.get(), spec, &executor_),
        folding_(&executor_) {
    announced_.set_weight(1);
    *announced_.add_payloads() =
        PayloadFor(kModelPayload, spec, NativeEncoding(spec.dtype()));
  }

  SessionId OpenSession(PeerIdentity, std::shared_ptr<SessionSink>) override {
    return 1;
  }
  void Receive(SessionId, v1::ClientMessage) override {}
  void CloseSession(SessionId, const absl::Status&) override {}
  void OpenDownload(const v1::DownloadRequest&, DownloadReady ready,
                    BreakOff) override {
    std::move(ready)(absl::UnimplementedError(""));
  }
  void OpenUpload(const v1::TransferHeader&, UploadReady ready,
                  BreakOff) override {
    {
      MutexLock lock(mu_);
      waiting_.push_back(std::move(ready));
    }
    Admit();
  }

  // The next `count` updates are a round. Before they are sent.
  void BeginRound(int count) {
    MutexLock lock(mu_);
    left_ = count;
  }
  void AwaitRound() {
    MutexLock lock(mu_);
    while (left_ > 0) changed_.Wait(mu_);
  }

 private:
  void Admit() {
    UploadReady ready;
    {
      MutexLock lock(mu_);
      if (waiting_.empty() || permits_ == 0) return;
      --permits_;
      ready = std::move(waiting_.front());
      waiting_.pop_front();
    }
    absl::StatusOr<Region> region =
        pool_.Take(StagedUpdate::RegionBytes(announced_));
    PARLEY_CHECK(region.ok());
    auto update =
        std::make_shared<StagedUpdate>(announced_, *std::move(region));
    const uint64_t ticket = *update->Begin(0);
    std::move(ready)(std::make_unique<UpdateWriter>(
        update, ticket, std::make_shared<TransferState>(),
        [this, update](const absl::Status& status, uint64_t) {
          PARLEY_CHECK(status.ok());
          folding_.Post([this, update]() mutable { Fold(std::move(update)); });
        }));
  }
  void Fold(std::shared_ptr<StagedUpdate> update) {
    aggregator_.Accumulate(aggregator_.View(
        update->header(), v1::ENCODING_FLOAT32, update->payload(0)));
    pending_.push_back(std::move(update));
    bool last;
    {
      MutexLock lock(mu_);
      ++permits_;
      last = left_ == 1;
    }
    Admit();
    if (!last && pending_.size() < kFoldAtOnce) {
      MutexLock lock(mu_);
      --left_;
      return;
    }
    if (last) {
      float* const model = model_.As<float>().data();
      aggregator_.Report([&](MergeRule, int64_t at, absl::Span<double> change) {
        KernelsFor<float>().apply(change.size(), kWeight, change.data(),
                                  model + at);
      });
    } else {
      aggregator_.Settle();
    }
    pending_.clear();
    MutexLock lock(mu_);
    --left_;
    changed_.SignalAll();
  }

  RegionPool pool_;
  v1::UpdateReady announced_;
  ParameterVector model_;
  ThreadPool executor_{2};
  const std::unique_ptr<Strategy> strategy_;
  Aggregator aggregator_;
  std::vector<std::shared_ptr<StagedUpdate>> pending_;
  Sequence folding_;
  Mutex mu_;
  CondVar changed_;
  std::deque<UploadReady> waiting_ GUARDED_BY(mu_);
  int permits_ GUARDED_BY(mu_) = kPermits;
  int left_ GUARDED_BY(mu_) = 0;  // of the round
};

// One thread that reads a MiB from whoever has sent something, and adds it up.
class SocketServer {
 public:
  explicit SocketServer(int64_t elements)
      : sum_(elements), buffer_((1 << 20) / sizeof(float)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof(address);
    PARLEY_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) ==
                 0);
    PARLEY_CHECK(listen(listener_, kMostClients) == 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  int port() const { return port_; }

  // Takes `updates` from each of `clients` connections.
  void AwaitFolded(size_t clients, int updates) {
    while (polled_.size() < clients) {
      polled_.push_back({accept(listener_, nullptr, nullptr), POLLIN, 0});
    }
    std::vector<size_t> at(clients, 0);
    std::vector<int> to_come(clients, updates);
    for (size_t left = clients; left > 0;) {
      poll(polled_.data(), clients, -1);
      for (size_t i = 0; i < clients; ++i) {
        if ((polled_[i].revents & POLLIN) == 0) continue;
        const size_t n = std::min(buffer_.size(), sum_.size() - at[i]);
        const size_t bytes = n * sizeof(float);
        PARLEY_CHECK(recv(polled_[i].fd, buffer_.data(), bytes, MSG_WAITALL) ==
                     static_cast<ssize_t>(bytes));
        KernelsFor<float>().axpy(n, kWeight, buffer_.data(),
                                 sum_.data() + at[i]);
        at[i] += n;
        if (at[i] < sum_.size()) continue;
        at[i] = 0;
        if (--to_come[i] == 0) --left;
      }
    }
  }

 private:
  std::vector<float> sum_, buffer_;
  std::vector<pollfd> polled_;
  int listener_, port_;
};

// --------------------------------------------------------------------- main

double Median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return x[x.size() / 2];
}

// Since the last call: in MiB.
int64_t PeakRss() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (absl::StartsWith(line, "VmHWM:")) {
      std::ofstream("/proc/self/clear_refs") << "5";
      return std::atoll(line.c_str() + 6) / 1024;
    }
  }
  return 0;
}

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
         1e-6 * (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void Measure(int64_t mib, int repetitions) {
  const int64_t elements = (mib << 20) / sizeof(float);
  ParameterVector update(DType::kFloat32, elements);
  Rng rng(1, "bench");
  for (float& x : update.As<float>()) x = static_cast<float>(rng.Uniform());

  // Before there is any thread, and so any gRPC.
  std::vector<int> controls;
  std::vector<pid_t> clients;
  for (int i = 0; i < kMostClients; ++i) {
    int pair[2];
    PARLEY_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    clients.push_back(fork());
    if (clients.back() == 0) {
      for (int fd : controls) close(fd);
      close(pair[0]);
      ClientProcess(pair[1], update);
    }
    close(pair[1]);
    controls.push_back(pair[0]);
  }

  {
    FoldingCoordinator coordinator(*ParameterSpec::Create(
        DType::kFloat32, {{"weights", {elements}, MergeRule::kMean}}));
    SocketServer sockets(elements);
    auto server = RpcServer::Start({}, &coordinator, nullptr);
    PARLEY_CHECK(server.ok());
    const auto run = [&](char way, int n, int updates) {
      const Command command = {
          way, way == 'g' ? (*server)->port() : sockets.port(), updates};
      coordinator.BeginRound(n * updates);
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < n; ++i) {
        WriteAll(controls[i], reinterpret_cast<const char*>(&command),
                 sizeof(command));
      }
      if (way == 'g') {
        coordinator.AwaitRound();
      } else {
        sockets.AwaitFolded(n, updates);
      }
      const std::chrono::duration<double> seconds =
          std::chrono::steady_clock::now() - begin;
      return 1e-9 * n * updates * update.bytes() / seconds.count();
    };

    std::printf(
        "%lld MiB an update, median of %d; %s\n"
        "clients x updates   Parley GB/s   socket GB/s   ratio   "
        "server CPU s/GB   peak RSS MiB\n",
        static_cast<long long>(mib), repetitions, InstructionSet());
    for (const auto& [n, updates] : kRows) {
      run('g', n, updates);  // connections are made, pages are there
      run('t', n, updates);
      PeakRss();
      std::vector<double> ours, plain, ratios;
      double cpu = 0;
      for (int i = 0; i < repetitions; ++i) {
        const double before = CpuSeconds();
        ours.push_back(run('g', n, updates));
        cpu += CpuSeconds() - before;
        plain.push_back(run('t', n, updates));
        ratios.push_back(ours.back() / plain.back());
      }
      std::printf("%7d x %7d %13.2f %13.2f %7.2f %17.2f %14lld\n", n, updates,
                  Median(ours), Median(plain), Median(ratios),
                  cpu / (1e-9 * repetitions * n * updates * update.bytes()),
                  static_cast<long long>(PeakRss()));
      std::fflush(stdout);
    }
    for (int fd : controls) close(fd);
  }
  for (pid_t client : clients) waitpid(client, nullptr, 0);
}

}  // namespace
}  // namespace parley

int main(int argc, char** argv) {
  parley::TuneProcess();
  const int64_t mib = argc > 1 ? std::atoll(argv[1]) : 100;
  const int repetitions = argc > 2 ? std::atoi(argv[2]) : 9;
  if (mib < 1 || repetitions < 1) {
    std::fprintf(stderr, "usage: bulk_bench [MiB] [repetitions]\n");
    return 2;
  }
  parley::Measure(mib, repetitions);
  return 0;
}
