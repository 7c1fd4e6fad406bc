// A client and its transport in one, for tests of the driver: does at once what
// it is asked to, and "trains" by a formula.
#ifndef PARLEY_TESTS_UNIT_DRIVER_FAKE_CLIENT_H_
#define PARLEY_TESTS_UNIT_DRIVER_FAKE_CLIENT_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/executor.h"
#include "common/base/mutex.h"
#include "server/run/coordinator.h"
#include "tests/support/manual_executor.h"

namespace parley {

// Makes clients announce their updates in a given order, whoever is first to
// have one. Thread-safe.
class Turnstile {
 public:
  explicit Turnstile(std::vector<std::string> order)
      : order_(std::move(order)) {}

  // `f` runs once it is the client's turn.
  void Pass(const std::string& client, std::function<void()> f) {
    MutexLock lock(mu_);
    waiting_.emplace_back(client, std::move(f));
    Open();
  }
  // The client is through: the next one's turn.
  void Through() {
    MutexLock lock(mu_);
    busy_ = false;
    turn_ = (turn_ + 1) % order_.size();
    Open();
  }

 private:
  void Open() REQUIRES(mu_) {
    for (size_t i = 0; i < waiting_.size() && !busy_; ++i) {
      if (waiting_[i].first != order_[turn_]) continue;
      busy_ = true;
      waiting_[i].second();
      waiting_.erase(waiting_.begin() + static_cast<int64_t>(i));
    }
  }

  const std::vector<std::string> order_;
  Mutex mu_;
  size_t turn_ GUARDED_BY(mu_) = 0;
  bool busy_ GUARDED_BY(mu_) = false;
  std::vector<std::pair<std::string, std::function<void()>>> waiting_
      GUARDED_BY(mu_);
};

// float32 parameters only. Thread-safe; must outlive the coordinator's run.
class FakeClient final : public SessionSink,
                         public std::enable_shared_from_this<FakeClient> {
 public:
  // change = Train(round, parameters)
  using Train =
      std::function<std::vector<float>(int64_t, const std::vector<float>&)>;

  struct Options {
    std::string name;
    double weight = 1;
    Train train;
    Turnstile* turnstile = nullptr;  // may be null
    // Where transfers run.
    Executor* executor = nullptr;
    bool keep_downloads_open = false;
    bool stall = false;  // in its first upload, after a chunk
    bool reads_inline = false;
  };

  static std::shared_ptr<FakeClient> Join(Options options,
                                          Coordinator* coordinator);

  void Send(v1::ServerMessage message) override;
  void SendAhead(v1::ServerMessage message) override;
  void Close(const absl::Status&) override {
    MutexLock lock(mu_);
    closed_ = true;
  }

  using Kind = v1::ServerMessage::KindCase;
  // What was sent ahead, and what came after it.
  std::vector<std::pair<Kind, Kind>> ahead() {
    MutexLock lock(inbox_mu_);
    return ahead_;
  }
  // That nothing came after.
  bool kept_waiting() {
    MutexLock lock(inbox_mu_);
    return kept_waiting_.has_value();
  }

  bool closed() {
    MutexLock lock(mu_);
    return closed_;
  }
  int counted() {
    MutexLock lock(mu_);
    return counted_;
  }
  int downloads() {
    MutexLock lock(mu_);
    return downloads_;
  }
  int grants() {
    MutexLock lock(mu_);
    return grants_;
  }
  std::vector<std::string> refusals() {
    MutexLock lock(mu_);
    return refusals_;
  }
  // The first bytes of each download that was kept open.
  std::vector<absl::string_view> open_downloads() {
    MutexLock lock(mu_);
    return open_views_;
  }
  // Why its uploads were broken off.
  std::vector<absl::Status> broken_off() {
    MutexLock lock(mu_);
    return broken_off_;
  }
  void Beat();
  void DropDownloads() {
    MutexLock lock(mu_);
    open_views_.clear();
    open_.clear();
  }

 private:
  FakeClient(Options options, Coordinator* coordinator)
      : options_(std::move(options)), coordinator_(coordinator) {}

  // In the order sent, whichever threads the executor has.
  void TakeNext();
  void Take(const v1::ServerMessage& message) REQUIRES(mu_);
  void Download(const v1::Task& task) REQUIRES(mu_);
  void Read(const v1::Task& task, std::unique_ptr<ChunkSource> source);
  void Upload(const v1::GrantUpload& grant) REQUIRES(mu_);
  void Write(uint64_t offset, std::unique_ptr<ChunkSink> sink);

  const Options options_;
  Coordinator* const coordinator_;
  SessionId session_ = 0;

  Mutex inbox_mu_;  // taken within mu_
  std::deque<v1::ServerMessage> inbox_ GUARDED_BY(inbox_mu_);
  std::vector<std::pair<Kind, Kind>> ahead_ GUARDED_BY(inbox_mu_);
  std::optional<Kind> kept_waiting_ GUARDED_BY(inbox_mu_);

  Mutex mu_;
  std::string run_ GUARDED_BY(mu_);
  uint64_t term_ GUARDED_BY(mu_) = 0;
  std::string token_ GUARDED_BY(mu_);
  std::vector<float> update_ GUARDED_BY(mu_);
  bool closed_ GUARDED_BY(mu_) = false;
  int counted_ GUARDED_BY(mu_) = 0;
  int downloads_ GUARDED_BY(mu_) = 0;
  int grants_ GUARDED_BY(mu_) = 0;
  std::vector<std::string> refusals_ GUARDED_BY(mu_);
  std::vector<absl::Status> broken_off_ GUARDED_BY(mu_);
  std::unique_ptr<ChunkSink> stalled_ GUARDED_BY(mu_);
  std::vector<std::unique_ptr<ChunkSource>> open_ GUARDED_BY(mu_);
  std::vector<absl::string_view> open_views_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_DRIVER_FAKE_CLIENT_H_
