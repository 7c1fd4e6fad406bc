#include "common/config/build.h"

#include <cmath>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "common/config/defaults.h"
#include "common/config/load.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

std::string WriteFile(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + "/" + name;
  std::ofstream(path) << text;
  return path;
}

v1::RunConfig Load(const std::string& text) {
  auto config = LoadRunText(text, "x.textproto");
  EXPECT_OK(config);
  return config.ok() ? *config : v1::RunConfig();
}

constexpr char kRest[] =
    "local { gd {} step_size { initial: 0.1 } } stop { rounds: 1 }\n";

v1::StepSize Schedule(const std::string& text) {
  return Load(absl::StrCat("model { softmax {} features: 1 classes: 2 } "
                           "cohort { min: 1 } stop { rounds: 1 } "
                           "local { gd {} step_size { ",
                           text, " } }"))
      .local()
      .step_size();
}

TEST(StepSizeTest, Formulas) {
  const v1::StepSize constant = Schedule("initial: 0.5");
  EXPECT_EQ(StepSizeOf(constant, 1, 8), 0.5);
  EXPECT_EQ(StepSizeOf(constant, 99, 8), 0.5);
  EXPECT_EQ(StepSizeOf(Schedule("initial: 2 over_steps {}"), 3, 8), 0.25);

  const v1::StepSize over = Schedule("initial: 1 over_rounds { scale: 2 }");
  EXPECT_EQ(StepSizeOf(over, 1, 8), 1);        // t = 0
  EXPECT_EQ(StepSizeOf(over, 3, 8), 0.5);      // t = 2
  EXPECT_EQ(StepSizeOf(over, 7, 8), 1.0 / 4);  // t = 6

  const v1::StepSize decay =
      Schedule("initial: 8 step_decay { at_rounds: [2, 4] factor: 0.5 }");
  EXPECT_EQ(StepSizeOf(decay, 2, 8), 8);  // t = 1
  EXPECT_EQ(StepSizeOf(decay, 3, 8), 4);  // t = 2
  EXPECT_EQ(StepSizeOf(decay, 4, 8), 4);
  EXPECT_EQ(StepSizeOf(decay, 5, 8), 2);

  const v1::StepSize warm = Schedule("initial: 4 warmup_rounds: 3");
  EXPECT_EQ(StepSizeOf(warm, 1, 8), 1);
  EXPECT_EQ(StepSizeOf(warm, 2, 8), 2);
  EXPECT_EQ(StepSizeOf(warm, 3, 8), 3);
  EXPECT_EQ(StepSizeOf(warm, 4, 8), 4);
}

TEST(BuildTest, SolverOptions) {
  v1::LocalAlgorithm local;
  local.mutable_gd()->set_steps(7);
  local.set_weight_decay(0.5);
  local.set_proximal(0.25);
  LocalSolverOptions options = SolverOptionsOf(local);
  EXPECT_TRUE(options.full_batch);
  EXPECT_EQ(options.steps, 7);
  EXPECT_EQ(options.weight_decay, 0.5);
  EXPECT_EQ(options.proximal, 0.25);
  local.mutable_sgd()->set_epochs(1.5);
  local.mutable_sgd()->set_batch_size(9);
  local.set_momentum(0.25);
  options = SolverOptionsOf(local);
  EXPECT_FALSE(options.full_batch);
  EXPECT_EQ(options.batch_size, 9);
  EXPECT_EQ(options.steps, 0);
  EXPECT_EQ(options.epochs, 1.5);
  EXPECT_EQ(options.momentum, 0.25);
}

TEST(BuildTest, ModelOptions) {
  const DataFacts facts = {5, 3, 0, 0};
  v1::RunConfig config;
  config.mutable_model()->mutable_mlp()->add_hidden(8);
  config.mutable_model()->mutable_mlp()->set_activation(v1::Mlp::TANH);
  config.mutable_model()->mutable_mlp()->set_loss(v1::Mlp::CROSS_ENTROPY);
  ASSERT_OK_AND_ASSIGN(ModelOptions options, ModelOptionsOf(config, facts));
  EXPECT_EQ(options.kind, "mlp");
  EXPECT_EQ(options.features, 5);
  EXPECT_EQ(options.classes, 3);
  EXPECT_EQ(options.activation, "tanh");
  EXPECT_EQ(options.loss, "cross_entropy");
  EXPECT_THAT(options.hidden, ::testing::ElementsAre(8));
  config.mutable_model()->mutable_logistic()->set_loss(
      v1::Logistic::EXPONENTIAL);
  ASSERT_OK_AND_ASSIGN(options, ModelOptionsOf(config, facts));
  EXPECT_EQ(options.kind, "logistic");
  EXPECT_EQ(options.loss, "exponential");
  EXPECT_FALSE(options.bias);
  config.mutable_model()->mutable_softmax();
  EXPECT_THAT(ModelOptionsOf(config, {5, 1, 0, 0}),
              StatusIs(absl::StatusCode::kInvalidArgument, "2 classes"));
  EXPECT_THAT(ModelOptionsOf(config, {0, 3, 0, 0}),
              StatusIs(absl::StatusCode::kInvalidArgument, "model.features"));
  config.mutable_model()->mutable_custom();
  EXPECT_THAT(ModelOptionsOf(config, facts),
              StatusIs(absl::StatusCode::kInvalidArgument, "custom"));
}

TEST(BuildTest, EmbeddingOptions) {
  const DataFacts facts = {5, 3, 0, 0};
  v1::RunConfig config;
  v1::EmbeddingMlp* embedding = config.mutable_model()->mutable_embedding_mlp();
  embedding->add_hidden(8);
  FillDefaults(&config);
  ASSERT_OK_AND_ASSIGN(ModelOptions options, ModelOptionsOf(config, facts));
  EXPECT_EQ(options.kind, "embedding_mlp");
  EXPECT_EQ(options.features, 5);
  EXPECT_EQ(options.classes, 3);
  EXPECT_EQ(options.vocabulary, 3);
  EXPECT_EQ(options.dimension, 8);
  EXPECT_EQ(options.activation, "relu");
  EXPECT_THAT(options.hidden, ::testing::ElementsAre(8));
  embedding->set_vocabulary(100);
  embedding->set_dimension(4);
  embedding->set_activation(v1::Mlp::TANH);
  ASSERT_OK_AND_ASSIGN(options, ModelOptionsOf(config, facts));
  EXPECT_EQ(options.vocabulary, 100);
  EXPECT_EQ(options.dimension, 4);
  EXPECT_EQ(options.activation, "tanh");
}

// Two images of 4 lines of 3 pixels.
std::string WriteImages(const std::string& name, char height, char width) {
  return WriteFile(name, std::string("\0\0\x08\x03\0\0\0\x02\0\0\0", 11) +
                             height + std::string("\0\0\0", 3) + width +
                             std::string(2 * height * width, 'x'));
}

TEST(BuildTest, CnnsTakeTheShapeOfTheImages) {
  const std::string labels =
      WriteFile("labels.idx", std::string("\0\0\x08\x01\0\0\0\x02\0\x01", 10));
  const auto idx = [&](const std::string& images) {
    return absl::StrCat("idx { images: \"", images, "\" labels: \"", labels,
                        "\" }");
  };
  const std::string tall = WriteImages("tall.idx", 4, 3);
  const std::string wide = WriteImages("wide.idx", 3, 4);
  const auto load = [&](const std::string& cnn, const std::string& test) {
    return Load(absl::StrCat("model { cnn { conv { channels: 5 pool: 1 } ", cnn,
                             "} } data { train { ", idx(tall), " } test { ",
                             idx(test), " } partition { parts: 1 } }", kRest));
  };
  v1::RunConfig config = load("", tall);
  ASSERT_OK_AND_ASSIGN(const DataFacts facts, ProbeData(config));
  EXPECT_EQ(facts.image, (ImageShape{1, 4, 3}));
  ASSERT_OK_AND_ASSIGN(const ModelOptions options,
                       ModelOptionsOf(config, facts));
  EXPECT_EQ(options.kind, "cnn");
  EXPECT_EQ(options.features, 12);
  EXPECT_EQ(options.image_channels, 1);
  EXPECT_EQ(options.image_height, 4);
  EXPECT_EQ(options.image_width, 3);
  ASSERT_EQ(options.convolutions.size(), 1u);
  EXPECT_EQ(options.convolutions[0].channels, 5);
  EXPECT_EQ(options.convolutions[0].kernel, 3);
  EXPECT_EQ(options.convolutions[0].padding, 0);
  EXPECT_EQ(options.convolutions[0].pool, 1);
  EXPECT_OK(MakeModel<float>(options));

  // A client that has no access to data.train reads the shape in the run.
  StateFacts(facts, &config);
  EXPECT_EQ(config.model().cnn().channels(), 1);
  EXPECT_EQ(config.model().cnn().height(), 4);
  EXPECT_EQ(config.model().cnn().width(), 3);
  EXPECT_OK(LoadTest<float>(config));
  EXPECT_OK(LoadOwn<float>(absl::StrCat("idx:", tall, ",", labels), config));
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument,
                                "the data's images are 1 × 3 × 4 (channels, "
                                "height, width), but the run's "
                                "model.cnn takes 1 × 4 × 3");
  EXPECT_THAT(LoadOwn<float>(absl::StrCat("idx:", wide, ",", labels), config),
              refused);
  v1::RunConfig other = load("channels: 1 height: 4 width: 3 ", wide);
  EXPECT_OK(ProbeData(other));
  EXPECT_THAT(LoadTest<float>(other), refused);
  EXPECT_THAT(ProbeData(load("channels: 1 height: 3 width: 4 ", wide)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "images are 1 × 4 × 3 (channels, height, width), but"));

  // Rows that are not known to be images need to be told.
  const std::string rows = absl::StrCat(
      "} } data { train { mixture { rows: 9 features: 12 } } }", kRest);
  config = Load("model { cnn { conv { channels: 5 } " + rows);
  ASSERT_OK_AND_ASSIGN(const DataFacts plain, ProbeData(config));
  EXPECT_THAT(ModelOptionsOf(config, plain),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "set model.cnn.channels, height and width"));
  config = Load(
      "model { cnn { conv { channels: 5 } channels: 1 height: 4 width: 3 " +
      rows);
  ASSERT_OK_AND_ASSIGN(const DataFacts told, ProbeData(config));
  EXPECT_OK(ModelOptionsOf(config, told));
}

// Labels 1 and 2, of which a part may have one only; the second row of the test
// set shows fewer columns.
std::string TwoLabels(const std::string& model) {
  const std::string train =
      WriteFile("train.svm", "1 1:1\n1 2:1\n2 3:1\n2 1:1 3:2\n1 2:5\n2 1:4\n");
  const std::string test = WriteFile("test.svm", "2 1:1\n1 2:1\n");
  return absl::StrCat("model { ", model, " } data { train { libsvm { path: \"",
                      train, "\" } } test { libsvm { path: \"", test,
                      "\" } } partition { parts: 2 shards { per_part: 1 } } }",
                      kRest);
}

TEST(BuildTest, LabelsMeanTheSameInEachPart) {
  const v1::RunConfig config = Load(TwoLabels("logistic {}"));
  ASSERT_OK_AND_ASSIGN(const DataFacts facts, ProbeData(config));
  EXPECT_EQ(facts.features, 3);
  EXPECT_EQ(facts.classes, 2);
  EXPECT_EQ(facts.rows, 6);
  EXPECT_EQ(facts.parts, 2);
  std::map<double, int> seen;
  for (int part = 0; part < 2; ++part) {
    ASSERT_OK_AND_ASSIGN(const PartData<float> data,
                         LoadPart<float>(config, part));
    EXPECT_EQ(data.train.rows(), 3);
    EXPECT_EQ(data.train.features(), 3);
    EXPECT_EQ(data.held_out.rows(), 0);
    for (float target : data.train.targets()) ++seen[target];
  }
  EXPECT_EQ(seen, (std::map<double, int>{{-1, 3}, {1, 3}}));
  ASSERT_OK_AND_ASSIGN(const Dataset<float> test, LoadTest<float>(config));
  EXPECT_EQ(test.features(), 3);
  EXPECT_THAT(test.targets(), ::testing::ElementsAre(1, -1));
  EXPECT_THAT(LoadPart<float>(config, 2),
              StatusIs(absl::StatusCode::kOutOfRange, "0..1"));
}

TEST(BuildTest, AllPartsAreThePartsOneByOne) {
  const v1::RunConfig config = Load(absl::StrCat(
      "model { softmax {} } data { train { mixture { rows: 90 features: 4 "
      "classes: 3 } } partition { parts: 5 dirichlet { alpha: 0.5 min_rows: 4 "
      "} } held_out: 0.25 }",
      kRest));
  ASSERT_OK_AND_ASSIGN(const Partitioned<double> all,
                       LoadAllParts<double>(config));
  ASSERT_EQ(all.parts(), 5);
  int64_t rows = 0;
  for (int part = 0; part < 5; ++part) {
    ASSERT_OK_AND_ASSIGN(const PartData<double> one,
                         LoadPart<double>(config, part));
    EXPECT_EQ(one.train.targets(), all.train(part).targets());
    EXPECT_EQ(one.held_out.targets(), all.held_out(part).targets());
    EXPECT_GT(one.held_out.rows(), 0);
    rows += one.train.rows() + one.held_out.rows();
  }
  EXPECT_EQ(rows, 90);
}

TEST(BuildTest, StatedFactsAreCheckedAgainstTheData) {
  v1::RunConfig config = Load(TwoLabels("softmax {}"));
  ASSERT_OK_AND_ASSIGN(const DataFacts facts, ProbeData(config));
  EXPECT_EQ(facts.classes, 3);  // 0, 1, 2
  StateFacts(facts, &config);
  EXPECT_EQ(config.model().features(), 3);
  EXPECT_EQ(config.model().classes(), 3);
  EXPECT_OK(ProbeData(config));
  EXPECT_OK(LoadPart<float>(config, 0));
  config.mutable_model()->set_classes(2);
  EXPECT_THAT(LoadPart<float>(config, 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "the data has 3 classes, but the run's model.classes is "
                       "2"));
  v1::RunConfig mixture = Load(absl::StrCat(
      "model { softmax {} } data { train { mixture { rows: 90 features: 4 } } "
      "}",
      kRest));
  mixture.mutable_model()->set_features(5);
  EXPECT_THAT(ProbeData(mixture),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "the data has 4 features, but the run's model.features "
                       "is 5"));
}

TEST(BuildTest, OwnData) {
  const v1::RunConfig config =
      Load(absl::StrCat("model { softmax {} features: 5 classes: 3 } cohort { "
                        "min: 1 } data { held_out: 0.5 }",
                        kRest));
  ASSERT_OK_AND_ASSIGN(const DataFacts facts, ProbeData(config));
  EXPECT_EQ(facts.features, 5);
  EXPECT_EQ(facts.classes, 3);
  const std::string path = WriteFile("own.svm", "1 1:1\n1 3:1\n1 1:2\n1 2:3\n");
  ASSERT_OK_AND_ASSIGN(const PartData<float> own,
                       LoadOwn<float>("libsvm:" + path, config));
  EXPECT_EQ(own.train.rows(), 2);
  EXPECT_EQ(own.held_out.rows(), 2);
  EXPECT_EQ(own.train.features(), 5);
  EXPECT_THAT(own.train.targets(), ::testing::ElementsAre(1, 1));
  EXPECT_THAT(
      LoadOwn<float>("libsvm:" + WriteFile("bad.svm", "1 1:1\n3 2:1\n"),
                     config),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "row 2: the label is 3: a client's own labels must be whole "
               "numbers from 0 to 2, as the run has 3 classes"));
  EXPECT_THAT(
      LoadOwn<float>("libsvm:" + WriteFile("wide.svm", "1 6:1\n"), config),
      StatusIs(absl::StatusCode::kInvalidArgument, "6"));
  for (const char* spec : {"", "libsvm:", "idx:a", "idx:a,", "csv:a"}) {
    EXPECT_THAT(LoadOwn<float>(spec, config),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         "must be libsvm:PATH or idx:IMAGES,LABELS"))
        << spec;
  }
  EXPECT_THAT(LoadPart<float>(config, 0),
              StatusIs(absl::StatusCode::kFailedPrecondition, "data.train"));
  EXPECT_THAT(LoadTest<float>(config),
              StatusIs(absl::StatusCode::kFailedPrecondition, "data.test"));
}

TEST(BuildTest, OwnSigns) {
  const v1::RunConfig config = Load(absl::StrCat(
      "model { logistic {} features: 2 } cohort { min: 1 }", kRest));
  const auto targets = [&](const std::string& text) {
    auto own = LoadOwn<double>("libsvm:" + WriteFile("sign.svm", text), config);
    EXPECT_OK(own);
    std::vector<double> result;
    if (own.ok()) {
      result.assign(own->train.targets().begin(), own->train.targets().end());
    }
    return result;
  };
  EXPECT_THAT(targets("1 1:1\n1 1:2\n"), ::testing::ElementsAre(1, 1));
  EXPECT_THAT(targets("0 1:1\n"), ::testing::ElementsAre(-1));
  EXPECT_THAT(targets("0 1:1\n1 1:1\n"), ::testing::ElementsAre(-1, 1));
  EXPECT_THAT(targets("-1 1:1\n+1 1:1\n"), ::testing::ElementsAre(-1, 1));
  EXPECT_THAT(
      LoadOwn<double>("libsvm:" + WriteFile("sign.svm", "1 1:1\n2 1:1\n"),
                      config),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "row 2: the label is 2: a client's own labels must be -1 and "
               "+1, or 0 and 1"));
}

}  // namespace
}  // namespace parley
