#include "common/data/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "common/data/csv_line.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/data/temp_files.h"

namespace parley {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(CsvLineTest, SplitsAsTheStandardSays) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> lines = {
      {"", {""}},
      {"a", {"a"}},
      {"a,b", {"a", "b"}},
      {",", {"", ""}},
      {"a,,b,", {"a", "", "b", ""}},
      {"\"a\",\"b c\"", {"a", "b c"}},
      {"\"a,b\",c", {"a,b", "c"}},
      {"\"say \"\"yes\"\"\",2", {"say \"yes\"", "2"}},
      {"\"\",\"\"\"\"", {"", "\""}},
      {" a b ,\t1\t", {"a b", "1"}},
      {"  \" a \"  ,b", {" a ", "b"}},
      {"   ", {""}},
  };
  std::vector<std::string> fields;
  for (const auto& [line, expected] : lines) {
    EXPECT_EQ(SplitCsvLine(line, &fields), "") << line;
    EXPECT_EQ(fields, expected) << line;
  }
}

TEST(CsvLineTest, SaysWhatIsWrong) {
  std::vector<std::string> fields;
  const auto wrong = [&](absl::string_view line) {
    return SplitCsvLine(line, &fields);
  };
  EXPECT_EQ(wrong("a,\"b"),
            "the quote of field 2 is not closed; a field may not go over the "
            "end of a line");
  EXPECT_EQ(wrong("\"a\"\""),
            "the quote of field 1 is not closed; a field may not go over the "
            "end of a line");
  EXPECT_EQ(wrong("\"a\"b,c"),
            "field 1 goes on after its closing quote; a quote within quotes is "
            "written twice");
  EXPECT_EQ(wrong("1,a\"b\""),
            "field 2 has a quote in it, but does not begin with one");
}

// A byte order mark, quotes, CRLF, empty lines, spaces, no end of the last
// line.
constexpr char kGood[] =
    "\xEF\xBB\xBF"
    "age,\"hospital, ward\", bmi ,ill,note\r\n"
    "\r\n"
    "50,north,+21.5,1,x\r\n"
    "\"61\",\"so\"\"uth\", -2e-3,0,\r\n"
    "  \r\n"
    "72,north,0,1,\"a, b\"";

CsvOptions Good(const std::string& path) {
  return {.path = path,
          .target = "ill",
          .ignore = {"note"},
          .group = "hospital, ward"};
}

TEST(CsvTest, ReadsFeaturesTargetsAndGroups) {
  TempFiles files;
  for (const std::string& path :
       {files.Write("plain", kGood), files.WriteGzip("packed", kGood)}) {
    ASSERT_OK_AND_ASSIGN(const Examples<double> e, LoadCsv<double>(Good(path)));
    EXPECT_FALSE(e.sparse);
    EXPECT_EQ(e.rows, 3);
    EXPECT_EQ(e.features, 2);
    EXPECT_THAT(e.dense, ElementsAre(50, 21.5, 61, -2e-3, 72, 0));
    EXPECT_THAT(e.target, ElementsAre(1, 0, 1));

    ASSERT_OK_AND_ASSIGN(const SourceTargets t, LoadCsvTargets(Good(path)));
    EXPECT_EQ(t.features, 2);
    EXPECT_THAT(t.columns, ElementsAre("age", "bmi"));
    EXPECT_THAT(t.values, ElementsAre(1, 0, 1));
    EXPECT_THAT(t.groups, ElementsAre(0, 1, 0));
    EXPECT_THAT(t.labels, IsEmpty());
    EXPECT_EQ(t.classes, 0);

    ASSERT_OK_AND_ASSIGN(const Examples<float> f, LoadCsv<float>(Good(path)));
    EXPECT_THAT(f.dense, ElementsAre(50, 21.5f, 61, -2e-3f, 72, 0));
  }
}

TEST(CsvTest, KeepsTheRowsAskedForAndChecksTheOthers) {
  TempFiles files;
  const std::string path = files.Write("a", kGood);
  const std::vector<int64_t> rows = {0, 2};
  ASSERT_OK_AND_ASSIGN(const Examples<float> e,
                       LoadCsv<float>(Good(path), RowFilter(rows)));
  EXPECT_EQ(e.rows, 2);
  EXPECT_THAT(e.dense, ElementsAre(50, 21.5f, 72, 0));
  EXPECT_THAT(e.target, ElementsAre(1, 1));
  const std::vector<int64_t> beyond = {0, 3};
  EXPECT_THAT(LoadCsv<float>(Good(path), RowFilter(beyond)),
              StatusIs(kInvalid, "row 3 is wanted of 3"));

  const std::string bad = files.Write("b", "x,y\n1,0\nx,1\n");
  const std::vector<int64_t> first = {0};
  EXPECT_THAT(LoadCsv<float>({.path = bad, .target = "y"}, RowFilter(first)),
              StatusIs(kInvalid, "b:3: column x: 'x' is not a number"));
  EXPECT_THAT(LoadCsvTargets({.path = bad, .target = "y"}),
              StatusIs(kInvalid, "b:3: column x: 'x' is not a number"));
}

TEST(CsvTest, RanksTextLabelsAlphabetically) {
  TempFiles files;
  const std::string path = files.Write(
      "iris", "x,kind\n1,virginica\n2,setosa\n3,versicolor\n4,setosa\n");
  const CsvOptions options = {.path = path, .target = "kind"};
  ASSERT_OK_AND_ASSIGN(const SourceTargets t, LoadCsvTargets(options));
  EXPECT_THAT(t.values, ElementsAre(2, 0, 1, 0));
  EXPECT_THAT(t.labels, ElementsAre("setosa", "versicolor", "virginica"));
  EXPECT_EQ(t.classes, 3);
  ASSERT_OK_AND_ASSIGN(const auto e, LoadCsv<float>(options));
  EXPECT_THAT(e.target, ElementsAre(2, 0, 1, 0));
  // A part with fewer labels numbers them as the whole file does.
  const std::vector<int64_t> rows = {0, 2};
  ASSERT_OK_AND_ASSIGN(const auto part,
                       LoadCsv<float>(options, RowFilter(rows)));
  EXPECT_THAT(part.target, ElementsAre(2, 1));
}

TEST(CsvTest, GoesWithAnotherSetByNameOfColumnsAndLabels) {
  TempFiles files;
  CsvOptions options = {
      .path = files.Write("a", "c,kind,extra,a\n1,q,free text,2\n3,p,,4\n"),
      .target = "kind"};
  options.columns = {"a", "c"};
  options.labels = {"o", "p", "q"};
  ASSERT_OK_AND_ASSIGN(const auto e, LoadCsv<float>(options));
  EXPECT_THAT(e.dense, ElementsAre(2, 1, 4, 3));
  EXPECT_THAT(e.target, ElementsAre(2, 1));
  ASSERT_OK_AND_ASSIGN(const auto t, LoadCsvTargets(options));
  EXPECT_EQ(t.classes, 3);

  options.labels = {"o", "p"};
  EXPECT_THAT(LoadCsv<float>(options),
              StatusIs(kInvalid,
                       "a:2: column kind: 'q' is a label that the training set "
                       "does not have"));
  options.labels.emplace();
  EXPECT_THAT(LoadCsv<float>(options),
              StatusIs(kInvalid, "a:2: column kind: 'q' is not a number"));
  options.columns = {"a", "b"};
  EXPECT_THAT(LoadCsv<float>(options),
              StatusIs(kInvalid, "a:1: the header has no column b; it has c"));
  options.columns = {"a", "c"};
  options.ignore = {"c"};
  EXPECT_THAT(LoadCsv<float>(options),
              StatusIs(kInvalid, "a:1: column c is a feature of the set that"));
}

TEST(CsvTest, OrdersGroupsByNumberWhereAllAreNumbers) {
  TempFiles files;
  const auto groups = [&](const std::string& values) {
    const auto t = LoadCsvTargets({.path = files.Write("a", "x,y,g\n" + values),
                                   .target = "y",
                                   .group = "g"});
    EXPECT_OK(t);
    return t.ok() ? t->groups : std::vector<int64_t>();
  };
  EXPECT_THAT(groups("1,0,10\n1,0,9\n1,0,-3\n1,0,9\n"),
              ElementsAre(2, 1, 0, 1));
  EXPECT_THAT(groups("1,0,10\n1,0,9\n1,0,x\n1,0,9\n"), ElementsAre(0, 1, 2, 1));
  // Different texts are different groups, whatever number they are.
  EXPECT_THAT(groups("1,0,2.0\n1,0,02\n1,0,1\n1,0,2.0\n"),
              ElementsAre(2, 1, 0, 2));
  EXPECT_THAT(groups("1,0,nan\n1,0,2\n1,0,nan\n1,0,inf\n"),
              ElementsAre(2, 0, 2, 1));
}

TEST(CsvTest, TheTargetMayTellTheGroup) {
  TempFiles files;
  ASSERT_OK_AND_ASSIGN(
      const SourceTargets t,
      LoadCsvTargets({.path = files.Write("a", "x,y\n1,7\n2,5\n"),
                      .target = "y",
                      .group = "y"}));
  EXPECT_THAT(t.groups, ElementsAre(1, 0));
  EXPECT_THAT(t.columns, ElementsAre("x"));
}

struct Wrong {
  std::string text;
  std::string message;
};

TEST(CsvTest, NamesWhatIsWrongWithALine) {
  TempFiles files;
  for (const Wrong& wrong : std::vector<Wrong>{
           {"1,2,g", "has 3 fields, but the header names 4 columns"},
           {"1,2,g,0,", "has 5 fields, but the header names 4 columns"},
           {",2,g,0", "column a is empty, but no value may be missing"},
           {"1,\"\",g,0", "column b is empty, but no value may be missing"},
           {"1,2, ,0", "column g is empty, but no value may be missing"},
           {"1,2,g,", "column y is empty, but no value may be missing"},
           {"NA,2,g,0", "column a: 'NA' is not a number"},
           {"1,?,g,0", "column b: '?' is not a number"},
           {"1,0x10,g,0", "column b: '0x10' is not a number"},
           {"1,1 2,g,0", "column b: '1 2' is not a number"},
           {"1,\" 2\",g,0", "column b: ' 2' is not a number"},
           {"1,NaN,g,0", "column b: 'NaN' is not finite"},
           {"1,-inf,g,0", "column b: '-inf' is not finite"},
           {"1,1e39,g,0", "column b: '1e39' is out of range"},
           {"1,1e999,g,0", "column b: '1e999' is out of range"},
           {"1,2,g,x", "column y: 'x' is not a number"},
           {"1,2,g,nan", "column y: 'nan' is not finite"},
           {"1,2,g,1e39", "column y: '1e39' is out of range"},
           {"1,2,\"g,0", "the quote of field 3 is not closed"},
           {"1,2\",g,0", "field 2 has a quote in it"},
           {absl::StrCat(std::string(500, 'x'), ",2,g,0"),
            absl::StrCat("column a: '", std::string(40, 'x'),
                         "' is not a number")}}) {
    const CsvOptions options = {
        .path = files.Write("a", absl::StrCat("a,b,g,y\n1,2,g,0\n\n",
                                              wrong.text, "\n1,2,g,0\n")),
        .target = "y",
        .group = "g"};
    const auto got = LoadCsv<float>(options);
    EXPECT_EQ(got.status().code(), kInvalid) << wrong.text;
    EXPECT_THAT(
        std::string(got.status().message()),
        testing::StartsWith(absl::StrCat(options.path, ":4: ", wrong.message)));
  }
}

TEST(CsvTest, TextLabelsMustAllBeText) {
  TempFiles files;
  for (const char* number : {"3", "-1e3", "nan", "inf"}) {
    EXPECT_THAT(
        LoadCsvTargets({.path = files.Write(
                            "a", absl::StrCat("x,y\n1,ill\n2,", number, "\n")),
                        .target = "y"}),
        StatusIs(kInvalid, absl::StrCat("a:3: column y: '", number,
                                        "' is a number, but the first target "
                                        "is text")));
  }
}

TEST(CsvTest, NamesWhatIsWrongWithTheHeader) {
  TempFiles files;
  const auto load = [&](const std::string& text, const std::string& target,
                        const std::vector<std::string>& ignore = {},
                        const std::string& group = "") {
    return LoadCsv<float>({.path = files.Write("a", text),
                           .target = target,
                           .ignore = ignore,
                           .group = group});
  };
  EXPECT_THAT(load("age,bmi,ill\n1,2,0\n", "il"),
              StatusIs(kInvalid,
                       "a:1: the header has no column il; did you mean ill? It "
                       "has age, bmi, ill"));
  EXPECT_THAT(load("age,bmi,ill\n1,2,0\n", "ill", {"number"}),
              StatusIs(kInvalid,
                       "a:1: the header has no column number; it has age, bmi, "
                       "ill"));
  EXPECT_THAT(load("age,bmi,ill\n1,2,0\n", "ill", {}, "agee"),
              StatusIs(kInvalid, "no column agee; did you mean age?"));
  EXPECT_THAT(load("age,bmi,age,ill\n1,2,1,0\n", "ill"),
              StatusIs(kInvalid, "a:1: two columns are named age"));
  EXPECT_THAT(load(",age,ill\n1,2,0\n", "ill"),
              StatusIs(kInvalid, "a:1: column 1 has no name"));
  EXPECT_THAT(load("\n\n\"age,ill\n1,2\n", "ill"),
              StatusIs(kInvalid, "a:3: the quote of field 1 is not closed"));
  EXPECT_THAT(load("age,ill\n1,2\n", "ill", {"age"}),
              StatusIs(kInvalid, "a:1: no column is left for the features"));
  for (const char* empty : {"", "\n", " \r\n\n"}) {
    EXPECT_THAT(load(empty, "ill"), StatusIs(kInvalid,
                                             "a: is empty; its first "
                                             "line must name"));
  }
  EXPECT_THAT(load("age,ill\n\n", "ill"),
              StatusIs(kInvalid, "a: holds no rows"));
  EXPECT_THAT(LoadCsv<float>({.path = files.Path("none"), .target = "y"}),
              StatusIs(absl::StatusCode::kNotFound, "none"));
}

TEST(CsvTest, NumbersComeBackExactly) {
  TempFiles files;
  Rng rng(4, "numbers");
  std::string text = "x,y\n";
  std::vector<double> xs, ys;
  for (int i = 0; i < 2000; ++i) {
    xs.push_back(rng.Normal() * std::pow(10, rng.Normal() * 20));
    ys.push_back(rng.Normal());
    char line[64];
    snprintf(line, sizeof line, "%.17g,%.17g\n", xs.back(), ys.back());
    text += line;
  }
  ASSERT_OK_AND_ASSIGN(
      const auto read,
      LoadCsv<double>({.path = files.Write("a", text), .target = "y"}));
  EXPECT_EQ(read.dense, xs);
  EXPECT_EQ(read.target, ys);
}

TEST(CsvTest, DamagedFilesAreReadOrRefused) {
  TempFiles files;
  int read = 0, refused = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    Rng rng(1, "", trial, "damage");
    std::string text = kGood;
    for (uint64_t n = 1 + rng.Below(4); n > 0; --n) {
      const size_t at = rng.Below(text.size());
      constexpr char kBytes[] = ",\"\n\r 1x\0\xff";
      if (rng.Below(2) == 0) {
        text[at] = kBytes[rng.Below(sizeof kBytes - 1)];
      } else {
        text.erase(at, rng.Below(9));
      }
      if (text.empty()) text = "x";
    }
    const auto e = LoadCsv<float>(Good(files.Write("a", text)));
    if (e.ok()) {
      ++read;
      ASSERT_EQ(e->dense.size(), static_cast<size_t>(e->rows * e->features));
      ASSERT_EQ(e->target.size(), static_cast<size_t>(e->rows));
    } else {
      ++refused;
      ASSERT_EQ(e.status().code(), kInvalid);
    }
  }
  EXPECT_GT(read, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace parley
