#include "common/base/json.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

TEST(JsonTest, WritesEveryKind) {
  Json list = Json::Array();
  list.Add(Json()).Add(true).Add(false).Add(-3).Add(0.1).Add("text");
  Json object = Json::Object();
  object.Set("list", std::move(list)).Set("empty", Json::Object());
  object.Set("none", std::optional<double>());
  EXPECT_EQ(object.ToString(),
            R"({"list":[null,true,false,-3,0.1,"text"],"empty":{},)"
            R"("none":null})");
}

TEST(JsonTest, EscapesWhatMustBe) {
  const std::string text("a\"b\\c\nd\te\x01 \xC3\xA9 \xFF \xE2\x82", 18);
  EXPECT_EQ(Json(text).ToString(),
            "\"a\\\"b\\\\c\\nd\\te\\u0001 \xC3\xA9 \xEF\xBF\xBD "
            "\xEF\xBF\xBD\xEF\xBF\xBD\"");
  EXPECT_EQ(Json(std::string(1, '\0')).ToString(), "\"\\u0000\"");
}

TEST(JsonTest, NumbersThatAreNoneBecomeNull) {
  EXPECT_EQ(Json(std::nan("")).ToString(), "null");
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).ToString(), "null");
}

TEST(JsonTest, DoublesReadBackBitForBit) {
  Rng rng(7, "json");
  for (int i = 0; i < 20000; ++i) {
    const uint64_t bits = rng.Next();
    double value;
    std::memcpy(&value, &bits, sizeof(value));
    if (!std::isfinite(value)) continue;
    ASSERT_OK_AND_ASSIGN(const Json json, Json::Parse(Json(value).ToString()));
    const std::optional<double> back = json.AsDouble();
    ASSERT_TRUE(back.has_value()) << value;
    ASSERT_EQ(std::memcmp(&*back, &value, sizeof(value)), 0) << value;
  }
}

TEST(JsonTest, IntegersAreExact) {
  const uint64_t most = std::numeric_limits<uint64_t>::max();
  ASSERT_OK_AND_ASSIGN(const Json json, Json::Parse(Json(most).ToString()));
  EXPECT_EQ(json.AsUint64(), most);
  EXPECT_EQ(json.AsInt64(), std::nullopt);
  EXPECT_EQ(Json(-1).AsUint64(), std::nullopt);
  EXPECT_EQ(Json(1.5).AsInt64(), std::nullopt);
}

TEST(JsonTest, ReadsWhatOthersWrite) {
  ASSERT_OK_AND_ASSIGN(
      const Json json,
      Json::Parse(" { \"a\" : [ 1 , -2.5E+3 , \"\\u00e9\\ud83d\\ude00\\/\" ] "
                  ", \"b\" : { } , \"c\":null }\r\n"));
  ASSERT_NE(json.Find("a"), nullptr);
  const std::vector<Json>& items = json.Find("a")->items();
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].AsInt64(), 1);
  EXPECT_EQ(items[1].AsDouble(), -2500);
  EXPECT_EQ(*items[2].AsString(), "\xC3\xA9\xF0\x9F\x98\x80/");
  EXPECT_TRUE(json.Find("b")->is_object());
  EXPECT_TRUE(json.Find("c")->is_null());
  EXPECT_EQ(json.Find("d"), nullptr);
}

TEST(JsonTest, RefusesWhatIsNotJson) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[",
                           "[1,]",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{\"a\" 1}",
                           "01",
                           "+1",
                           "1.",
                           ".5",
                           "1e",
                           "nul",
                           "True",
                           "NaN",
                           "\"a",
                           "\"\\x\"",
                           "\"\\u12g4\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "\"\n\"",
                           "\"\xFF\"",
                           "\"\xC0\x80\"",
                           "\"\xED\xA0\x80\"",
                           "1 2",
                           "[1]]",
                           "{\"a\":1,\"a\":2}",
                           "// 1\n1",
                           "-"}) {
    EXPECT_THAT(Json::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument, "not JSON"))
        << text;
  }
  EXPECT_THAT(Json::Parse(std::string(100000, '[')),
              StatusIs(absl::StatusCode::kInvalidArgument, "levels"));
  EXPECT_OK(Json::Parse(
      absl::StrCat(std::string(60, '['), "1", std::string(60, ']'))));
}

}  // namespace
}  // namespace parley
