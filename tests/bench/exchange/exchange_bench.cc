// How fast two peers in two processes exchange a model, both directions at
// once, and fold what comes (sum += w·x, in float), as a peer in a run does it
// (chunks, checksums, finite numbers only; staged until it counts; what is
// measured and audited of it), against plain TCP sockets, read and written by a
// thread each, that move the same and either fold as a peer does or do the bare
// sum += w·x, without any check.
// Over loopback, the two ways by turns. Run by hand:
//   exchange_bench [MiB of a model] [repetitions]
#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/gossip/mixing_sink.h"
#include "client/gossip/number_chunks.h"
#include "client/rpc/peer_service.h"
#include "client/rpc/peer_transport.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/random.h"
#include "common/kernels/kernels.h"
#include "common/rpc/process.h"
#include "common/wire/protocol.h"

namespace parley {
namespace {

constexpr float kWeight = 0.5f;
constexpr int64_t kBlock = 4096;  // that stays in the cache

// What the parent tells the other process: how to exchange, and where.
struct Command {
  char way;  // 'g': gRPC, 't': TCP, 's': TCP with the peer's fold
  int port;
};

void WriteAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = write(fd, data, std::min<size_t>(size, 1 << 20));
    PARLEY_CHECK(n > 0);
    data += n;
    size -= n;
  }
}

void ReadAll(int fd, void* data, size_t size) {
  PARLEY_CHECK(recv(fd, data, size, MSG_WAITALL) == static_cast<ssize_t>(size));
}

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// One of the two peers, its links to the other one both ways.
class BenchPeer final : public PeerAcceptor, public PeerLinkListener {
 public:
  BenchPeer(int64_t elements, uint64_t seed)
      : model_(std::make_shared<ParameterVector>(DType::kFloat32, elements)),
        sum_(std::make_shared<ParameterVector>(DType::kFloat32, elements)),
        staged_(std::make_shared<ParameterVector>(DType::kFloat32, elements)) {
    Rng rng(seed, "bench");
    for (float& x : model_->As<float>()) x = static_cast<float>(rng.Uniform());
  }

  void Dial(int port) {
    transport_ = std::make_unique<GrpcPeerTransport>(DialOptions());
    link_ = transport_->Dial(absl::StrCat("127.0.0.1:", port), this);
    v1::PeerMessage hello;
    hello.mutable_hello();
    link_->Send(hello);
  }
  PeerLinkListener* Accept(PeerOrigin,
                           std::unique_ptr<PeerLink> link) override {
    link_ = std::move(link);
    return this;
  }
  void HangUp() { link_.reset(); }

  // The peers exchange a model each, once both have said that they are ready.
  void ExchangeOverLink() {
    link_->ReceivePayload(
        std::make_shared<MixingSink>(MixingSink::Options{.flow = true,
                                                         .weight = kWeight,
                                                         .sent = model_,
                                                         .mixed = sum_,
                                                         .staged = staged_}));
    v1::PeerMessage message;
    message.mutable_ready();
    link_->Send(message);
    Await(&ready_);
    message.mutable_begin();
    link_->SendPayload(
        message, std::make_shared<NumberSource>(model_, 0, model_->elements()));
    Await(&received_);
    std::swap(sum_, staged_);
    message.mutable_received();
    link_->Send(message);
    Await(&confirmed_);
  }

  void ExchangeOverSocket(int fd, bool folds) {
    std::thread writer([&] { WriteAll(fd, model_->data(), model_->bytes()); });
    const Kernels<float>& kernels = KernelsFor<float>();
    std::vector<float> buffer(kPeerChunkBytes / sizeof(float));
    const float* const model = model_->As<float>().data();
    float* const sum = sum_->As<float>().data();
    char* const staged = staged_->data();
    for (int64_t at = 0; at < model_->elements();) {
      const int64_t n =
          std::min<int64_t>(buffer.size(), model_->elements() - at);
      ReadAll(fd, buffer.data(), n * sizeof(float));
      if (!folds) kernels.axpy(n, kWeight, buffer.data(), sum + at);
      for (int64_t i = 0; folds && i < n; i += kBlock) {
        const int64_t m = std::min(kBlock, n - i);
        float block[kBlock];
        kernels.mix(m, 1, &buffer[i], 1, model + at + i, kWeight, sum + at + i,
                    block);
        StreamCopyForCpu()(m * sizeof(float), reinterpret_cast<char*>(block),
                           staged + (at + i) * sizeof(float));
      }
      at += n;
    }
    if (folds) std::swap(sum_, staged_);
    writer.join();
    char received = 'r';
    WriteAll(fd, &received, 1);
    ReadAll(fd, &received, 1);
  }

  int64_t bytes() const { return model_->bytes(); }

  void OnMessage(v1::PeerMessage message) override {
    if (message.has_ready()) Tell(&ready_);
    if (message.has_received()) Tell(&confirmed_);
  }
  void OnPayload(const absl::StatusOr<uint64_t>& bytes) override {
    PARLEY_CHECK(bytes.ok());
    Tell(&received_);
  }
  void OnClosed(const absl::Status&) override {}

 private:
  void Tell(int* count) {
    MutexLock lock(mu_);
    ++*count;
    changed_.SignalAll();
  }
  void Await(int* count) {
    MutexLock lock(mu_);
    while (*count == 0) changed_.Wait(mu_);
    --*count;
  }

  const std::shared_ptr<ParameterVector> model_;
  std::shared_ptr<ParameterVector> sum_, staged_;
  std::unique_ptr<GrpcPeerTransport> transport_;
  std::unique_ptr<PeerLink> link_;
  Mutex mu_;
  CondVar changed_;
  int ready_ = 0;
  int received_ = 0;
  int confirmed_ = 0;  // by the other end
};

[[noreturn]] void OtherProcess(int control, int64_t elements) {
  BenchPeer peer(elements, 2);
  int tcp = -1;
  Command command;
  bool dialled = false;
  while (read(control, &command, sizeof(command)) == sizeof(command)) {
    if (command.way != 'g') {
      if (tcp < 0) {
        tcp = socket(AF_INET, SOCK_STREAM, 0);
        const sockaddr_in to = Loopback(command.port);
        PARLEY_CHECK(connect(tcp, reinterpret_cast<const sockaddr*>(&to),
                             sizeof(to)) == 0);
      }
      peer.ExchangeOverSocket(tcp, command.way == 's');
    } else {
      if (!std::exchange(dialled, true)) peer.Dial(command.port);
      peer.ExchangeOverLink();
    }
  }
  peer.HangUp();
  _exit(0);
}

double Median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return x[x.size() / 2];
}

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
         1e-6 * (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// Waits until somebody has dialled.
class FirstLink final : public PeerAcceptor {
 public:
  explicit FirstLink(BenchPeer* peer) : peer_(peer) {}
  PeerLinkListener* Accept(PeerOrigin origin,
                           std::unique_ptr<PeerLink> link) override {
    PeerLinkListener* const listener =
        peer_->Accept(std::move(origin), std::move(link));
    MutexLock lock(mu_);
    there_ = true;
    changed_.SignalAll();
    return listener;
  }
  void Await() {
    MutexLock lock(mu_);
    while (!there_) changed_.Wait(mu_);
  }

 private:
  BenchPeer* const peer_;
  Mutex mu_;
  CondVar changed_;
  bool there_ GUARDED_BY(mu_) = false;
};

void Measure(int64_t mib, int repetitions) {
  const int64_t elements = (mib << 20) / sizeof(float);
  // Before there is any thread, and so any gRPC.
  int pair[2];
  PARLEY_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  const pid_t child = fork();
  if (child == 0) {
    close(pair[0]);
    OtherProcess(pair[1], elements);
  }
  close(pair[1]);
  const int control = pair[0];

  BenchPeer peer(elements, 1);
  FirstLink acceptor(&peer);
  auto server = PeerServer::Start({}, &acceptor);
  PARLEY_CHECK(server.ok());
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  PARLEY_CHECK(bind(listener, reinterpret_cast<sockaddr*>(&address), size) ==
                   0 &&
               listen(listener, 1) == 0);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  int tcp = -1;

  // GB/s of one direction while both are under way.
  const auto run = [&](char way) {
    const Command command = {
        way, way == 'g' ? (*server)->port() : ntohs(address.sin_port)};
    const auto begin = std::chrono::steady_clock::now();
    WriteAll(control, reinterpret_cast<const char*>(&command), sizeof(command));
    if (way == 'g') {
      acceptor.Await();
      peer.ExchangeOverLink();
    } else {
      if (tcp < 0) tcp = accept(listener, nullptr, nullptr);
      peer.ExchangeOverSocket(tcp, way == 's');
    }
    const std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - begin;
    return 1e-9 * peer.bytes() / seconds.count();
  };
  struct Way {
    char way;
    const char* name;
    std::vector<double> speeds = {}, ratios = {};
    double cpu = 0;
  };
  Way ways[] = {{'g', "Parley"},
                {'s', "socket, the same fold"},
                {'t', "socket, sum += w*x"}};
  for (int i = 0; i < 2; ++i) {  // connections are made, pages are there
    for (const Way& way : ways) run(way.way);
  }
  for (int i = 0; i < repetitions; ++i) {
    for (Way& way : ways) {
      const double before = CpuSeconds();
      way.speeds.push_back(run(way.way));
      way.cpu += CpuSeconds() - before;
      way.ratios.push_back(ways[0].speeds.back() / way.speeds.back());
    }
  }
  std::printf(
      "%lld MiB each way at once, median of %d; %s\n%24s %10s %20s %s\n",
      static_cast<long long>(mib), repetitions, InstructionSet(), "", "GB/s",
      "CPU s/GB of a peer", "  Parley's speed over it");
  for (const Way& way : ways) {
    std::printf("%-24s %10.2f %20.2f %10.2f\n", way.name, Median(way.speeds),
                way.cpu / (1e-9 * repetitions * peer.bytes()),
                Median(way.ratios));
  }
  close(control);
  waitpid(child, nullptr, 0);
  peer.HangUp();
}

}  // namespace
}  // namespace parley

int main(int argc, char** argv) {
  parley::TuneProcess();
  const int64_t mib = argc > 1 ? std::atoll(argv[1]) : 100;
  const int repetitions = argc > 2 ? std::atoi(argv[2]) : 15;
  if (mib < 1 || repetitions < 1) {
    std::fprintf(stderr, "usage: exchange_bench [MiB] [repetitions]\n");
    return 2;
  }
  parley::Measure(mib, repetitions);
  return 0;
}
