#include "common/rpc/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/rpc/address.h"

namespace parley {
namespace {

// Of the program itself: files, and what runs it.
constexpr int kOwnDescriptors = 128;  // at most
constexpr int kRetryMs = 100;         // when there is no descriptor
constexpr absl::Duration kWarnEvery = absl::Seconds(10);

int DescriptorLimit() {
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return 1024;
  return static_cast<int>(std::min<rlim_t>(files.rlim_cur, 1 << 30));
}

// A listening socket at one of the addresses that a name stands for; -1 and
// errno. `port` replaces that of the address, unless it is 0.
int ListenAt(const addrinfo& at, int port, int v6_only) {
  const int fd =
      socket(at.ai_family, at.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
             at.ai_protocol);
  if (fd < 0) return -1;
  const int on = 1;
  // Connections of the past do not hinder.
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_storage address = {};
  std::memcpy(&address, at.ai_addr, at.ai_addrlen);
  if (at.ai_family == AF_INET6) {
    // [::] alone takes IPv4, too.
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only));
    if (port != 0) {
      reinterpret_cast<sockaddr_in6*>(&address)->sin6_port =
          htons(static_cast<uint16_t>(port));
    }
  } else if (port != 0) {
    reinterpret_cast<sockaddr_in*>(&address)->sin_port =
        htons(static_cast<uint16_t>(port));
  }
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), at.ai_addrlen) == 0 &&
      listen(fd, SOMAXCONN) == 0) {
    return fd;
  }
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

int PortOf(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                   : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(
    const std::string& address, int max_connections) {
  std::unique_ptr<Listener> listener(new Listener);
  const int limit = DescriptorLimit();
  listener->first_refused_ =
      std::min(limit - std::min(kOwnDescriptors, limit / 4),
               max_connections + kOwnDescriptors);
  absl::string_view path = address;
  std::string why = absl::ConsumePrefix(&path, "unix:")
                        ? listener->OpenUnix(std::string(path))
                        : listener->OpenNetwork(address);
  if (why.empty()) {
    listener->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (listener->wake_ < 0) why = std::strerror(errno);
  }
  if (why.empty()) return listener;
  return absl::UnavailableError(
      absl::StrCat("cannot listen at ", address, ": ", why));
}

std::string Listener::OpenNetwork(const std::string& address) {
  if (const absl::Status checked = CheckAddress(address); !checked.ok()) {
    return std::string(checked.message());
  }
  const HostAndPort parts = SplitAddress(address);
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error =
          getaddrinfo(parts.host.empty() ? nullptr : parts.host.c_str(),
                      parts.port.c_str(), &hints, &found);
      error != 0) {
    return gai_strerror(error);
  }
  std::string why = "it stands for no address";
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    const int fd = ListenAt(*a, port_, found->ai_next != nullptr);
    if (fd < 0) {
      why = std::strerror(errno);
      if (errno == EADDRINUSE) why += "; port 0 is any free one";
      continue;
    }
    listeners_.push_back(fd);
    port_ = PortOf(fd);
  }
  freeaddrinfo(found);
  return listeners_.empty() ? why : "";
}

std::string Listener::OpenUnix(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::StrCat("the path must have 1 to ",
                        sizeof(address.sun_path) - 1, " bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* at = reinterpret_cast<const sockaddr*>(&address);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return std::strerror(errno);
  listeners_.push_back(fd);
  if (struct stat file; lstat(path.c_str(), &file) == 0) {
    if (!S_ISSOCK(file.st_mode)) return "a file that is no socket is there";
    const int probe =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool dead = probe >= 0 && connect(probe, at, sizeof(address)) != 0 &&
                      errno == ECONNREFUSED;
    if (probe >= 0) close(probe);
    if (!dead) return "another server listens there";
    unlink(path.c_str());
  }
  if (bind(fd, at, sizeof(address)) != 0) return std::strerror(errno);
  socket_file_ = path;
  return listen(fd, SOMAXCONN) == 0 ? "" : std::strerror(errno);
}

Listener::~Listener() {
  Stop();
  if (wake_ >= 0) close(wake_);
}

void Listener::Start(std::unique_ptr<Acceptor> acceptor) {
  acceptor_ = std::move(acceptor);
  thread_ = std::thread([this] { Loop(); });
}

void Listener::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    PARLEY_CHECK(write(wake_, &one, sizeof(one)) == sizeof(one));
    thread_.join();
  }
  // First the file: one that takes its place from now on is another's.
  if (!socket_file_.empty()) unlink(std::exchange(socket_file_, "").c_str());
  for (const int fd : std::exchange(listeners_, {})) close(fd);
  acceptor_.reset();
}

void Listener::Loop() {
  std::vector<pollfd> fds = {{wake_, POLLIN, 0}};
  for (const int fd : listeners_) fds.push_back({fd, POLLIN, 0});
  absl::Time warned = absl::InfinitePast();
  while (true) {
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
    if (fds[0].revents != 0) return;
    bool room = true;
    for (size_t i = 1; i < fds.size(); ++i) {
      if (fds[i].revents != 0) room &= Accept(fds[i].fd);
    }
    if (const absl::Time now = absl::Now();
        full_ && now - warned >= kWarnEvery) {
      full_ = false;
      warned = now;
      LogWarning("turns connections away: about ", first_refused_,
                 " are open, which the limits of the run and `ulimit -n` set");
    }
    if (!room) poll(fds.data(), 1, kRetryMs);
  }
}

bool Listener::Accept(int listener) {
  while (true) {
    const int fd =
        accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == ECONNABORTED || errno == EINTR) continue;
      if (errno == EAGAIN) return true;  // nobody waits any more
      full_ = true;
      return false;
    }
    if (fd >= first_refused_) {
      full_ = true;
      close(fd);
      continue;
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    Acceptor::NewConnectionParameters connection;
    connection.listener_fd = listener;
    connection.fd = fd;
    acceptor_->HandleNewConnection(&connection);
  }
}

}  // namespace parley
