// The sinks of payloads between peers, against payloads cut anywhere and
// against mistakes.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gossip/algorithms/compressor.h"
#include "client/gossip/byte_chunks.h"
#include "client/gossip/mixing_sink.h"
#include "client/gossip/number_chunks.h"
#include "common/base/random.h"
#include "common/wire/checksum.h"
#include "common/wire/protocol.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using absl::StatusCode;

template <typename T>
std::shared_ptr<ParameterVector> Noise(const char* what, int64_t n) {
  ParameterVector v(DTypeOf<T>(), n);
  Rng rng(n, what);
  for (T& x : v.As<T>()) x = static_cast<T>(rng.Normal());
  return std::make_shared<ParameterVector>(std::move(v));
}

absl::string_view BytesOf(const ParameterVector& v) {
  return {v.data(), static_cast<size_t>(v.bytes())};
}

absl::Status Write(PayloadSink* sink, uint32_t payload, uint64_t offset,
                   absl::string_view data) {
  return sink->Write({payload, offset, Checksum(data)}, {data});
}

// ------------------------------------------------------- what all of them
// check

// A sink of numbers, and how to see what it has taken.
struct Sink {
  std::unique_ptr<PayloadSink> sink;
  std::function<std::string()> taken;
};

struct SinkKind {
  const char* name;
  uint32_t payload;
  Sink (*make)(int64_t elements);  // float32
};

Sink MakeNumberSink(int64_t elements) {
  auto into = std::make_shared<ParameterVector>(DType::kFloat32, elements);
  return {std::make_unique<NumberSink>(into, 3),
          [into] { return std::string(BytesOf(*into)); }};
}

Sink MakeByteSink(int64_t elements) {
  auto into = std::make_shared<std::string>();
  return {std::make_unique<ByteSink>(4 * elements, 2,
                                     [into](const std::string& bytes) {
                                       *into = bytes;
                                       return absl::OkStatus();
                                     }),
          [into] { return *into; }};
}

// Staged is what was sent, as 0 + 1·(sent_k − 0).
Sink MakeMixingSink(int64_t elements) {
  auto into = std::make_shared<ParameterVector>(DType::kFloat32, elements);
  auto zero = std::make_shared<ParameterVector>(DType::kFloat32, elements);
  return {std::make_unique<MixingSink>(
              MixingSink::Options{.sent = zero, .mixed = zero, .staged = into}),
          [into] { return std::string(BytesOf(*into)); }};
}

class SinkTest : public testing::TestWithParam<SinkKind> {
 protected:
  static Sink Make(int64_t elements = 8) {
    Sink sink = GetParam().make(elements);
    sink.sink->Begin({});
    return sink;
  }
  const uint32_t payload_ = GetParam().payload;
  const std::shared_ptr<ParameterVector> numbers_ = Noise<float>("sent", 8);
  const absl::string_view sent_ = BytesOf(*numbers_);
};

TEST_P(SinkTest, TakesPiecesCutAnywhere) {
  for (size_t first = 0; first <= 20; ++first) {
    for (size_t second = first; second <= 20; ++second) {
      const Sink sink = Make();
      ASSERT_OK(Write(sink.sink.get(), payload_, 0, sent_.substr(0, 12)));
      const absl::string_view chunk = sent_.substr(12);
      const absl::string_view pieces[] = {chunk.substr(0, first),
                                          chunk.substr(first, second - first),
                                          chunk.substr(second)};
      ASSERT_OK(sink.sink->Write({payload_, 12, Checksum(chunk)}, pieces));
      ASSERT_OK_AND_ASSIGN(const uint64_t bytes, sink.sink->Finish());
      ASSERT_EQ(bytes, 32u);
      ASSERT_EQ(sink.taken(), sent_) << "cut at " << first << ", " << second;
    }
  }
}

TEST_P(SinkTest, RefusesWhatDoesNotComeNext) {
  const auto after_a_half = [&](uint32_t payload, uint64_t offset) {
    const Sink sink = Make();
    EXPECT_OK(Write(sink.sink.get(), payload_, 0, sent_.substr(0, 16)));
    return Write(sink.sink.get(), payload, offset, sent_.substr(16));
  };
  EXPECT_OK(after_a_half(payload_, 16));
  for (const uint32_t other : {payload_ + 1, payload_ - 1}) {
    EXPECT_THAT(after_a_half(other, 16),
                StatusIs(StatusCode::kInvalidArgument,
                         absl::StrCat("chunk of payload ", other)));
  }
  for (const uint64_t offset : {0, 12, 15, 17, 20, 32}) {
    EXPECT_THAT(after_a_half(payload_, offset),
                StatusIs(StatusCode::kInvalidArgument, "at byte 16"));
  }
  EXPECT_THAT(after_a_half(payload_, uint64_t{0} - 16),
              StatusIs(StatusCode::kInvalidArgument, "at byte 16"));
}

TEST_P(SinkTest, RefusesChunksThatAreEmptyOrTooLong) {
  const std::string empty;
  EXPECT_THAT(Write(Make().sink.get(), payload_, 0, empty),
              StatusIs(StatusCode::kInvalidArgument, "0 bytes"));
  EXPECT_THAT(Write(Make().sink.get(), payload_, 0, std::string(36, '\0')),
              StatusIs(StatusCode::kInvalidArgument, "36 bytes"));
  const std::string longest(kMaxChunkBytes, '\0');
  const Sink large = Make(kMaxChunkBytes / 4 + 8);
  EXPECT_THAT(
      Write(large.sink.get(), payload_, 0, longest + std::string(4, '\0')),
      StatusIs(StatusCode::kInvalidArgument, "4194308 bytes"));
  EXPECT_OK(
      Write(Make(kMaxChunkBytes / 4 + 8).sink.get(), payload_, 0, longest));
}

TEST_P(SinkTest, RefusesPayloadsThatAreTooShortOrTooLong) {
  const Sink none = Make();
  EXPECT_THAT(none.sink->Finish(),
              StatusIs(StatusCode::kInvalidArgument, "ended"));
  const Sink half = Make();
  EXPECT_OK(Write(half.sink.get(), payload_, 0, sent_.substr(0, 28)));
  EXPECT_THAT(half.sink->Finish(),
              StatusIs(StatusCode::kInvalidArgument, "ended"));
  const Sink full = Make();
  EXPECT_OK(Write(full.sink.get(), payload_, 0, sent_));
  EXPECT_THAT(Write(full.sink.get(), payload_, 32, sent_.substr(0, 4)),
              StatusIs(StatusCode::kInvalidArgument, "expected"));
}

TEST_P(SinkTest, RefusesAChunkOfWhichOneBitIsOther) {
  for (size_t bit = 0; bit < 8 * 16; ++bit) {
    std::string data(sent_.substr(16));
    data[bit / 8] = static_cast<char>(data[bit / 8] ^ (1 << bit % 8));
    const Sink sink = Make();
    EXPECT_OK(Write(sink.sink.get(), payload_, 0, sent_.substr(0, 16)));
    const absl::string_view pieces[] = {data};
    EXPECT_THAT(
        sink.sink->Write({payload_, 16, Checksum(sent_.substr(16))}, pieces),
        StatusIs(StatusCode::kDataLoss, "checksum does not match"));
  }
}

INSTANTIATE_TEST_SUITE_P(Sinks, SinkTest,
                         testing::Values(SinkKind{"number", 3, MakeNumberSink},
                                         SinkKind{"byte", 2, MakeByteSink},
                                         SinkKind{"mixing", 0, MakeMixingSink}),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

// --------------------------------------------------------- numbers that are
// none

class NumberCheckTest : public SinkTest {};

TEST_P(NumberCheckTest, RefusesNumbersThatAreNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity}) {
    for (size_t place = 2; place < 8; ++place) {
      ParameterVector numbers = numbers_->Clone();
      numbers.As<float>()[place] = bad;
      const Sink sink = Make();
      EXPECT_OK(
          Write(sink.sink.get(), payload_, 0, BytesOf(numbers).substr(0, 8)));
      EXPECT_THAT(
          Write(sink.sink.get(), payload_, 8, BytesOf(numbers).substr(8)),
          StatusIs(StatusCode::kInvalidArgument, "not a number"));
    }
  }
}

TEST_P(NumberCheckTest, RefusesAChunkThatEndsWithinANumber) {
  EXPECT_THAT(Write(Make().sink.get(), payload_, 0, sent_.substr(0, 14)),
              StatusIs(StatusCode::kInvalidArgument, "in whole numbers"));
}

INSTANTIATE_TEST_SUITE_P(Sinks, NumberCheckTest,
                         testing::Values(SinkKind{"number", 3, MakeNumberSink},
                                         SinkKind{"mixing", 0, MakeMixingSink}),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST(ByteSinkTest, EndsWithWhatItsTakerSays) {
  const std::string says = "no good: ";
  ByteSink sink(4, 2, [&says](const std::string& bytes) {
    return absl::InvalidArgumentError(says + bytes);
  });
  EXPECT_OK(Write(&sink, 2, 0, "abcd"));
  EXPECT_THAT(sink.Finish(),
              StatusIs(StatusCode::kInvalidArgument, "no good: abcd"));
}

// Every level is a number, and so is the scale, but not their product.
TEST(CompressorTest, Int8RefusesWhatBecomesInfinite) {
  const auto compressor = MakeCompressor(
      {.kind = "choco", .compressor = "int8"}, DType::kFloat32, 2);
  const float scale = std::numeric_limits<float>::max() / 2;
  std::string bytes(reinterpret_cast<const char*>(&scale), sizeof(scale));
  bytes += {1, 2};
  ParameterVector v(DType::kFloat32, 2);
  EXPECT_OK(compressor->Decode({}, bytes, &v));
  bytes.back() = 3;
  EXPECT_THAT(compressor->Decode({}, bytes, &v),
              StatusIs(StatusCode::kInvalidArgument, "infinite"));
}

// ------------------------------------------------------------------------
// mixing

// Three blocks and some: blocks are what is mixed at once.
constexpr int64_t kElements = 3 * 8192 + 1001;

struct Mixed {
  std::shared_ptr<ParameterVector> staged;
  Comparison compared;
};

template <typename T>
class MixingSinkTest : public testing::Test {
 protected:
  using Vector = std::shared_ptr<const ParameterVector>;

  // The edge with what a neighbour sent in chunks of so many elements, and its
  // pieces cut anywhere.
  Mixed Mix(bool flow, const v1::PeerBegin& begin, int64_t chunk_elements,
            double omega = 0.75) const {
    Mixed result;
    result.staged = std::make_shared<ParameterVector>(DTypeOf<T>(), kElements);
    MixingSink sink({.flow = flow,
                     .weight = 0.3,
                     .omega = omega,
                     .sent = sent_,
                     .mixed = mixed_,
                     .staged = result.staged});
    sink.Begin(begin);
    Rng rng(1, "cuts");
    const absl::string_view all = BytesOf(*theirs_);
    for (size_t at = 0; at < all.size(); at += chunk_elements * sizeof(T)) {
      const absl::string_view chunk =
          all.substr(at, chunk_elements * sizeof(T));
      const size_t cut = rng.Below(chunk.size() + 1);
      const absl::string_view pieces[] = {chunk.substr(0, cut),
                                          chunk.substr(cut)};
      EXPECT_OK(sink.Write({0, at, Checksum(chunk)}, pieces));
    }
    const auto bytes = sink.Finish();
    EXPECT_OK(bytes);
    EXPECT_EQ(bytes.value_or(0), all.size());
    // The vectors are let go of.
    EXPECT_EQ(result.staged.use_count(), 1);
    EXPECT_EQ(sent_.use_count(), 1);
    EXPECT_EQ(mixed_.use_count(), 1);
    result.compared = sink.compared();
    return result;
  }

  // Whether `staged` is mixed + w·(theirs − sent), or without `sent` for a
  // flow, to the last bit: with one rounding at the end, or with two on
  // machines that cannot do so.
  bool IsTheSum(const ParameterVector& staged, bool flow, double weight) const {
    const T w = static_cast<T>(weight);
    const auto theirs = theirs_->As<T>();
    const auto sent = sent_->As<T>(), mixed = mixed_->As<T>();
    bool once = true, twice = true;
    for (int64_t i = 0; i < kElements; ++i) {
      const T from = flow ? theirs[i] : theirs[i] - sent[i];
      volatile T product = w * from;  // rounded, whatever the compiler may do
      once = once && staged.As<T>()[i] == std::fma(w, from, mixed[i]);
      twice = twice && staged.As<T>()[i] == product + mixed[i];
    }
    return once || twice;
  }

  const Vector theirs_ = Noise<T>("theirs", kElements);
  const Vector sent_ = Noise<T>("sent", kElements);
  const Vector mixed_ = Noise<T>("mixed", kElements);
};

using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(MixingSinkTest, Numbers);

TYPED_TEST(MixingSinkTest, MakesTheSumToTheLastBitAndLeavesTheRest) {
  const uint64_t sent = this->sent_->Hash(), mixed = this->mixed_->Hash();
  for (const bool flow : {false, true}) {
    for (const double scale : {0.0, 1.0, 2.5}) {  // 0 is not said: 1
      v1::PeerBegin begin;
      begin.set_scale(scale);
      const Mixed got = this->Mix(flow, begin, 5000);
      const double weight = 0.3 * (scale == 0 ? 1 : scale);
      EXPECT_TRUE(this->IsTheSum(*got.staged, flow, weight)) << flow << scale;
      EXPECT_FALSE(this->IsTheSum(*got.staged, !flow, weight));
      EXPECT_FALSE(this->IsTheSum(*got.staged, flow, weight * 1.01));
    }
  }
  EXPECT_EQ(this->sent_->Hash(), sent);
  EXPECT_EQ(this->mixed_->Hash(), mixed);
}

TYPED_TEST(MixingSinkTest, IsTheSameHoweverThePayloadIsCut) {
  v1::PeerBegin begin;
  begin.set_weight(1.5);
  const Mixed whole = this->Mix(false, begin, kElements);
  for (const int64_t chunk : {100, 999, 8191, 8192, 8193, 20000, 25576}) {
    const Mixed cut = this->Mix(false, begin, chunk);
    EXPECT_EQ(BytesOf(*cut.staged), BytesOf(*whole.staged)) << chunk;
    EXPECT_EQ(cut.compared.squared_distance, whole.compared.squared_distance);
    EXPECT_EQ(cut.compared.sum_a, whole.compared.sum_a);
    EXPECT_EQ(cut.compared.sum_b, whole.compared.sum_b);
  }
}

TYPED_TEST(MixingSinkTest, ComparesTheModelsThatWereSent) {
  v1::PeerBegin begin;
  begin.set_weight(1.5);
  const auto theirs = this->theirs_->template As<TypeParam>();
  const auto sent = this->sent_->template As<TypeParam>();
  double squares = 0;
  for (int64_t i = 0; i < kElements; ++i) {
    squares += std::pow(theirs[i] / 1.5 - sent[i] / 0.75, 2);
  }
  const double sum_a = std::accumulate(theirs.begin(), theirs.end(), 0.0);
  const double sum_b = std::accumulate(sent.begin(), sent.end(), 0.0);
  for (const bool flow : {false, true}) {
    const Comparison got = this->Mix(flow, begin, 5000).compared;
    EXPECT_NEAR(got.squared_distance / squares, 1, 1e-12);
    EXPECT_NEAR(got.sum_a, sum_a, 1e-9);
    EXPECT_NEAR(got.sum_b, sum_b, 1e-9);
  }
}

TYPED_TEST(MixingSinkTest, SeesNoDistanceToWhoHasNoModel) {
  v1::PeerBegin begin;
  EXPECT_EQ(this->Mix(true, begin, 5000).compared.squared_distance, 0);
  begin.set_weight(1);
  EXPECT_EQ(this->Mix(true, begin, 5000, 0).compared.squared_distance, 0);
  EXPECT_GT(this->Mix(true, begin, 5000, 1).compared.squared_distance, 0);
}

}  // namespace
}  // namespace parley
