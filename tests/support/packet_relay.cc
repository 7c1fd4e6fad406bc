// A network of constant delay between network namespaces, for kernels without
// netem: reads IP packets from a TUN device in each, and writes each packet
// into the one that has its destination's address, so much later. Neither end
// of a TCP connection notices: windows, slow start and acknowledgements see the
// delay as they would on a long cable. Whoever sets up the namespaces limits
// the rate where packets are sent (tc tbf); see network.py.
//
// Packets come and go in the kernel's large segments (up to 64 KiB), which
// spares most of the work. One thread. Prints "ready" when packets move, and a
// JSON object when it ends.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/flags.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "tests/support/delay_line.h"

namespace parley {
namespace {

// What precedes each packet: struct virtio_net_hdr, whose header is no C++.
constexpr size_t kPrefixBytes = 10;
constexpr size_t kLargestPacket = kPrefixBytes + 65536;
constexpr int64_t kMostBytesHeld = int64_t{1} << 30;
constexpr int kPacketsATurn = 32;  // of a device, before others have theirs

volatile sig_atomic_t stopped = 0;

absl::Status Failed(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", strerror(errno)));
}

// The device, which is there already, of a namespace in /run/netns.
absl::StatusOr<int> OpenDevice(const std::string& space,
                               const std::string& device) {
  const std::string path = absl::StrCat("/run/netns/", space);
  const int ns = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (ns < 0) return Failed(path);
  const bool entered = setns(ns, CLONE_NEWNET) == 0;
  close(ns);
  if (!entered) return Failed("setns");
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return Failed("/dev/net/tun");
  ifreq request = {};
  std::strncpy(request.ifr_name, device.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(fd, TUNSETIFF, &request) != 0) return Failed("TUNSETIFF");
  if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0) {
    return Failed("TUNSETOFFLOAD");
  }
  return fd;
}

struct Counts {
  int64_t packets = 0;
  int64_t bytes = 0;
  int64_t dropped = 0;  // too much was on its way, or nobody has the address
  absl::Duration late;  // all of it together: how late packets were passed on
  absl::Duration latest;
};

class Relay {
 public:
  explicit Relay(absl::Duration delay) : line_(delay, kMostBytesHeld) {}

  // `host`: NAMESPACE=ADDRESS, an IPv4 address.
  absl::Status Add(const std::string& host, const std::string& device) {
    const std::vector<std::string> parts = absl::StrSplit(host, '=');
    in_addr address;
    if (parts.size() != 2 ||
        inet_pton(AF_INET, parts[1].c_str(), &address) != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("--host ", host, ": must be NAMESPACE=ADDRESS"));
    }
    PARLEY_ASSIGN_OR_RETURN(const int fd, OpenDevice(parts[0], device));
    hosts_[address.s_addr] = static_cast<int>(polled_.size());
    polled_.push_back({fd, POLLIN, 0});
    return absl::OkStatus();
  }

  absl::Status Run(absl::Duration time) {
    const absl::Time end = clock_->Now() + time;
    while (stopped == 0) {
      const absl::Time now = clock_->Now();
      if (now >= end) break;
      const timespec wait = absl::ToTimespec(
          std::max(std::min(line_.next(), end) - now, absl::ZeroDuration()));
      if (ppoll(polled_.data(), polled_.size(), &wait, nullptr) < 0 &&
          errno != EINTR) {
        return Failed("ppoll");
      }
      for (pollfd& device : polled_) {
        if (device.revents != 0) Take(device.fd);
        PassOn();
      }
    }
    return absl::OkStatus();
  }

  const Counts& counts() const { return counts_; }

 private:
  void Take(int fd) {
    for (int i = 0; i < kPacketsATurn; ++i) {
      const ssize_t size = read(fd, buffer_, sizeof(buffer_));
      if (size <= 0) return;
      iphdr header;
      if (static_cast<size_t>(size) < kPrefixBytes + sizeof(header)) {
        continue;
      }
      std::memcpy(&header, buffer_ + kPrefixBytes, sizeof(header));
      if (header.version != 4) continue;  // a device speaks IPv6 unasked
      const auto to = hosts_.find(header.daddr);
      if (to == hosts_.end() ||
          !line_.Push(to->second, std::string(buffer_, size), clock_->Now())) {
        ++counts_.dropped;
      }
    }
  }

  void PassOn() {
    const absl::Time now = clock_->Now();
    while (const auto packet = line_.Pop(now)) {
      const ssize_t written = write(polled_[packet->to].fd,
                                    packet->bytes.data(), packet->bytes.size());
      if (written < 0) {
        ++counts_.dropped;
        continue;
      }
      ++counts_.packets;
      counts_.bytes += written;
      const absl::Duration late = now - packet->due;
      counts_.late += late;
      counts_.latest = std::max(counts_.latest, late);
    }
  }

  const std::unique_ptr<Clock> clock_ = MakeRealClock();
  DelayLine line_;
  std::map<uint32_t, int> hosts_;  // by address: the place in polled_
  std::vector<pollfd> polled_;
  char buffer_[kLargestPacket];
  Counts counts_;
};

int Main(int argc, char** argv) {
  double delay = 0.02, seconds = 60;
  std::string device = "cable";
  std::vector<std::string> hosts;
  Flags flags({.program = "packet-relay",
               .arguments = "",
               .about = "A network of constant delay between namespaces.",
               .notes = ""});
  flags.Add("host", &hosts, "NAMESPACE=ADDRESS",
            "A namespace, and the IPv4 address in it. Repeated.");
  flags.Add("device", &device, "NAME", "TUN device of each. Default: cable.");
  flags.Add("delay", &delay, "SECONDS", "One way. Default: 0.02.");
  flags.Add("seconds", &seconds, "SECONDS", "Ends then. Default: 60.");
  if (const auto code = flags.ParseMain(argc, argv)) return *code;

  struct sigaction stop = {};
  stop.sa_handler = [](int) { stopped = 1; };
  sigaction(SIGTERM, &stop, nullptr);
  sigaction(SIGINT, &stop, nullptr);
  Relay relay(absl::Seconds(delay));
  absl::Status status;
  for (const std::string& host : hosts) {
    if (status.ok()) status = relay.Add(host, device);
  }
  if (status.ok()) {
    std::puts("ready");
    std::fflush(stdout);
    status = relay.Run(absl::Seconds(seconds));
  }
  if (!status.ok()) {
    LogError(status.message());
    return 1;
  }
  const Counts& counts = relay.counts();
  const double packets =
      static_cast<double>(std::max<int64_t>(1, counts.packets));
  std::puts(Json::Object()
                .Set("packets", counts.packets)
                .Set("bytes", counts.bytes)
                .Set("dropped", counts.dropped)
                .Set("mean_late", absl::ToDoubleSeconds(counts.late) / packets)
                .Set("most_late", absl::ToDoubleSeconds(counts.latest))
                .ToString()
                .c_str());
  return 0;
}

}  // namespace
}  // namespace parley

int main(int argc, char** argv) { return parley::Main(argc, argv); }
