#include "server/round/staging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>
#include <vector>

#include "common/base/random.h"
#include "common/wire/checksum.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using absl::StatusCode;

v1::UpdateReady Header(std::vector<int64_t> elements) {
  v1::UpdateReady header;
  for (size_t i = 0; i < elements.size(); ++i) {
    v1::Payload* payload = header.add_payloads();
    payload->set_name(i == 0 ? "model" : "control");
    payload->set_encoding(v1::ENCODING_FLOAT32);
    payload->set_elements(elements[i]);
    payload->set_bytes(4 * elements[i]);
  }
  return header;
}

std::vector<float> Numbers(int64_t n, uint64_t seed = 1) {
  Rng rng(seed, "numbers");
  std::vector<float> numbers(n);
  for (float& x : numbers) x = static_cast<float>(rng.Normal());
  return numbers;
}

absl::string_view Bytes(const std::vector<float>& x, size_t begin, size_t n) {
  return {reinterpret_cast<const char*>(x.data()) + 4 * begin, 4 * n};
}

class StagingTest : public ::testing::Test {
 protected:
  std::shared_ptr<StagedUpdate> Open(const v1::UpdateReady& header) {
    EXPECT_OK(area_.Open(++id_, header));
    return area_.Find(id_);
  }
  // A chunk of whole elements [begin, begin + n) of a payload.
  static absl::Status Write(StagedUpdate& update, uint64_t ticket,
                            uint32_t payload, const std::vector<float>& x,
                            size_t begin, size_t n) {
    const absl::string_view data = Bytes(x, begin, n);
    // In two pieces, the first of which ends within a number.
    const size_t cut = std::min<size_t>(data.size(), 3);
    return update.Write(ticket, {payload, 4 * begin, Checksum(data)},
                        {data.substr(0, cut), data.substr(cut)});
  }

  RegionPool pool_{{.memory_bytes = 16 << 20, .folder = ""}};
  StagingArea area_{&pool_};
  uint64_t id_ = 0;
};

TEST_F(StagingTest, KeepsPayloadsAsTheyWereSent) {
  const std::vector<float> model = Numbers(1001), control = Numbers(7, 2);
  const auto update = Open(Header({1001, 7}));
  EXPECT_EQ(update->bytes(), 4 * 1008);
  ASSERT_OK_AND_ASSIGN(const uint64_t ticket, update->Begin(0));
  EXPECT_OK(Write(*update, ticket, 0, model, 0, 600));
  EXPECT_EQ(update->staged(), 2400);
  EXPECT_OK(Write(*update, ticket, 0, model, 600, 401));
  EXPECT_OK(Write(*update, ticket, 1, control, 0, 7));
  ASSERT_OK_AND_ASSIGN(const uint64_t received, update->Finish(ticket));
  EXPECT_EQ(received, 4 * 1008);
  EXPECT_EQ(absl::string_view(update->payload(0), 4004), Bytes(model, 0, 1001));
  EXPECT_EQ(absl::string_view(update->payload(1), 28), Bytes(control, 0, 7));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(update->payload(1)) % 64, 0);
}

TEST_F(StagingTest, RefusesWhatIsNotTheNextChunk) {
  const std::vector<float> model = Numbers(100);
  const auto update = Open(Header({60, 40}));
  ASSERT_OK_AND_ASSIGN(const uint64_t t, update->Begin(0));
  ASSERT_OK(Write(*update, t, 0, model, 0, 50));
  const auto refused = [&](absl::Status status, absl::string_view why) {
    EXPECT_THAT(status,
                StatusIs(StatusCode::kInvalidArgument, std::string(why)));
    EXPECT_EQ(update->staged(), 200);
  };
  refused(Write(*update, t, 0, model, 0, 10), "at byte 0 where payload 0");
  refused(Write(*update, t, 0, model, 51, 1), "goes on at byte 200");
  refused(Write(*update, t, 1, model, 50, 10), "of payload 1");
  refused(Write(*update, t, 0, model, 50, 11), "\"model\", which has 240");
  refused(Write(*update, t, 0, model, 50, 0), "a chunk of 0 bytes");
  const absl::string_view odd = Bytes(model, 50, 2).substr(0, 6);
  refused(update->Write(t, {0, 200, Checksum(odd)}, {odd}), "within a number");
  const std::string huge((4 << 20) + 4, 'x');
  refused(update->Write(t, {0, 200, Checksum(huge)}, {huge}), "must be 1 to");
  refused(update->Finish(t).status(), "after 200 of 400 bytes");
  EXPECT_OK(Write(*update, t, 0, model, 50, 10));
  EXPECT_OK(Write(*update, t, 1, model, 0, 40));
  EXPECT_THAT(Write(*update, t, 2, model, 0, 1),
              StatusIs(StatusCode::kInvalidArgument, "beyond the 400 bytes"));
}

TEST_F(StagingTest, ADamagedChunkDoesNotCount) {
  const std::vector<float> model = Numbers(10);
  const auto update = Open(Header({10}));
  ASSERT_OK_AND_ASSIGN(const uint64_t t, update->Begin(0));
  const absl::string_view data = Bytes(model, 0, 10);
  EXPECT_THAT(update->Write(t, {0, 0, Checksum(data) ^ 1}, {data}),
              StatusIs(StatusCode::kDataLoss, "checksum"));
  EXPECT_EQ(update->staged(), 0);
}

TEST_F(StagingTest, NumbersThatAreNotFiniteDoNotCount) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(),
                    -std::numeric_limits<float>::infinity()}) {
    std::vector<float> model = Numbers(100);
    model[70] = bad;
    const auto update = Open(Header({100}));
    ASSERT_OK_AND_ASSIGN(const uint64_t t, update->Begin(0));
    EXPECT_OK(Write(*update, t, 0, model, 0, 50));
    EXPECT_THAT(Write(*update, t, 0, model, 50, 50),
                StatusIs(StatusCode::kInvalidArgument, "elements 50 to 99"));
    EXPECT_EQ(update->staged(), 200);
  }
}

TEST_F(StagingTest, GoesOnWhereItStopped) {
  const std::vector<float> model = Numbers(100), control = Numbers(20, 3);
  const auto update = Open(Header({100, 20}));
  ASSERT_OK_AND_ASSIGN(const uint64_t first, update->Begin(0));
  ASSERT_OK(Write(*update, first, 0, model, 0, 100));
  ASSERT_OK(Write(*update, first, 1, control, 0, 5));
  EXPECT_THAT(update->Begin(424).status(),
              StatusIs(StatusCode::kInvalidArgument, "only the first 420"));
  ASSERT_OK_AND_ASSIGN(const uint64_t second, update->Begin(420));
  EXPECT_THAT(Write(*update, first, 1, control, 5, 15),
              StatusIs(StatusCode::kAborted, "took over"));
  EXPECT_THAT(update->Finish(first), StatusIs(StatusCode::kAborted, ""));
  ASSERT_OK(Write(*update, second, 1, control, 5, 10));
  // A client that knows of less may go back, as long as not all is here.
  ASSERT_OK_AND_ASSIGN(const uint64_t third, update->Begin(400));
  ASSERT_OK(Write(*update, third, 1, control, 0, 20));
  EXPECT_THAT(update->Begin(0).status(),
              StatusIs(StatusCode::kInvalidArgument, "whole"));
  ASSERT_OK_AND_ASSIGN(const uint64_t fourth, update->Begin(480));
  EXPECT_OK(update->Finish(fourth));
  EXPECT_EQ(absl::string_view(update->payload(1), 80), Bytes(control, 0, 20));
}

TEST_F(StagingTest, AWriterMayOutliveItsUpdate) {
  const std::vector<float> model = Numbers(1000);
  auto update = Open(Header({1000}));
  ASSERT_OK_AND_ASSIGN(const uint64_t t, update->Begin(0));
  area_.Drop(id_);
  EXPECT_EQ(area_.Find(id_), nullptr);
  EXPECT_OK(Write(*update, t, 0, model, 0, 1000));
  update.reset();
  EXPECT_EQ(area_.size(), 0);
}

TEST_F(StagingTest, ManyWritersAtOnce) {
  constexpr int kWriters = 8;
  const std::vector<float> model = Numbers(100000);
  std::vector<std::shared_ptr<StagedUpdate>> updates;
  for (int k = 0; k < kWriters; ++k) updates.push_back(Open(Header({100000})));
  std::vector<std::thread> writers;
  for (int k = 0; k < kWriters; ++k) {
    writers.emplace_back([&, k] {
      const uint64_t ticket = *updates[k]->Begin(0);
      for (size_t i = 0; i < 100; ++i) {
        ASSERT_OK(Write(*updates[k], ticket, 0, model, 1000 * i, 1000));
        ASSERT_LE(updates[(k + 1) % kWriters]->staged(), 400000);
      }
      ASSERT_OK(updates[k]->Finish(ticket));
    });
  }
  for (std::thread& writer : writers) writer.join();
  for (const auto& update : updates) {
    EXPECT_EQ(absl::string_view(update->payload(0), 400000),
              Bytes(model, 0, 100000));
  }
}

// Two transfers of one update race; the later one wins whatever happens.
TEST_F(StagingTest, TakingOverIsSafeAtAnyMoment) {
  const std::vector<float> model = Numbers(10000);
  for (int repeat = 0; repeat < 20; ++repeat) {
    const auto update = Open(Header({10000}));
    const uint64_t first = *update->Begin(0);
    std::thread old([&] {
      for (size_t i = 0; i < 99; ++i) {
        if (!Write(*update, first, 0, model, 100 * i, 100).ok()) return;
      }
    });
    const uint64_t from = update->staged();
    ASSERT_OK_AND_ASSIGN(const uint64_t second, update->Begin(from));
    for (size_t i = from / 400; i < 100; ++i) {
      ASSERT_OK(Write(*update, second, 0, model, 100 * i, 100));
    }
    EXPECT_OK(update->Finish(second));
    old.join();
    EXPECT_EQ(absl::string_view(update->payload(0), 40000),
              Bytes(model, 0, 10000));
  }
}

}  // namespace
}  // namespace parley
