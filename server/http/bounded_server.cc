#include "server/http/bounded_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "common/base/executor.h"

namespace parley {
namespace {

using SteadyClock = std::chrono::steady_clock;

// How long a closed connection's last words may take to be read, and how much
// of what the peer still sends is thrown away meanwhile.
constexpr std::chrono::seconds kLingerTime{1};
constexpr size_t kLingerBytes = 1 << 20;

// Waits for `events`; false: they do not come in time, or the socket is broken.
bool Await(int socket, short events, SteadyClock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - SteadyClock::now());
    pollfd entry = {.fd = socket, .events = events, .revents = 0};
    const int ready =
        poll(&entry, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready > 0) return (entry.revents & (events | POLLHUP)) != 0;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// A connection as httplib reads and writes it.
class BoundedStream final : public httplib::Stream {
 public:
  explicit BoundedStream(int socket) : socket_(socket) {}

  bool is_readable() const override { return !buffer_.empty(); }
  // True while the peer is there: none closes its sending side only.
  bool is_writable() const override {
    pollfd entry = {.fd = socket_, .events = POLLRDHUP, .revents = 0};
    return poll(&entry, 1, 0) == 0;
  }

  ssize_t read(char* out, size_t size) override {
    if (next_ == buffer_.size()) {
      const size_t allowed = BoundedServer::kMaxRequestBytes - taken_;
      if (allowed == 0 || !Await(socket_, POLLIN, deadline_)) return -1;
      buffer_.resize(std::min<size_t>(allowed, 4096));
      const ssize_t got =
          recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      buffer_.resize(std::max<ssize_t>(got, 0));
      next_ = 0;
      taken_ += buffer_.size();
      if (got <= 0) return got;
    }
    const size_t count = std::min(size, buffer_.size() - next_);
    std::copy_n(buffer_.data() + next_, count, out);
    next_ += count;
    return static_cast<ssize_t>(count);
  }

  // All of it, or -1.
  ssize_t write(const char* data, size_t size) override {
    const auto deadline = SteadyClock::now() + BoundedServer::kWriteTime;
    for (size_t done = 0; done < size;) {
      const ssize_t sent =
          send(socket_, data + done, size - done, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent >= 0) {
        done += sent;
      } else if (errno == EAGAIN) {
        if (!Await(socket_, POLLOUT, deadline)) return -1;
      } else if (errno != EINTR) {
        return -1;
      }
    }
    return static_cast<ssize_t>(size);
  }

  // Nobody asks.
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return socket_; }

 private:
  const int socket_;
  const SteadyClock::time_point deadline_ =
      SteadyClock::now() + BoundedServer::kReadTime;
  std::string buffer_;
  size_t next_ = 0;   // in buffer_
  size_t taken_ = 0;  // in all
};

// Runs connections on so many threads; whoever brings another one waits.
class BoundedTasks final : public httplib::TaskQueue {
 public:
  explicit BoundedTasks(int threads)
      : free_(threads), threads_(std::in_place, threads) {}

  void enqueue(std::function<void()> task) override {
    {
      MutexLock lock(mu_);
      while (free_ == 0) freed_.Wait(mu_);
      --free_;
    }
    threads_->Post([this, task = std::move(task)] {
      task();
      MutexLock lock(mu_);
      ++free_;
      freed_.Signal();
    });
  }
  void shutdown() override { threads_.reset(); }

 private:
  Mutex mu_;
  CondVar freed_;
  int free_ GUARDED_BY(mu_);
  std::optional<ThreadPool> threads_;
};

// Says that all has been sent and lets the peer read it: closing at once would
// take it away from one that has sent more than was read.
void Linger(int socket) {
  shutdown(socket, SHUT_WR);
  const auto deadline = SteadyClock::now() + kLingerTime;
  char dropped[4096];
  for (size_t bytes = 0; bytes < kLingerBytes;) {
    if (!Await(socket, POLLIN, deadline)) return;
    const ssize_t got = recv(socket, dropped, sizeof(dropped), MSG_DONTWAIT);
    if (got <= 0) return;
    bytes += got;
  }
}

}  // namespace

BoundedServer::BoundedServer(int max_connections) {
  // httplib asks for it once it would hear stop().
  new_task_queue = [this, max_connections] {
    MutexLock lock(mu_);
    listening_ = true;
    changed_.SignalAll();
    return new BoundedTasks(max_connections);
  };
  // Not httplib's own, which let two servers listen at one port.
  set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  set_tcp_nodelay(true);
}

bool BoundedServer::process_and_close_socket(socket_t socket) {
  {
    MutexLock lock(mu_);
    open_.insert(socket);
  }
  BoundedStream stream(socket);
  bool closed = false;
  const bool answered =
      process_request(stream, true, closed, [](httplib::Request& request) {
        // Compressing would cost the machine that coordinates more than it
        // saves; parts of a page are of use to nobody.
        request.headers.erase("Accept-Encoding");
        request.ranges.clear();
      });
  if (answered) Linger(socket);
  MutexLock lock(mu_);
  open_.erase(socket);
  close(socket);
  return answered;
}

void BoundedServer::AwaitListening() {
  MutexLock lock(mu_);
  while (!listening_) changed_.Wait(mu_);
}

void BoundedServer::CutOff() {
  MutexLock lock(mu_);
  for (const int socket : open_) shutdown(socket, SHUT_RDWR);
}

}  // namespace parley
