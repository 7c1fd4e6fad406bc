#include "tests/unit/driver/fake_client.h"

#include <gtest/gtest.h>

#include <cstring>

#include "common/wire/checksum.h"
#include "common/wire/inline_chunks.h"
#include "common/wire/protocol.h"

namespace parley {
namespace {

// What came within a message.
class GivenChunks final : public ChunkSource {
 public:
  explicit GivenChunks(InlineChunks chunks) : chunks_(std::move(chunks)) {}
  std::optional<ChunkView> Next() override {
    if (next_ == chunks_.size()) return std::nullopt;
    const v1::Chunk& chunk = chunks_[next_++];
    EXPECT_EQ(chunk.checksum(), Checksum(chunk.data()));
    return ChunkView{{chunk.payload(), chunk.offset(), chunk.checksum()},
                     chunk.data()};
  }

 private:
  const InlineChunks chunks_;
  int next_ = 0;
};

}  // namespace

std::shared_ptr<FakeClient> FakeClient::Join(Options options,
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

void FakeClient::Send(v1::ServerMessage message) {
  {
    MutexLock lock(inbox_mu_);
    inbox_.push_back(message);
    if (kept_waiting_) ahead_.emplace_back(*kept_waiting_, message.kind_case());
    kept_waiting_.reset();
  }
  options_.executor->Post([self = shared_from_this()] { self->TakeNext(); });
}

void FakeClient::SendAhead(v1::ServerMessage message) {
  const Kind kind = message.kind_case();
  Send(std::move(message));
  MutexLock lock(inbox_mu_);
  kept_waiting_ = kind;
}

void FakeClient::Beat() {
  v1::ClientMessage message;
  message.mutable_heartbeat();
  {
    MutexLock lock(mu_);
    message.set_run(run_);
    message.set_term(term_);
  }
  coordinator_->Receive(session_, message);
}

void FakeClient::TakeNext() {
  MutexLock lock(mu_);
  v1::ServerMessage message;
  {
    MutexLock inbox_lock(inbox_mu_);
    message = std::move(inbox_.front());
    inbox_.pop_front();
  }
  Take(message);
}

void FakeClient::Take(const v1::ServerMessage& message) {
  if (message.has_registered()) {
    token_ = message.registered().token();
  } else if (message.has_task() && message.task().chunks_size() > 0) {
    // Elsewhere, as mu_ is held here.
    options_.executor->Post([self = shared_from_this(), task = message.task()] {
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

void FakeClient::Download(const v1::Task& task) {
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

void FakeClient::Read(const v1::Task& task,
                      std::unique_ptr<ChunkSource> source) {
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
    const absl::string_view bytes(reinterpret_cast<const char*>(update_.data()),
                                  4 * update_.size());
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

void FakeClient::Upload(const v1::GrantUpload& grant) {
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

void FakeClient::Write(uint64_t offset, std::unique_ptr<ChunkSink> sink) {
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

}  // namespace parley
