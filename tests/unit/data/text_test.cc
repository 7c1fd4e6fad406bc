#include "common/data/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "common/base/random.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/data/temp_files.h"

namespace parley {
namespace {

using testing::ElementsAre;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(TextTest, PredictsTheNextCharacter) {
  TempFiles files;
  for (const std::string& path : {files.Write("plain", "hello\nho"),
                                  files.WriteGzip("packed", "hello\nho")}) {
    const TextOptions options = {.path = path, .context = 3};
    // The alphabet: \n 0, e 1, h 2, l 3, o 4.
    ASSERT_OK_AND_ASSIGN(const Examples<float> e, LoadText<float>(options));
    EXPECT_FALSE(e.sparse);
    EXPECT_EQ(e.rows, 5);
    EXPECT_EQ(e.features, 3);
    EXPECT_THAT(e.dense, ElementsAre(2, 1, 3,  // hel
                                     1, 3, 3,  // ell
                                     3, 3, 4,  // llo
                                     3, 4, 0,  // lo\n
                                     4, 0, 2));
    EXPECT_THAT(e.target, ElementsAre(3, 4, 0, 2, 4));
    ASSERT_OK_AND_ASSIGN(const SourceTargets t, LoadTextTargets(options));
    EXPECT_EQ(t.features, 3);
    EXPECT_EQ(t.classes, 5);
    EXPECT_THAT(t.labels, ElementsAre("\n", "e", "h", "l", "o"));
    EXPECT_THAT(t.values, ElementsAre(3, 4, 0, 2, 4));
    ASSERT_OK_AND_ASSIGN(const auto wide, LoadText<double>(options));
    EXPECT_THAT(wide.target, ElementsAre(3, 4, 0, 2, 4));
  }
}

TEST(TextTest, StridesOverExamples) {
  TempFiles files;
  const std::string path = files.Write("a", "abcdefgh");
  const auto targets = [&](int64_t context, int64_t stride) {
    const TextOptions options = {path, context, stride};
    const auto e = LoadText<float>(options);
    const auto t = LoadTextTargets(options);
    EXPECT_OK(e);
    EXPECT_OK(t);
    if (!e.ok() || !t.ok()) return std::string();
    EXPECT_EQ(std::vector<double>(e->target.begin(), e->target.end()),
              t->values);
    EXPECT_EQ(e->rows, static_cast<int64_t>(e->target.size()));
    // In this text a window's features count up to its target.
    for (int64_t row = 0; row < e->rows; ++row) {
      for (int64_t k = 0; k < context; ++k) {
        EXPECT_EQ(e->dense[row * context + k], e->target[row] - context + k);
      }
    }
    return absl::StrJoin(t->values, " ");
  };
  EXPECT_EQ(targets(2, 1), "2 3 4 5 6 7");
  EXPECT_EQ(targets(2, 2), "2 4 6");
  EXPECT_EQ(targets(2, 5), "2 7");
  EXPECT_EQ(targets(2, 6), "2");
  EXPECT_EQ(targets(7, 1), "7");
  EXPECT_EQ(targets(3, 1000000000), "3");
}

TEST(TextTest, KeepsTheRowsAskedFor) {
  TempFiles files;
  const TextOptions options = {files.Write("a", "cabbage"), 2, 2};
  // The alphabet: a 0, b 1, c 2, e 3, g 4; examples ca-b, bb-a, ag-e.
  const std::vector<int64_t> rows = {0, 2};
  ASSERT_OK_AND_ASSIGN(const auto e, LoadText<float>(options, RowFilter(rows)));
  EXPECT_EQ(e.rows, 2);
  EXPECT_THAT(e.dense, ElementsAre(2, 0, 0, 4));
  EXPECT_THAT(e.target, ElementsAre(1, 3));
  const std::vector<int64_t> beyond = {3};
  EXPECT_THAT(LoadText<float>(options, RowFilter(beyond)),
              StatusIs(kInvalid, "row 3 is wanted of 3"));
}

TEST(TextTest, TakesAnAlphabet) {
  TempFiles files;
  // In any order, and each byte once or more.
  const TextOptions options = {files.Write("a", "bad"), 2, 1, "zdcbadda"};
  ASSERT_OK_AND_ASSIGN(const auto e, LoadText<float>(options));
  EXPECT_THAT(e.dense, ElementsAre(1, 0));
  EXPECT_THAT(e.target, ElementsAre(3));
  ASSERT_OK_AND_ASSIGN(const auto t, LoadTextTargets(options));
  EXPECT_EQ(absl::StrJoin(t.labels, ""), "abcdz");
  EXPECT_EQ(t.classes, 5);
}

TEST(TextTest, TextIsBytes) {
  TempFiles files;
  std::string all;
  for (int i = 255; i >= 0; --i) all.push_back(static_cast<char>(i));
  const TextOptions options = {files.Write("a", all), 255};
  ASSERT_OK_AND_ASSIGN(const auto e, LoadText<float>(options));
  for (int i = 0; i < 255; ++i) ASSERT_EQ(e.dense[i], 255 - i);
  EXPECT_THAT(e.target, ElementsAre(0));
  // Two bytes of UTF-8 are two characters.
  ASSERT_OK_AND_ASSIGN(
      const auto t,
      LoadTextTargets({files.Write("b", "\xC3\xA9t\xC3\xA9"), 1}));
  EXPECT_THAT(t.labels, ElementsAre("t", "\xA9", "\xC3"));
  EXPECT_THAT(t.values, ElementsAre(1, 0, 2, 1));
}

TEST(TextTest, NamesTheCharacterThatIsNotInTheAlphabet) {
  TempFiles files;
  const auto load = [&](const std::string& text) {
    const TextOptions options = {files.Write("a", text), 2, 1, "ab\n"};
    EXPECT_EQ(LoadText<float>(options).status(),
              LoadTextTargets(options).status());
    return LoadText<float>(options);
  };
  EXPECT_OK(load("abab\nba"));
  EXPECT_THAT(load("abab\nba\naXb\nY"),
              StatusIs(kInvalid,
                       "a:3: the character \"X\" (byte 88) is none of the 3 of "
                       "the alphabet"));
  EXPECT_THAT(load("ab\t"),
              StatusIs(kInvalid, "a:1: the character \"\\t\" (byte 9)"));
  EXPECT_THAT(load("ab\n\xff"),
              StatusIs(kInvalid, "a:2: the character \"\\377\" (byte 255)"));
}

TEST(TextTest, RefusesWhatDoesNotDo) {
  TempFiles files;
  const std::string path = files.Write("a", "abc");
  EXPECT_THAT(
      LoadText<float>({path, 3}),
      StatusIs(kInvalid, "a: has 3 bytes, but the first example takes 4"));
  EXPECT_THAT(LoadText<float>({files.Write("b", ""), 1}),
              StatusIs(kInvalid, "has 0 bytes"));
  for (const int64_t context : {-1, 0, 65537}) {
    EXPECT_THAT(LoadText<float>({path, context}),
                StatusIs(kInvalid, "context is "));
  }
  for (const int64_t stride : {-1, 0}) {
    EXPECT_THAT(LoadText<float>({path, 1, stride}),
                StatusIs(kInvalid, "stride is "));
  }
  EXPECT_THAT(LoadText<float>({files.Path("none"), 1}),
              StatusIs(absl::StatusCode::kNotFound, "none"));
}

TEST(TextTest, ReadsFilesOfManyBlocks) {
  TempFiles files;
  Rng rng(1, "text");
  std::string text(3 << 20, 'a');
  for (char& c : text) c = static_cast<char>('a' + rng.Below(26));
  const TextOptions options = {files.WriteGzip("a", text), 4, 1000};
  ASSERT_OK_AND_ASSIGN(const auto e, LoadText<float>(options));
  ASSERT_EQ(e.rows, ((3 << 20) - 5) / 1000 + 1);
  for (int64_t row = 0; row < e.rows; ++row) {
    ASSERT_EQ(e.target[row], text[row * 1000 + 4] - 'a');
  }
}

}  // namespace
}  // namespace parley
