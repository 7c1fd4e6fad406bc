#include "tests/unit/session/coordinator_session_fixture.h"

namespace parley {

void CoordinatorSessionTest::Start() {
  CoordinatorSessionOptions options;
  options.servers = {"a:1"};
  options.name = "ann";
  options.incarnation = 7;
  options.labels = {{"site", "north"}};
  options.wants_part = true;
  options.max_model_bytes = max_model_bytes_;
  options.state_folder = state_folder_;
  options.log = [this](LogLevel, absl::string_view text) {
    log_.append(text.data(), text.size());
    log_ += '\n';
  };
  auto session = CoordinatorSession::Create(
      options, {&transport_, &clock_, &control_, &work_, peer_host_},
      [this](const v1::RunConfig& config, std::optional<int32_t> part)
          -> absl::StatusOr<std::unique_ptr<Trainer>> {
        ++trainers_made_;
        config_ = config;
        part_ = part;
        if (!factory_status_.ok()) return factory_status_;
        return std::make_unique<FakeTrainer>(&train_, accepts_);
      });
  ASSERT_OK(session);
  session_ = *std::move(session);
  session_->Start([this](absl::Status status) { done_ = status; });
  Settle();
}

void CoordinatorSessionTest::Serve(const std::vector<float>& model, int chunks,
                                   absl::Status status) {
  ASSERT_TRUE(transport_.bulk.has_value());
  ASSERT_NE(transport_.bulk->sink, nullptr);
  ASSERT_OK_AND_ASSIGN(
      auto source, PayloadSource::Create(
                       {{.dtype = DType::kFloat32,
                         .encoding = v1::ENCODING_FLOAT32,
                         .elements = static_cast<int64_t>(model.size()),
                         .data = reinterpret_cast<const char*>(model.data())}},
                       transport_.bulk->download.offset()));
  for (; chunks > 0; --chunks) {
    std::optional<ChunkView> chunk = source->Next();
    if (!chunk) break;
    ASSERT_OK(transport_.bulk->sink->Write(chunk->header, {chunk->data}));
  }
  if (status.ok()) ASSERT_OK(transport_.bulk->sink->Finish());
  std::move(transport_.bulk->done)(status);
  Settle();
}

std::vector<float> CoordinatorSessionTest::Take(v1::Encoding encoding) {
  std::vector<float> update;
  EXPECT_TRUE(transport_.bulk && transport_.bulk->source);
  while (std::optional<ChunkView> chunk = transport_.bulk->source->Next()) {
    const int64_t n = chunk->data.size() / EncodedSize(encoding);
    update.resize(update.size() + n);
    Decode(encoding, chunk->data.data(), n, DType::kFloat32,
           reinterpret_cast<char*>(update.data() + update.size() - n));
  }
  std::move(transport_.bulk->done)(absl::OkStatus());
  Settle();
  return update;
}

}  // namespace parley
