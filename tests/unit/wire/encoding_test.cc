#include "common/wire/encoding.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/wire/checksum.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

constexpr v1::Encoding kEncodings[] = {
    v1::ENCODING_FLOAT32, v1::ENCODING_FLOAT64, v1::ENCODING_BFLOAT16};

// What each encoding makes of one number, bit by bit.
double Rounded(double x, v1::Encoding encoding) {
  if (encoding == v1::ENCODING_FLOAT64) return x;
  const float f = static_cast<float>(x);
  if (encoding == v1::ENCODING_FLOAT32) return f;
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint32_t half = bits & 0xffff;
  uint32_t upper = bits >> 16;
  if (half > 0x8000 || (half == 0x8000 && upper % 2 == 1)) ++upper;
  return std::bit_cast<float>(upper << 16);
}

template <typename T>
void RoundTrip(v1::Encoding encoding, size_t misaligned_by) {
  Rng rng(7, "encoding");
  std::vector<T> x(5003);
  for (T& v : x) v = static_cast<T>(rng.Normal() * 1e-3);
  x[0] = 0;
  x[1] = T(1) + T(0x1p-8);  // halfway between two bfloat16
  const int64_t n = x.size();

  std::vector<char> bytes(n * EncodedSize(encoding) + 16);
  char* const at = bytes.data() + misaligned_by;
  Encode(DTypeOf<T>(), reinterpret_cast<const char*>(x.data()), n, encoding,
         at);
  std::vector<T> back(n);
  Decode(encoding, at, n, DTypeOf<T>(), reinterpret_cast<char*>(back.data()));
  for (int64_t i = 0; i < n; ++i) {
    ASSERT_EQ(back[i], static_cast<T>(Rounded(x[i], encoding))) << i;
  }

  EXPECT_TRUE(AllFinite(encoding, at, n));
  std::vector<double> sum(n, 1.0);
  FoldEncoded(encoding, 3.0, at, n, sum.data());
  for (int64_t i = 0; i < n; ++i) {
    ASSERT_NEAR(sum[i], 1.0 + 3.0 * static_cast<double>(back[i]), 1e-15) << i;
  }
}

TEST(EncodingTest, RoundTripsAndFoldsAtAnyAddress) {
  for (v1::Encoding encoding : kEncodings) {
    for (size_t misaligned_by : {0, 1, 3}) {
      SCOPED_TRACE(testing::Message() << encoding << " " << misaligned_by);
      RoundTrip<float>(encoding, misaligned_by);
      RoundTrip<double>(encoding, misaligned_by);
    }
  }
}

TEST(EncodingTest, IsLittleEndian) {
  const float one = 1.5f;
  char out[8];
  const auto encoded = [&](v1::Encoding encoding) {
    Encode(DType::kFloat32, reinterpret_cast<const char*>(&one), 1, encoding,
           out);
    return std::string(out, EncodedSize(encoding));
  };
  EXPECT_EQ(encoded(v1::ENCODING_FLOAT32), std::string("\0\0\xc0\x3f", 4));
  EXPECT_EQ(encoded(v1::ENCODING_FLOAT64),
            std::string("\0\0\0\0\0\0\xf8\x3f", 8));
  EXPECT_EQ(encoded(v1::ENCODING_BFLOAT16), std::string("\xc0\x3f", 2));
}

TEST(EncodingTest, FindsWhatIsNotFinite) {
  for (v1::Encoding encoding : kEncodings) {
    for (double bad : {std::numeric_limits<double>::infinity(),
                       -std::numeric_limits<double>::infinity(),
                       std::numeric_limits<double>::quiet_NaN()}) {
      for (size_t where : {0, 3333, 5002}) {
        std::vector<double> x(5003, 1.0);
        x[where] = bad;
        std::vector<char> bytes(x.size() * EncodedSize(encoding) + 1);
        for (size_t shift : {0, 1}) {
          Encode(DType::kFloat64, reinterpret_cast<const char*>(x.data()),
                 x.size(), encoding, bytes.data() + shift);
          EXPECT_FALSE(AllFinite(encoding, bytes.data() + shift, x.size()));
        }
      }
    }
  }
}

TEST(FiniteCheckTest, FindsWhatIsCutAnywhere) {
  const double numbers[] = {1, -2, 3, 4};
  for (v1::Encoding encoding : kEncodings) {
    const int64_t size = EncodedSize(encoding);
    for (int bad = -1; bad < 4; ++bad) {
      double x[4];
      std::copy(numbers, numbers + 4, x);
      if (bad >= 0) x[bad] = bad % 2 == 0 ? NAN : -INFINITY;
      std::string bytes(4 * size, '\0');
      Encode(DType::kFloat64, reinterpret_cast<const char*>(x), 4, encoding,
             bytes.data());
      const absl::string_view all = bytes;
      for (size_t first = 0; first <= all.size(); ++first) {
        for (size_t second = first; second <= all.size(); ++second) {
          FiniteCheck check(encoding);
          check.Add(all.substr(0, first));
          check.Add(all.substr(first, second - first));
          check.Add(all.substr(second));
          EXPECT_EQ(check.ok(), bad < 0) << first << " " << second;
        }
      }
    }
  }
}

TEST(EncodingTest, BeyondTheRangeBecomesInfinite) {
  const double huge = 1e300;
  char out[4];
  Encode(DType::kFloat64, reinterpret_cast<const char*>(&huge), 1,
         v1::ENCODING_FLOAT32, out);
  EXPECT_FALSE(AllFinite(v1::ENCODING_FLOAT32, out, 1));
}

TEST(EncodingTest, RefusesUnknownOnes) {
  for (v1::Encoding encoding : kEncodings) EXPECT_OK(CheckEncoding(encoding));
  EXPECT_THAT(
      CheckEncoding(static_cast<v1::Encoding>(77)),
      StatusIs(absl::StatusCode::kInvalidArgument, "ENCODING_BFLOAT16"));
  EXPECT_FALSE(CheckEncoding(v1::ENCODING_UNSPECIFIED).ok());
}

TEST(ChecksumTest, IsXxh3AndDoesNotDependOnTheCuts) {
  // Of the reference implementation, for no data.
  EXPECT_EQ(Checksum(absl::string_view()), 0x2d06800538d394c2u);
  std::string data;
  for (int i = 0; i < 100000; ++i) data.push_back(static_cast<char>(i * i));
  const absl::string_view view(data);
  EXPECT_EQ(
      Checksum({view.substr(0, 1), view.substr(1, 70000), view.substr(70001)}),
      Checksum(view));
  data[5000] ^= 1;
  EXPECT_NE(Checksum(view), Checksum(data.substr(1)));
}

}  // namespace
}  // namespace parley
