// PayloadSource and ParameterSink, against each other and against mistakes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/wire/checksum.h"
#include "common/wire/parameter_sink.h"
#include "common/wire/payload_source.h"
#include "common/wire/protocol.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using absl::StatusCode;

template <typename T>
ParameterVector RandomVector(int64_t n) {
  ParameterVector v(DTypeOf<T>(), n);
  Rng rng(n, "transfer");
  // Few bits, so that every encoding keeps them.
  for (T& x : v.As<T>()) x = static_cast<T>(rng.Below(256)) / 16 - 8;
  return v;
}

PayloadView ViewOf(const ParameterVector& v, v1::Encoding encoding) {
  return {v.dtype(), encoding, v.elements(), v.data()};
}

// Pieces of `data` whose cuts fall anywhere.
std::vector<absl::string_view> Cut(absl::string_view data, Rng* rng) {
  std::vector<absl::string_view> pieces;
  while (!data.empty()) {
    const size_t n = std::min<size_t>(data.size(), 1 + rng->Below(70000));
    pieces.push_back(data.substr(0, n));
    data.remove_prefix(n);
  }
  return pieces;
}

// Moves chunks from source to sink, at most `limit`.
absl::Status Move(ChunkSource* source, ChunkSink* sink, int limit = 1 << 20) {
  Rng rng(3, "cuts");
  for (int i = 0; i < limit; ++i) {
    std::optional<ChunkView> chunk = source->Next();
    if (!chunk) return absl::OkStatus();
    PARLEY_RETURN_IF_ERROR(sink->Write(chunk->header, Cut(chunk->data, &rng)));
  }
  return absl::OkStatus();
}

TEST(TransferTest, MovesPayloadsOfAllKindsAndResumes) {
  const ParameterVector a = RandomVector<float>(700001);
  const ParameterVector none = RandomVector<float>(0);
  const ParameterVector b = RandomVector<double>(300003);
  for (v1::Encoding encoding :
       {v1::ENCODING_FLOAT32, v1::ENCODING_FLOAT64, v1::ENCODING_BFLOAT16}) {
    const std::vector<PayloadView> payloads = {
        ViewOf(a, encoding), ViewOf(none, encoding), ViewOf(b, encoding),
        ViewOf(none, encoding)};
    ParameterVector a2(DType::kFloat32, a.elements());
    ParameterVector none2(DType::kFloat32, 0);
    ParameterVector b2(DType::kFloat64, b.elements());
    ParameterSink sink({{encoding, &a2},
                        {encoding, &none2},
                        {encoding, &b2},
                        {encoding, &none2}});
    // One chunk a transfer: each goes on where the one before stopped.
    uint64_t before = 0;
    do {
      before = sink.received();
      ASSERT_OK_AND_ASSIGN(auto source,
                           PayloadSource::Create(payloads, before));
      ASSERT_OK(Move(source.get(), &sink, 1));
    } while (sink.received() > before);
    ASSERT_OK_AND_ASSIGN(const uint64_t total, sink.Finish());
    EXPECT_EQ(total, (a.elements() + b.elements()) * EncodedSize(encoding));
    EXPECT_EQ(std::memcmp(a.data(), a2.data(), a.bytes()), 0);
    EXPECT_EQ(std::memcmp(b.data(), b2.data(), b.bytes()), 0);
  }
}

TEST(PayloadSourceTest, ViewsWhatNeedsNoEncoding) {
  const ParameterVector v = RandomVector<float>(300000);
  ASSERT_OK_AND_ASSIGN(
      auto source, PayloadSource::Create({ViewOf(v, v1::ENCODING_FLOAT32)}, 0));
  std::optional<ChunkView> chunk = source->Next();
  ASSERT_TRUE(chunk.has_value());
  EXPECT_TRUE(chunk->stable);
  EXPECT_EQ(chunk->data.data(), v.data());
  EXPECT_EQ(chunk->data.size(), static_cast<size_t>(kChunkBytes));
  EXPECT_EQ(chunk->header.checksum, Checksum(chunk->data));
  chunk = source->Next();
  ASSERT_TRUE(chunk.has_value());
  EXPECT_EQ(chunk->header.offset, static_cast<uint64_t>(kChunkBytes));
  EXPECT_EQ(chunk->data.size(), 1200000u - kChunkBytes);
  EXPECT_FALSE(source->Next().has_value());

  ASSERT_OK_AND_ASSIGN(
      source, PayloadSource::Create({ViewOf(v, v1::ENCODING_BFLOAT16)}, 0));
  EXPECT_FALSE(source->Next()->stable);
}

TEST(PayloadSourceTest, RefusesOffsetsThatAreNone) {
  const ParameterVector v = RandomVector<float>(10);
  const std::vector<PayloadView> payloads = {ViewOf(v, v1::ENCODING_FLOAT32)};
  EXPECT_THAT(PayloadSource::Create(payloads, 41),
              StatusIs(StatusCode::kInvalidArgument, "only 40"));
  EXPECT_THAT(PayloadSource::Create(payloads, 6),
              StatusIs(StatusCode::kInvalidArgument, "within a number"));
  ASSERT_OK_AND_ASSIGN(auto at_end, PayloadSource::Create(payloads, 40));
  EXPECT_FALSE(at_end->Next().has_value());
}

class ParameterSinkTest : public testing::Test {
 protected:
  absl::Status Write(uint32_t payload, uint64_t offset,
                     const std::string& data) {
    return sink_.Write({payload, offset, Checksum(absl::string_view(data))},
                       {absl::string_view(data)});
  }
  ParameterVector into_{DType::kFloat32, 4};
  ParameterSink sink_{{{v1::ENCODING_FLOAT32, &into_}}};
};

TEST_F(ParameterSinkTest, RefusesWhatDoesNotComeNext) {
  const std::string number(4, '\0');
  EXPECT_THAT(Write(1, 0, number),
              StatusIs(StatusCode::kInvalidArgument, "payload 0 at byte 0"));
  EXPECT_THAT(Write(0, 4, number),
              StatusIs(StatusCode::kInvalidArgument, "payload 0 at byte 0"));
  EXPECT_OK(Write(0, 0, number));
  EXPECT_THAT(Write(0, 0, number),
              StatusIs(StatusCode::kInvalidArgument, "payload 0 at byte 4"));
  EXPECT_EQ(sink_.received(), 4u);
}

TEST_F(ParameterSinkTest, RefusesSizesThatCannotBe) {
  EXPECT_THAT(Write(0, 0, ""),
              StatusIs(StatusCode::kInvalidArgument, "has 0 bytes"));
  EXPECT_THAT(Write(0, 0, std::string(6, '\0')),
              StatusIs(StatusCode::kInvalidArgument, "whole numbers"));
  EXPECT_THAT(Write(0, 0, std::string(20, '\0')),
              StatusIs(StatusCode::kInvalidArgument, "only 16 are left"));
  EXPECT_THAT(Write(0, 0, std::string(kMaxChunkBytes + 4, '\0')),
              StatusIs(StatusCode::kInvalidArgument, "allowed are"));
  EXPECT_THAT(sink_.Finish(),
              StatusIs(StatusCode::kInvalidArgument, "ended at byte 0"));
  EXPECT_OK(Write(0, 0, std::string(16, '\0')));
  EXPECT_THAT(Write(0, 16, std::string(4, '\0')),
              StatusIs(StatusCode::kInvalidArgument, "nothing more"));
  EXPECT_OK(sink_.Finish());
}

TEST_F(ParameterSinkTest, RefusesDamagedAndInfiniteNumbers) {
  const std::string zeros(8, '\0');
  EXPECT_THAT(sink_.Write({0, 0, 1}, {absl::string_view(zeros)}),
              StatusIs(StatusCode::kDataLoss, "checksum"));
  float bad[2] = {1, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_THAT(Write(0, 0, std::string(reinterpret_cast<const char*>(bad), 8)),
              StatusIs(StatusCode::kInvalidArgument, "not a number"));
  EXPECT_EQ(sink_.received(), 0u);
}

}  // namespace
}  // namespace parley
