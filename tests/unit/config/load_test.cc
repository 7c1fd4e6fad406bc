#include "common/config/load.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/config/defaults.h"
#include "common/config/validate.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/config/run_errors.h"

namespace parley {
namespace {

using ::google::protobuf::util::MessageDifferencer;

TEST(LoadTest, AWrongValueIsReportedOnceAndNotWhatItDoesNotGoWith) {
  const auto lines = [](const std::string& errors) {
    return std::count(errors.begin(), errors.end(), '\n') + 1;
  };
  const std::pair<const char*, const char*> wrong[] = {
      {"parts: 4", "parts: 0"},
      {"parts: 4", "parts: 2000000"},
      {"model { softmax {} }", "model { softmax {} classes: 1 }"},
      {"model { softmax {} }", "model { logistic {} classes: 0 }"},
      {"features: 5 } }",
       "features: 5 classes: 1 } } test { mixture { rows: 9 features: 5 } }"},
      {"initial: 0.1", "initial: 0.1 step_decay { at_rounds: [3, 0] }"},
      {"stop {", "limits { clients: 0 } stop {"},
      {"stop {", "cohort { min: 2000000 } stop {"},
  };
  for (const auto& [from, to] : wrong) {
    const std::string errors = ErrorsWith(from, to);
    EXPECT_EQ(lines(errors), 1) << errors;
    EXPECT_NE(errors.find("must be >="), std::string::npos) << errors;
  }
}

TEST(LoadTest, FillsEveryDefaultIn) {
  ASSERT_OK_AND_ASSIGN(const v1::RunConfig config,
                       LoadRunText(kGood, "runs/my first.textproto"));
  EXPECT_EQ(config.name(), "my-first");
  EXPECT_EQ(config.seed(), 1u);
  EXPECT_EQ(config.precision(), v1::FLOAT32);
  EXPECT_TRUE(config.model().softmax().bias());
  EXPECT_EQ(config.data().train().mixture().classes(), 2);
  EXPECT_EQ(config.data().train().mixture().separation(), 3);
  EXPECT_EQ(config.data().train().mixture().noise(), 1);
  EXPECT_TRUE(config.data().partition().has_iid());
  EXPECT_EQ(config.local().sgd().batch_size(), 32);
  EXPECT_EQ(config.local().sgd().epochs(), 1);
  EXPECT_TRUE(config.local().step_size().has_constant());
  EXPECT_TRUE(config.aggregation().has_fed_avg());
  EXPECT_EQ(config.aggregation().plain().step_size(), 1);
  EXPECT_EQ(config.cohort().fraction(), 1);
  EXPECT_EQ(config.cohort().min(), 4);
  EXPECT_EQ(config.cohort().max(), 0);
  EXPECT_EQ(config.cohort().quorum(), 1);
  EXPECT_EQ(config.cohort().too_few(), v1::Cohort::WAIT);
  EXPECT_EQ(config.evaluation().every(), 1);
  EXPECT_TRUE(config.evaluation().has_central());
  EXPECT_FALSE(config.evaluation().central());
  EXPECT_FALSE(config.evaluation().federated());
  EXPECT_TRUE(config.start().has_random());
  EXPECT_EQ(config.wire().down(), v1::ENCODING_FLOAT32);
  EXPECT_EQ(config.checkpoints().every(), 10);
  EXPECT_EQ(config.checkpoints().keep(), 2);
  EXPECT_EQ(config.limits().lease_seconds(), 15);
  EXPECT_EQ(config.limits().staging_bytes(), 64 << 20);
  EXPECT_EQ(config.limits().staging_disk_bytes(), int64_t{8} << 30);
  EXPECT_EQ(config.limits().transfers(), 4);
  EXPECT_EQ(config.limits().clients(), 10000);
  EXPECT_EQ(config.limits().max_weight(), 1e9);
}

TEST(LoadTest, KeepsWhatIsWritten0) {
  ASSERT_OK_AND_ASSIGN(
      const v1::RunConfig config,
      LoadRunText(absl::StrCat(kGood,
                               "evaluation { every: 0 }\n"
                               "aggregation { momentum { momentum: 0 } }\n"),
                  "x.textproto"));
  EXPECT_EQ(config.evaluation().every(), 0);
  EXPECT_EQ(config.aggregation().momentum().momentum(), 0);
  EXPECT_EQ(config.aggregation().momentum().step_size(), 1);
}

TEST(LoadTest, FilledTextReadsBackTheSame) {
  for (const char* more :
       {"", "precision: FLOAT64 name: \"a\"", "start { zeros {} }",
        "aggregation { trimmed_mean {} adam {} }",
        "round_values { name: \"x\" initial: 0.1 }"}) {
    ASSERT_OK_AND_ASSIGN(const v1::RunConfig config,
                         LoadRunText(absl::StrCat(kGood, more), "x.textproto"));
    ASSERT_OK_AND_ASSIGN(const v1::RunConfig again,
                         LoadRunText(PrintRun(config), "y.textproto"));
    EXPECT_TRUE(MessageDifferencer::Equals(config, again)) << more;
    v1::RunConfig twice = config;
    FillDefaults(&twice);
    EXPECT_TRUE(MessageDifferencer::Equals(config, twice)) << more;
    EXPECT_OK(CheckRun(config));
  }
}

TEST(LoadTest, AnEmptyFileLacksAllThatIsRequired) {
  EXPECT_EQ(
      ErrorsOf(""),
      "x.textproto: model is missing: must have one of "
      "linear_regression, logistic, softmax, mlp, cnn, embedding_mlp, custom\n"
      "x.textproto: local is missing: must have gd or sgd, and "
      "step_size\n"
      "x.textproto: cohort.min is missing: must say how many clients a "
      "round waits for where there is no data.train\n"
      "x.textproto: stop.rounds is missing: must be >= 1");
}

TEST(LoadTest, NamesTheLineOfAValueOutOfRange) {
  EXPECT_EQ(ErrorsAdding("cohort {\n\n  quorum: 1.5\n}\n"),
            "x.textproto:10: cohort.quorum is 1.5: must be > 0 and <= 1");
  EXPECT_EQ(ErrorsAdding("cohort { quorum: 0 }"),
            "x.textproto:8: cohort.quorum is 0: must be > 0 and <= 1");
  EXPECT_EQ(ErrorsAdding("data { held_out: nan }"),
            "x.textproto:8: Non-repeated field \"data\" is specified multiple "
            "times.");
  EXPECT_EQ(ErrorsWith("  partition", "  held_out: nan partition"),
            "x.textproto:4: data.held_out is nan: must be >= 0 and < 1");
  EXPECT_EQ(ErrorsWith("initial: 0.1", "initial: inf"),
            "x.textproto:6: local.step_size.initial is inf: must be > 0 and "
            "finite");
  EXPECT_EQ(ErrorsWith("rounds: 3", "rounds: 0"),
            "x.textproto:7: stop.rounds is 0: must be >= 1 and <= 1000000000");
  EXPECT_EQ(ErrorsAdding("precision: 7"),
            "x.textproto:8: precision is 7: must be one of FLOAT32, FLOAT64");
  EXPECT_EQ(ErrorsAdding("name: \"a/b\""),
            "x.textproto:8: name is \"a/b\": must be 1 to 64 of A-Z a-z 0-9 . "
            "_ -, the first no dot");
  EXPECT_NE(ErrorsAdding("name: \"..\""), "");
}

TEST(LoadTest, NamesTheElementOfAList) {
  EXPECT_EQ(ErrorsWith("softmax {}", "mlp {\n  hidden: [8,\n   0] }"),
            "x.textproto:2: model.mlp.hidden[1] is 0: must be >= 1 and <= "
            "65536");
  EXPECT_EQ(ErrorsWith("softmax {}", "mlp {\n  hidden: 8\n  hidden: -1 }"),
            "x.textproto:3: model.mlp.hidden[1] is -1: must be >= 1 and <= "
            "65536");
  EXPECT_EQ(ErrorsAdding("round_values { name: \"a\" }\n"
                         "round_values { name: \"B\" }\n"
                         "round_values {\n name: \"a\" }\n"),
            "x.textproto:9: round_values[1].name is \"B\": must be lower-case "
            "letters, digits and _, the first a letter\n"
            "x.textproto:11: round_values[2].name is \"a\": must not be there "
            "twice");
}

TEST(LoadTest, ChecksTags) {
  EXPECT_EQ(ErrorsAdding("tags: \"sweep-1.a_B\""), "");
  EXPECT_EQ(ErrorsAdding("tags: [\"a\", \"b c\"]"),
            "x.textproto:8: tags[1] is \"b c\": must be 1 to 64 of A-Z a-z 0-9 "
            ". _ -");
  EXPECT_NE(ErrorsAdding("tags: \"\""), "");
  EXPECT_NE(ErrorsAdding(absl::StrCat("tags: \"", std::string(65, 'x'), "\"")),
            "");
  std::string many;
  for (int i = 0; i < 17; ++i) absl::StrAppend(&many, "tags: 't' ");
  EXPECT_EQ(ErrorsAdding(many),
            "x.textproto:8: tags has 17 entries: must have at most 16");
}

TEST(LoadTest, OverridesMayStartAtAFolderOfTheirOwn) {
  ASSERT_OK_AND_ASSIGN(
      const v1::RunConfig config,
      LoadRunText(kGood, "/files/x.textproto",
                  {"data.train={libsvm {path: \"a.svm\"}}"}, "/elsewhere"));
  EXPECT_EQ(config.data().train().libsvm().path(), "/elsewhere/a.svm");
}

TEST(LoadTest, MissingFieldsHaveTheLineOfTheMessageAroundThem) {
  EXPECT_EQ(ErrorsWith("rounds: 3", ""),
            "x.textproto:7: stop.rounds is missing: must be >= 1 and <= "
            "1000000000");
  EXPECT_EQ(
      ErrorsWith("softmax {}", ""),
      "x.textproto:1: model is missing: must have one of "
      "linear_regression, logistic, softmax, mlp, cnn, embedding_mlp, custom");
  EXPECT_EQ(
      ErrorsWith("sgd {} ", ""),
      "x.textproto:6: local is missing: must have one of gd, sgd, exact_prox");
  EXPECT_EQ(ErrorsWith("mixture { rows: 100 features: 5 }", "libsvm {}"),
            "x.textproto:3: data.train.libsvm.path is missing: must not be "
            "empty");
  EXPECT_EQ(
      ErrorsWith("mixture { rows: 100 features: 5 }", "idx { images: \"a\" }"),
      "x.textproto:3: data.train.idx.labels is missing: must not be "
      "empty");
  EXPECT_EQ(ErrorsWith("parts: 4", "dirichlet {}"),
            "x.textproto:4: data.partition.dirichlet.alpha is missing: must be "
            ">= 1e-06 and <= 1000000000");
  EXPECT_EQ(ErrorsWith("initial: 0.1", "step_decay {} initial: 1"),
            "x.textproto:6: local.step_size.step_decay.at_rounds is missing: "
            "must list at least one round");
  EXPECT_EQ(ErrorsWith("softmax {}", "custom { name: \"m\" }"),
            "x.textproto:1: model.custom.spec.tensors is missing: must list "
            "the parameters of a custom model, or start.file be a "
            ".safetensors or .npz with them");
}

TEST(LoadTest, UnknownNamesAreErrorsWithASuggestion) {
  EXPECT_EQ(ErrorsAdding("cohort { quorm: 1 }"),
            "x.textproto:8: Cohort has no field quorm; did you mean quorum? It "
            "has fraction, min, max, over_selection, deadline_seconds, quorum, "
            "too_few");
  EXPECT_EQ(ErrorsAdding("checkpoints { xyz { a: 1 } }"),
            "x.textproto:8: Checkpoints has no field xyz; it has every, keep");
  EXPECT_EQ(ErrorsWith("softmax {}", "mlp { activation: RELO }"),
            "x.textproto:1: Mlp.Activation has no value RELO; did you mean "
            "RELU? It has RELU, TANH");
}

TEST(LoadTest, ReportsAllErrorsAtOnce) {
  constexpr char kText[] = R"(model { softmax {} }
data {
  train { mixture { rows: 100 features: "five" } }
  partition { part: 4 }
}
lokal { sgd {} }
local { sgd { batch_size: -1 } step_size { initial: 0.1 } }
precision: FLOAT16
stop { rounds: 0 }
)";
  EXPECT_EQ(ErrorsOf(kText, {"cohort.quorum=1.5", "cohort.foo=1"}),
            "x.textproto:3: Expected integer, got: \"five\"\n"
            "x.textproto:4: Partition has no field part; did you mean parts? "
            "It has parts, iid, dirichlet, shards, power_law, index_file, "
            "by_column, feature_shift\n"
            "x.textproto:6: RunConfig has no field lokal; did you mean local? "
            "It has name, model, data, local, aggregation, cohort, evaluation, "
            "stop, start, seed, precision, wire, round_values, checkpoints, "
            "limits, tags, diagnostics, gossip\n"
            "x.textproto:7: local.sgd.batch_size is -1: must be >= 1 and <= "
            "1000000000\n"
            "x.textproto:8: DType has no value FLOAT16; did you mean FLOAT32? "
            "It has FLOAT32, FLOAT64\n"
            "x.textproto:9: stop.rounds is 0: must be >= 1 and <= 1000000000\n"
            "--set cohort.foo=1: Cohort has no field foo; it has fraction, "
            "min, max, over_selection, deadline_seconds, quorum, too_few\n"
            "--set cohort.quorum=1.5: cohort.quorum is 1.5: must be > 0 and <= "
            "1");
}

TEST(LoadTest, BrokenTextIsAnErrorWithItsLine) {
  EXPECT_EQ(ErrorsOf("model {\n  softmax {}\n").substr(0, 14),
            "x.textproto:3:");
  EXPECT_EQ(ErrorsOf(std::string(1000, '{')),
            "x.textproto:1: too many brackets are open");
  EXPECT_THAT(LoadRunText(std::string(600 << 10, ' '), "x"),
              StatusIs(absl::StatusCode::kInvalidArgument, "no run file"));
}

TEST(LoadTest, PathsStartAtTheirFolder) {
  constexpr char kText[] = R"(model { softmax {} }
data {
  train { idx { images: "a/i.gz" labels: "/b/l.gz" } }
  test { libsvm { path: "../t.svm" } }
}
local { sgd {} step_size { initial: 0.1 } }
stop { rounds: 3 }
)";
  ASSERT_OK_AND_ASSIGN(
      const v1::RunConfig config,
      LoadRunText(kText, "/runs/one/x.textproto", {"start.file=m.npz"}));
  EXPECT_EQ(config.data().train().idx().images(), "/runs/one/a/i.gz");
  EXPECT_EQ(config.data().train().idx().labels(), "/b/l.gz");
  EXPECT_EQ(config.data().test().libsvm().path(), "/runs/t.svm");
  EXPECT_EQ(config.start().file(),
            (std::filesystem::current_path() / "m.npz").string());

  const auto train = [&](const std::string& source) {
    const auto loaded = LoadRunText(
        absl::StrReplaceAll(kText,
                            {{"idx { images: \"a/i.gz\" labels: "
                              "\"/b/l.gz\" }",
                              source},
                             {"test { libsvm { path: \"../t.svm\" } }", ""}}),
        "/runs/one/x.textproto");
    EXPECT_OK(loaded);
    return loaded.ok() ? loaded->data().train() : v1::Source();
  };
  EXPECT_EQ(train("csv { path: \"a.csv\" target: \"y\" }").csv().path(),
            "/runs/one/a.csv");
  EXPECT_EQ(train("text { path: \"a.txt\" }").text().path(), "/runs/one/a.txt");
  EXPECT_THAT(
      train("cifar10 { paths: [\"a.bin\", \"/b.bin\"] }").cifar10().paths(),
      ::testing::ElementsAre("/runs/one/a.bin", "/b.bin"));
}

TEST(LoadTest, AnIndexFileSetsTheParts) {
  const std::string folder = ::testing::TempDir();
  const std::string text = absl::StrReplaceAll(
      kGood, {{"parts: 4", "index_file { path: \"parts.txt\" }"}});
  const auto load = [&](absl::string_view index) {
    std::ofstream(folder + "/parts.txt") << index;
    return LoadRunText(text, folder + "/x.textproto");
  };
  ASSERT_OK_AND_ASSIGN(const v1::RunConfig config, load("0\n2\n1\n2\n"));
  EXPECT_EQ(config.data().partition().parts(), 3);
  EXPECT_EQ(config.cohort().min(), 3);
  EXPECT_THAT(load("0\nx\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "x.textproto:4: data.partition.index_file.path cannot "
                       "be used: "));
}

TEST(LoadTest, FilesThatCannotBeRead) {
  EXPECT_THAT(LoadRunFile("/no/such.textproto"),
              StatusIs(absl::StatusCode::kNotFound, "/no/such.textproto: "));
  EXPECT_THAT(LoadRunFile("/"),
              StatusIs(absl::StatusCode::kFailedPrecondition, "/: "));
}

}  // namespace
}  // namespace parley
