#include "common/config/rules.h"

#include <gmock/gmock.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/files/parameter_file.h"
#include "common/wire/spec.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/config/run_errors.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

TEST(RulesTest, FieldsMustGoTogether) {
  EXPECT_EQ(ErrorsAdding("evaluation { central: true }"),
            "x.textproto:8: evaluation.central is true: needs data.test");
  EXPECT_EQ(ErrorsAdding("evaluation { federated: true }"),
            "x.textproto:8: evaluation.federated is true: needs data.held_out "
            "> 0");
  EXPECT_EQ(ErrorsAdding("cohort { min: 5 }"),
            "x.textproto:8: cohort.min is 5: must be <= data.partition.parts, "
            "which is 4");
  EXPECT_EQ(ErrorsAdding("limits { clients: 3 }"),
            "x.textproto: cohort.min is 4: must be <= limits.clients, which is "
            "3");
  EXPECT_EQ(ErrorsAdding("wire { up: ENCODING_FLOAT64 }"),
            "x.textproto:8: wire.up is ENCODING_FLOAT64: must be "
            "ENCODING_FLOAT32 or ENCODING_BFLOAT16 with precision FLOAT32");
  EXPECT_EQ(ErrorsAdding("precision: FLOAT64 wire { up: ENCODING_BFLOAT16 }"),
            "");
  EXPECT_EQ(ErrorsWith("rounds: 3", "rounds: 3 accuracy: 0.9"),
            "x.textproto:7: stop.accuracy needs an evaluation: set data.test, "
            "or data.held_out > 0");
  EXPECT_EQ(ErrorsWith("parts: 4 }",
                       "parts: 4 } held_out: 0.2 } evaluation { every: 0 ")
                .substr(0, 11),
            "");
  EXPECT_EQ(ErrorsWith("softmax {}", "logistic {} classes: 3"),
            "x.textproto:1: model.classes is 3: must be 2 with logistic");
  EXPECT_EQ(ErrorsWith("softmax {}", "softmax {} features: 6"),
            "x.textproto:3: data.train has 5 features: must be as "
            "model.features, which is 6");
  EXPECT_EQ(ErrorsWith("  partition",
                       "  test { mixture { rows: 9 features: 4 classes: 3 } }\n"
                       "  partition"),
            "x.textproto:4: data.test has 4 features: must be as data.train, "
            "which has 5\n"
            "x.textproto:4: data.test has 3 classes: must be as data.train, "
            "which has 2");
  EXPECT_EQ(ErrorsWith("mixture", "regression"),
            "x.textproto:3: data.train.regression must go with "
            "linear_regression or an mlp with loss SQUARED, as its targets are "
            "real numbers");
  EXPECT_EQ(
      ErrorsWith("initial: 0.1", "initial: 1 step_decay { at_rounds: [5, 5] }"),
      "x.textproto:6: local.step_size.step_decay.at_rounds[1] is 5: must "
      "be > the one before, which is 5");
  EXPECT_EQ(ErrorsAdding("round_values { name: \"step_size\" factor: 0.9 }"),
            "x.textproto:8: round_values[0].initial is 0: must be > 0 for "
            "step_size");
  EXPECT_EQ(ErrorsAdding("aggregation { custom { name: \"x\" spec {} } }"),
            "x.textproto:8: aggregation.custom.spec must not be set, as only a "
            "custom model has one");
  EXPECT_EQ(ErrorsAdding("start { file: \"\" }"),
            "x.textproto:8: start.file is missing: must not be empty");
}

TEST(RulesTest, CnnsSayWhatTheyLack) {
  EXPECT_EQ(
      ErrorsWith("softmax {}", "cnn { conv {} }"),
      "x.textproto:1: model.cnn.conv[0].channels is missing: must be >= 1 "
      "and <= 65536");
  EXPECT_EQ(ErrorsWith("softmax {}", "cnn {}"),
            "x.textproto:1: model.cnn.conv is missing: must list at least one "
            "convolution");
  EXPECT_EQ(
      ErrorsWith("softmax {}",
                 "cnn { conv { channels: 2 padding: 3 } height: 5 }"),
      "x.textproto:1: model.cnn.conv[0].padding is 3: must be < kernel, "
      "which is 3\n"
      "x.textproto:1: model.cnn.channels is missing: must be set, as "
      "another one of channels, height, width is\n"
      "x.textproto:1: model.cnn.width is missing: must be set, as another "
      "one of channels, height, width is");
  EXPECT_EQ(ErrorsWith("softmax {}",
                       "cnn { conv { channels: 2 kernel: 1 } channels: 1 "
                       "height: 5 width: 3 }"),
            "x.textproto:3: data.train has 5 features: must be as "
            "model.features, which is 15");
  EXPECT_EQ(ErrorsWith("softmax {}",
                       "features: 5 cnn { conv { channels: 2 } channels: 1 "
                       "height: 5 width: 3 }"),
            "x.textproto:1: model.features is 5: must be channels × height × "
            "width of model.cnn, which is 15");
  constexpr char kOwn[] = R"(model { cnn { conv { channels: 2 } } classes: 3 }
local { gd {} step_size { initial: 0.1 } }
cohort { min: 2 }
stop { rounds: 3 }
)";
  const std::string why =
      " is missing: must be set where there is no data.train";
  EXPECT_EQ(ErrorsOf(kOwn),
            absl::StrCat("x.textproto:1: model.cnn.channels", why,
                         "\nx.textproto:1: "
                         "model.cnn.height",
                         why, "\nx.textproto:1: model.cnn.width", why));
  ASSERT_OK_AND_ASSIGN(
      const v1::RunConfig config,
      LoadRunText(
          kOwn, "x.textproto",
          {"model.cnn.channels=3", "model.cnn.height=8", "model.cnn.width=6"}));
  EXPECT_EQ(config.model().features(), 3 * 8 * 6);
  EXPECT_EQ(config.model().cnn().conv(0).kernel(), 3);
  EXPECT_EQ(config.model().cnn().conv(0).pool(), 2);
}

TEST(RulesTest, SourcesOfFilesMustBeWhole) {
  const auto with = [](const std::string& source) {
    return ErrorsWith("mixture { rows: 100 features: 5 }", source);
  };
  EXPECT_EQ(with(""),
            "x.textproto:3: data.train is missing: must have one of libsvm, "
            "idx, separable, mixture, regression, csv, cifar10, text");
  EXPECT_EQ(with("csv {}"),
            "x.textproto:3: data.train.csv.path is missing: must not be empty\n"
            "x.textproto:3: data.train.csv.target is missing: must not be "
            "empty");
  EXPECT_EQ(with("csv { path: \"a\" target: \"y\" ignore: [\"x\", \"y\"] }"),
            "x.textproto:3: data.train.csv.ignore[1] is \"y\": must not be the "
            "target as well");
  EXPECT_EQ(with("cifar10 {}"),
            "x.textproto:3: data.train.cifar10.paths is missing: must list at "
            "least one file");
  EXPECT_EQ(with("cifar10 { paths: [\"a\", \"\"] }"),
            "x.textproto:3: data.train.cifar10.paths[1] is missing: must not "
            "be empty");
  EXPECT_EQ(with("text {}"),
            "x.textproto:3: data.train.text.path is missing: must not be "
            "empty");
  EXPECT_EQ(with("text { path: \"a\" context: 0 stride: 0 }"),
            "x.textproto:3: data.train.text.context is 0: must be >= 1 and <= "
            "65536\n"
            "x.textproto:3: data.train.text.stride is 0: must be >= 1 and <= "
            "1000000000");
}

TEST(RulesTest, SourcesOfFilesMustGoTogether) {
  const auto data = [](const std::string& data, const std::string& model) {
    return ErrorsOf(absl::StrCat(
        "model { ", model, " }\n", "data { ", data,
        " }\n"
        "local { gd {} step_size { initial: 0.1 } } cohort { min: 1 }\n"
        "stop { rounds: 1 }\n"));
  };
  const std::string text = "{ text { path: \"a\" } }";
  const std::string cifar = "{ cifar10 { paths: \"a\" } }";
  const std::string csv = "{ csv { path: \"a\" target: \"y\" } }";
  EXPECT_EQ(data(absl::StrCat("train ", text, " test ", text), "softmax {}"),
            "");
  EXPECT_EQ(data(absl::StrCat("train ", csv, " test ", text), "softmax {}"),
            "x.textproto:2: data.test.text must go with data.train.text");
  EXPECT_EQ(
      data(absl::StrCat("train ", text,
                        " test { text { path: \"a\" alphabet: \"ab\" } }"),
           "softmax {}"),
      "x.textproto:2: data.test.text.alphabet must not be set, as it is that "
      "of data.train.text");
  EXPECT_EQ(
      data(absl::StrCat("test ", text), "softmax {} features: 16 classes: 2"),
      "x.textproto:2: data.test.text.alphabet is missing: must be set "
      "where there is no data.train, whose it would be");
  EXPECT_EQ(data(absl::StrCat("train ", text,
                              " test { text { path: \"a\" context: 8 } }"),
                 "softmax {}"),
            "x.textproto:2: data.test has 8 features: must be as data.train, "
            "which has 16");
  EXPECT_EQ(data(absl::StrCat("train ", cifar), "softmax {} features: 784"),
            "x.textproto:2: data.train has 3072 features: must be as "
            "model.features, which is 784");
  EXPECT_EQ(data(absl::StrCat("train ", cifar), "logistic {}"),
            "x.textproto:2: data.train has 10 classes: must have 2 with "
            "logistic");
  EXPECT_EQ(data(absl::StrCat("train ", cifar,
                              " partition { by_column { column: \"a\" } }"),
                 "softmax {}"),
            "x.textproto:2: data.partition.by_column must go with "
            "data.train.csv");
  EXPECT_EQ(data(absl::StrCat("train ", csv, " partition { by_column {} }"),
                 "softmax {}"),
            "x.textproto:2: data.partition.by_column.column is missing: must "
            "not be empty");
}

TEST(RulesTest, ModelsWithoutClassesHaveNoAccuracy) {
  constexpr char kText[] = R"(
model { linear_regression {} classes: 2 }
data {
  train { regression { rows: 100 features: 5 } }
  held_out: 0.5
  partition { shards {} }
}
local { gd {} step_size { initial: 0.1 } }
evaluation { every: 0 }
stop { rounds: 3 accuracy: 0.5 loss: 0.1 }
)";
  EXPECT_EQ(ErrorsOf(kText),
            "x.textproto:2: model.classes is 2: must not be set, as the model "
            "has none\n"
            "x.textproto:6: data.partition.shards must not be set with "
            "data.train.regression, which has no labels\n"
            "x.textproto:10: stop.accuracy needs evaluation.every >= 1\n"
            "x.textproto:10: stop.accuracy must not be set, as the model has "
            "no classes\n"
            "x.textproto:10: stop.loss needs evaluation.every >= 1");
}

TEST(RulesTest, WithoutTrainTheModelMustBeSpelledOut) {
  constexpr char kText[] = R"(model { softmax {} }
data { partition { parts: 3 } }
local { gd {} step_size { initial: 0.1 } }
stop { rounds: 3 }
)";
  EXPECT_EQ(ErrorsOf(kText),
            "x.textproto: cohort.min is missing: must say how many clients a "
            "round waits for where there is no data.train\n"
            "x.textproto:1: model.features is missing: must be set where there "
            "is no data.train\n"
            "x.textproto:1: model.classes is missing: must be set where there "
            "is no data.train\n"
            "x.textproto:2: data.partition must not be set without data.train");
  EXPECT_EQ(ErrorsOf("model { softmax {} features: 4 classes: 3 }\n"
                     "local { gd {} step_size { initial: 0.1 } }\n"
                     "cohort { min: 2 } stop { rounds: 3 }\n"),
            "");
}

TEST(RulesTest, CustomModels) {
  constexpr char kText[] = R"(model {
  custom {
    name: "mine"
    params { key: "depth" value: "3" }
    spec { tensors { name: "w" shape: [3, 4] } }
  }
}
cohort { min: 2 }
stop { rounds: 3 }
)";
  ASSERT_OK_AND_ASSIGN(const v1::RunConfig config,
                       LoadRunText(kText, "x.textproto"));
  EXPECT_EQ(config.model().custom().spec().dtype(), v1::FLOAT32);
  EXPECT_EQ(config.model().custom().spec().tensors(0).merge(), v1::MEAN);
  EXPECT_TRUE(config.start().has_zeros());
  EXPECT_EQ(ErrorsOf(absl::StrCat(kText, "start { random {} }\n",
                                  "evaluation { central: true }\n",
                                  "precision: FLOAT64\n"),
                     {"model.custom.spec.dtype=FLOAT32"}),
            "x.textproto:10: start.random must not be set with a custom model: "
            "zeros, file or run\n"
            "x.textproto:11: evaluation.central is true: must be false with a "
            "custom model, which the coordinator cannot evaluate\n"
            "--set model.custom.spec.dtype=FLOAT32: model.custom.spec.dtype is "
            "FLOAT32: must be as precision, which is FLOAT64");
}

TEST(RulesTest, CustomModelsTakeTheirTensorsFromTheStartFile) {
  const std::string file =
      absl::StrCat(testing::TempDir(), "/custom_start.safetensors");
  ASSERT_OK_AND_ASSIGN(
      const ParameterSpec spec,
      ParameterSpec::Create(
          DType::kFloat64,
          {{"bn.weight", {3}}, {"bn.batches", {}}, {"head.weight", {2, 3}}}));
  ASSERT_OK(SaveParameters(file, spec,
                           ParameterVector(DType::kFloat64, spec.elements())));
  const std::string text = absl::StrCat(
      "model { custom { name: \"net\"\n"
      "  merge { tensors: \"*.batches\" rule: COPY }\n"
      "  merge { tensors: \"head.*\" rule: LOCAL } } }\n"
      "start { file: \"",
      file, "\" }\ncohort { min: 2 }\nstop { rounds: 3 }\n");
  ASSERT_OK_AND_ASSIGN(const v1::RunConfig config,
                       LoadRunText(text, "x.textproto"));
  ASSERT_OK_AND_ASSIGN(const ParameterSpec got,
                       SpecFromProto(config.model().custom().spec()));
  EXPECT_EQ(got.ToString(),
            "float32;bn.weight[3]mean;bn.batches[]copy;head.weight[2,3]local;");
  // The run as it is kept does without the file.
  ASSERT_OK_AND_ASSIGN(const v1::RunConfig again,
                       LoadRunText(PrintRun(config), "x.textproto"));
  EXPECT_EQ(PrintRun(again), PrintRun(config));

  EXPECT_EQ(ErrorsOf(absl::StrReplaceAll(
                text, {{"*.batches", "nn.*"}, {"rule: LOCAL", ""}})),
            "x.textproto:2: model.custom.merge[0].tensors is \"nn.*\": must "
            "match a tensor's name\n"
            "x.textproto:3: model.custom.merge[1].rule is missing: must be "
            "MEAN, LOCAL or COPY");
  EXPECT_THAT(ErrorsOf(text, {"start.file=/none.npz"}),
              HasSubstr("start.file cannot be used: "));
}

TEST(RulesTest, LossNormalisedStepsGoWithWhatTheyNormalise) {
  const std::string good = R"(
model { logistic { bias: false } }
data { train { separable { rows: 20 features: 5 } } partition { parts: 2 } }
local { gd { steps: 3 } step_size { initial: 0.5 loss_normalised {} } }
precision: FLOAT64
aggregation { uniform {} }
stop { rounds: 3 }
)";
  ASSERT_OK_AND_ASSIGN(const v1::RunConfig config,
                       LoadRunText(good, "x.textproto"));
  EXPECT_TRUE(config.local().step_size().has_loss_normalised());
  EXPECT_THAT(PrintRun(config), HasSubstr("loss_normalised"));
  const auto errors = [&](absl::string_view from, absl::string_view to) {
    const auto loaded =
        LoadRunText(absl::StrReplaceAll(good, {{from, to}}), "x.textproto");
    return std::string(loaded.status().message());
  };
  const std::string here = "x.textproto:4: local.step_size.loss_normalised ";
  EXPECT_EQ(errors("bias: false", "loss: EXPONENTIAL bias: false"), "");
  EXPECT_EQ(errors("uniform", "fed_avg"), "");
  EXPECT_EQ(errors("bias: false", ""),
            here + "must go with model { logistic { bias: false } }");
  EXPECT_EQ(errors("precision: FLOAT64", ""),
            here + "must go with precision FLOAT64");
  for (const char* local : {"gd {} momentum: 0.5", "gd {} weight_decay: 0.1",
                            "gd {} proximal: 0.1", "sgd {}"}) {
    EXPECT_EQ(errors("gd { steps: 3 }", local),
              here +
                  "must go with local.gd, without momentum, weight_decay and "
                  "proximal");
  }
  EXPECT_EQ(errors("uniform", "median"),
            here +
                "must go with aggregation fed_avg or uniform, by whose weights "
                "it makes the clients' losses one");
  EXPECT_EQ(errors("precision",
                   "round_values { name: \"step_size\" initial: 1 } precision"),
            "x.textproto:5: round_values[0].name is \"step_size\": must not be "
            "set with local.step_size.loss_normalised, which it would replace");
  EXPECT_EQ(errors("precision",
                   "round_values { name: \"log_loss\" initial: 1 } precision"),
            "x.textproto:5: round_values[0].name is \"log_loss\": must be "
            "another, as local.step_size.loss_normalised sends that");
}

TEST(RulesTest, RowsMayBeDealtByTheirPlaces) {
  ASSERT_OK_AND_ASSIGN(
      const v1::RunConfig config,
      LoadRunText(absl::StrReplaceAll(
                      kGood, {{"parts: 4", "parts: 4 feature_shift {}"}}),
                  "x.textproto"));
  EXPECT_EQ(config.data().partition().feature_shift().strength(), 1);
  EXPECT_EQ(ErrorsWith("parts: 4", "parts: 4 feature_shift { strength: 1.5 }"),
            "x.textproto:4: data.partition.feature_shift.strength is 1.5: must "
            "be >= 0 and <= 1");
}

TEST(RulesTest, AnExactLocalSolveGoesWithWhatItSolves) {
  const std::string good = R"(
model { logistic { loss: EXPONENTIAL bias: false } }
data { train { separable { rows: 20 features: 5 } } partition { parts: 2 } }
local { exact_prox {} }
precision: FLOAT64
aggregation { uniform {} anchored {} }
stop { rounds: 3 }
)";
  ASSERT_OK_AND_ASSIGN(const v1::RunConfig config,
                       LoadRunText(good, "x.textproto"));
  EXPECT_EQ(config.local().exact_prox().log_lambda(), -100);
  EXPECT_EQ(config.aggregation().anchored().power(), 1);
  const auto errors = [&](absl::string_view from, absl::string_view to) {
    const auto loaded =
        LoadRunText(absl::StrReplaceAll(good, {{from, to}}), "x.textproto");
    return std::string(loaded.status().message());
  };
  EXPECT_EQ(errors("bias: false", ""),
            "x.textproto:4: local.exact_prox must go with model { logistic { "
            "loss: EXPONENTIAL bias: false } }");
  EXPECT_EQ(errors("precision: FLOAT64", ""),
            "x.textproto:4: local.exact_prox must go with precision FLOAT64");
  EXPECT_EQ(errors("exact_prox {}", "exact_prox {} momentum: 0.5"),
            "x.textproto:4: local.exact_prox must go without step_size, "
            "momentum, weight_decay and proximal: it takes no steps");
  EXPECT_EQ(errors("exact_prox {}", "exact_prox { log_lambda: 0 }"),
            "x.textproto:4: local.exact_prox.log_lambda is 0: must be >= "
            "-1000000000000 and < 0");
}

}  // namespace
}  // namespace parley
