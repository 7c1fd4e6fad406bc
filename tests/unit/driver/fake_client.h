// A client and its transport in one, for tests of the driver: does at once what
// it is asked to, and "trains" by a formula.
#ifndef PARLEY_TESTS_UNIT_DRIVER_FAKE_CLIENT_H_
#define PARLEY_TESTS_UNIT_DRIVER_FAKE_CLIENT_H_

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/executor.h"
#include "common/base/mutex.h"
#include "common/wire/checksum.h"
#include "common/wire/inline_chunks.h"
#include "common/wire/protocol.h"
#include "server/run/coordinator.h"

namespace parley {

// Runs what is posted when a test says so, on its thread.
class ManualExecutor final : public Executor {
 public:
  void Post(Closure f) override { queue_.push_back(std::move(f)); }
  int threads() const override { return 1; }
  void RunAll() {
    while (!queue_.empty()) {
      Closure f = std::move(queue_.front());
      queue_.pop_front();
      std::move(f)();
    }
  }

 private:
  std::deque<Closure> queue_;
};

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

// What came within a message.
class GivenChunks final : public ChunkSource {
 public:
  explicit GivenChunks(InlineChunks chunks) : chunks_(std::move(chunks)) {}
  std::optional<ChunkView> Next() override {
    if (next_ == chunks_.size()) return std::nullopt;
    const v1::Chunk& chunk = chunks_[next_++];
    EXPECT_EQ(chunk.checksum(), Checksum(chunk.data()));
    return ChunkView{
        {chunk.payload(), chunk.offset(), chunk.checksum()}, chunk.data()};
  }

 private:
  const InlineChunks chunks_;
  int next_ = 0;
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
                                          Coordinator* coordinator) {
    std::shared_ptr<FakeClient> client(
        new FakeClient(std::move(options), coordinator));
    client->session_ = coordinator->OpenSession({}, client);
    v1::ClientMessage message;
    v1::Register& request = *message.mutable_register_();
    request.set_protocol_version(kProtocolVersion);
    request.set_name(client->options_.name);
    request.set_incarnation(7);
    request.add_kinds(v1::TRAIN);
    request.add_encodings(v1::ENCODING_FLOAT32);
    if (client->options_.reads_inline) request.add_features(kInlineFeature);
    coordinator->Receive(client->session_, std::move(message));
    return client;
  }

  void Send(v1::ServerMessage message) override {
    {
      MutexLock lock(inbox_mu_);
      inbox_.push_back(message);
      if (kept_waiting_)
        ahead_.emplace_back(*kept_waiting_, message.kind_case());
      kept_waiting_.reset();
    }
    options_.executor->Post([self = shared_from_this()] { self->TakeNext(); });
  }
  void SendAhead(v1::ServerMessage message) override {
    const Kind kind = message.kind_case();
    Send(std::move(message));
    MutexLock lock(inbox_mu_);
    kept_waiting_ = kind;
  }
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
  void Beat() {
    v1::ClientMessage message;
    message.mutable_heartbeat();
    {
      MutexLock lock(mu_);
      message.set_run(run_);
      message.set_term(term_);
    }
    coordinator_->Receive(session_, message);
  }
  void DropDownloads() {
    MutexLock lock(mu_);
    open_views_.clear();
    open_.clear();
  }

 private:
  FakeClient(Options options, Coordinator* coordinator)
      : options_(std::move(options)), coordinator_(coordinator) {}

  // In the order sent, whichever threads the executor has.
  void TakeNext() {
    MutexLock lock(mu_);
    v1::ServerMessage message;
    {
      MutexLock inbox_lock(inbox_mu_);
      message = std::move(inbox_.front());
      inbox_.pop_front();
    }
    Take(message);
  }

  void Take(const v1::ServerMessage& message) REQUIRES(mu_) {
    if (message.has_registered()) {
      token_ = message.registered().token();
    } else if (message.has_task() && message.task().chunks_size() > 0) {
      // Elsewhere, as mu_ is held here.
      options_.executor->Post(
          [self = shared_from_this(), task = message.task()] {
            self->Read(task, std::make_unique<GivenChunks>(task.chunks()));
          });
    } else if (message.has_task()) {
      ++downloads_;
      Download(message.task());
    } else if (message.has_grant_upload()) {
      ++grants_;
      Upload(message.grant_upload());
    } else if (message.has_verdict()) {
      if (!message.verdict().accepted()) {
        refusals_.push_back(message.verdict().reason());
      }
      if (options_.turnstile != nullptr) options_.turnstile->Through();
    } else if (message.has_task_over()) {
      counted_ += message.task_over().counted() ? 1 : 0;
    }
    run_ = message.run();
    term_ = message.term();
  }

  void Download(const v1::Task& task) REQUIRES(mu_) {
    v1::DownloadRequest request;
    *request.mutable_task() = task.task();
    request.set_token(token_);
    coordinator_->OpenDownload(
        request,
        [self = shared_from_this(), task](auto source) {
          if (!source.ok()) return;
          self->options_.executor->Post(
              [self, task, source = *std::move(source)]() mutable {
                self->Read(task, std::move(source));
              });
        },
        nullptr);
  }

  void Read(const v1::Task& task, std::unique_ptr<ChunkSource> source) {
    std::vector<float> parameters(task.payloads(0).elements());
    char* const begin = reinterpret_cast<char*>(parameters.data());
    absl::string_view first;
    while (const auto chunk = source->Next()) {
      if (chunk->header.offset == 0) first = chunk->data;
      std::memcpy(begin + chunk->header.offset, chunk->data.data(),
                  chunk->data.size());
    }
    v1::ClientMessage message;
    {
      MutexLock lock(mu_);
      if (options_.keep_downloads_open) {
        open_.push_back(std::move(source));
        open_views_.push_back(first);
      }
      update_ = options_.train(task.task().round(), parameters);
      message.set_run(run_);
      message.set_term(term_);
    }
    source.reset();
    v1::UpdateReady& update = *message.mutable_update_ready();
    *update.mutable_task() = task.task();
    update.set_weight(options_.weight);
    update.set_local_steps(1);
    update.set_contributors(1);
    update.set_base_version(task.model_version());
    (*update.mutable_scalars())["loss"] = options_.weight / 2;
    *update.add_payloads() = task.payloads(0);
    if (task.update_inline()) {
      MutexLock lock(mu_);
      const absl::string_view bytes(
          reinterpret_cast<const char*>(update_.data()), 4 * update_.size());
      v1::Chunk& chunk = *update.add_chunks();
      chunk.set_checksum(Checksum(bytes));
      chunk.set_data(bytes.data(), bytes.size());
    }
    const auto announce = [this, self = shared_from_this(), message] {
      coordinator_->Receive(session_, message);
    };
    if (options_.turnstile == nullptr) return announce();
    options_.turnstile->Pass(options_.name, announce);
  }

  void Upload(const v1::GrantUpload& grant) REQUIRES(mu_) {
    v1::TransferHeader header;
    *header.mutable_task() = grant.task();
    header.set_token(token_);
    coordinator_->OpenUpload(
        header,
        [self = shared_from_this(), offset = grant.offset()](auto sink) {
          if (!sink.ok()) return;
          self->options_.executor->Post(
              [self, offset, sink = *std::move(sink)]() mutable {
                self->Write(offset, std::move(sink));
              });
        },
        [self = shared_from_this()](const absl::Status& why) {
          MutexLock lock(self->mu_);
          self->broken_off_.push_back(why);
          self->stalled_.reset();
        });
  }

  void Write(uint64_t offset, std::unique_ptr<ChunkSink> sink) {
    std::vector<float> update;
    {
      MutexLock lock(mu_);
      update = update_;
    }
    const absl::string_view bytes(reinterpret_cast<const char*>(update.data()),
                                  4 * update.size());
    constexpr size_t kChunk = 4000;  // several of them
    while (offset < bytes.size()) {
      const absl::string_view data = bytes.substr(offset, kChunk);
      if (!sink->Write({0, offset, Checksum(data)}, {data}).ok()) return;
      offset += data.size();
      MutexLock lock(mu_);
      if (options_.stall && broken_off_.empty()) {
        stalled_ = std::move(sink);
        return;
      }
    }
    (void)sink->Finish();  // the verdict tells
  }

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
