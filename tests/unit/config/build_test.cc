#include "common/config/build.h"

#include <cmath>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/config/defaults.h"
#include "common/config/explain.h"
#include "common/config/load.h"
#include "common/config/own_data.h"
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

  // But for the loss, which the trainer learns.
  v1::StepSize normalised = Schedule("initial: 2 warmup_rounds: 3");
  normalised.mutable_loss_normalised();
  EXPECT_EQ(StepSizeOf(normalised, 1, 8), 0.25 / 4);
  EXPECT_EQ(StepSizeOf(normalised, 9, 8), 0.25);

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

TEST(BuildTest, MarginsAreThoseOfALinearModelInDouble) {
  v1::RunConfig config;
  config.set_precision(v1::FLOAT64);
  EXPECT_EQ(MarginLossOf(config), std::nullopt);
  v1::Logistic& logistic = *config.mutable_model()->mutable_logistic();
  logistic.set_loss(v1::Logistic::LOGISTIC);
  EXPECT_EQ(MarginLossOf(config), MarginLoss::kLogistic);
  logistic.set_loss(v1::Logistic::EXPONENTIAL);
  EXPECT_EQ(MarginLossOf(config), MarginLoss::kExponential);
  logistic.set_bias(true);
  EXPECT_EQ(MarginLossOf(config), std::nullopt);
  logistic.set_bias(false);
  config.set_precision(v1::FLOAT32);
  EXPECT_EQ(MarginLossOf(config), std::nullopt);
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

TEST(BuildTest, WithoutSourcesThereIsNothingToLoad) {
  const v1::RunConfig config = Load(absl::StrCat(
      "model { softmax {} features: 5 classes: 3 } cohort { min: 1 }", kRest));
  ASSERT_OK_AND_ASSIGN(const DataFacts facts, ProbeData(config));
  EXPECT_EQ(facts.features, 5);
  EXPECT_EQ(facts.classes, 3);
  EXPECT_THAT(LoadPart<float>(config, 0),
              StatusIs(absl::StatusCode::kFailedPrecondition, "data.train"));
  EXPECT_THAT(LoadTest<float>(config),
              StatusIs(absl::StatusCode::kFailedPrecondition, "data.test"));
}

TEST(BuildTest, AColumnOfACsvFileTellsTheParts) {
  const std::string train = WriteFile("wards.csv",
                                      "id,age,ward,kind,bmi\n"
                                      "1,5,north,b,6\n"
                                      "2,7,east,c,8\n"
                                      "3,9,north,a,1\n");
  // Other columns, in another order, and not each class.
  const std::string test =
      WriteFile("wards_test.csv", "kind,bmi,age,note\nc,2,1,x\n");
  const std::string text = absl::StrCat(
      "model { softmax {} }\ndata { train { csv { path: \"", train,
      "\" target: \"kind\" ignore: \"id\" } } test { csv { path: \"", test,
      "\" target: \"kind\" } }\npartition { by_column { column: \"ward\" } } "
      "}\n",
      kRest);
  const v1::RunConfig config = Load(text);
  EXPECT_EQ(config.data().partition().parts(), 2);
  ASSERT_OK_AND_ASSIGN(const DataFacts facts, ProbeData(config));
  EXPECT_EQ(facts.features, 2);
  EXPECT_EQ(facts.classes, 3);
  EXPECT_EQ(facts.rows, 3);
  EXPECT_EQ(facts.parts, 2);
  ASSERT_OK_AND_ASSIGN(const auto east, LoadPart<float>(config, 0));
  EXPECT_THAT(east.train.targets(), ::testing::ElementsAre(2));
  ASSERT_OK_AND_ASSIGN(const auto north, LoadPart<float>(config, 1));
  EXPECT_THAT(north.train.targets(), ::testing::ElementsAre(1, 0));
  EXPECT_EQ(north.train.All().dense[0], 5);
  EXPECT_EQ(north.train.All().dense[1], 6);
  ASSERT_OK_AND_ASSIGN(const auto set, LoadTest<float>(config));
  EXPECT_THAT(set.targets(), ::testing::ElementsAre(2));
  EXPECT_EQ(set.All().dense[0], 1);
  EXPECT_EQ(set.All().dense[1], 2);
  ASSERT_OK_AND_ASSIGN(const RunCosts costs, ComputeCosts(config));
  EXPECT_EQ(costs.parameters, 9);

  // A number of parts that is given must agree.
  const auto wrong = LoadRunText(text, "x", {"data.partition.parts=3"});
  ASSERT_OK(wrong);
  EXPECT_THAT(LoadPart<float>(*wrong, 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "data.train has 2 parts, but the run's "
                       "data.partition.parts is 3"));
  EXPECT_THAT(LoadRunText(text, "x", {"data.partition.by_column.column=wart"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "data.partition.by_column.column cannot be used: "));
  EXPECT_THAT(
      LoadRunText(text, "x", {"data.partition.by_column.column=wart"}),
      StatusIs(absl::StatusCode::kInvalidArgument, "did you mean ward?"));
  EXPECT_THAT(
      LoadPart<float>(
          Load(absl::StrReplaceAll(
              text, {{"softmax", "linear_regression"},
                     {"by_column { column: \"ward\" }", "parts: 1"},
                     {"ignore: \"id\"", "ignore: [\"id\", \"ward\"]"}})),
          0),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "the targets are text, such as \"a\""));
}

TEST(BuildTest, TheTestSetHasTheTrainingSetsAlphabet) {
  const std::string train = WriteFile("train.txt", "abcabcabd");
  const std::string test = WriteFile("test.txt", "cabd");
  const std::string text =
      absl::StrCat("model { softmax {} } data { train { text { path: \"", train,
                   "\" context: 2 } } test { text { path: \"", test,
                   "\" } } partition { parts: 2 } }", kRest);
  const v1::RunConfig config = Load(text);
  EXPECT_EQ(config.data().test().text().context(), 2);
  ASSERT_OK_AND_ASSIGN(const DataFacts facts, ProbeData(config));
  EXPECT_EQ(facts.features, 2);
  EXPECT_EQ(facts.classes, 4);
  EXPECT_EQ(facts.rows, 7);
  ASSERT_OK_AND_ASSIGN(const auto set, LoadTest<float>(config));
  EXPECT_THAT(set.targets(), ::testing::ElementsAre(1, 3));
  EXPECT_THAT(std::vector<float>(set.All().dense, set.All().dense + 4),
              ::testing::ElementsAre(2, 0, 0, 1));
  // As many classes as an alphabet has, be there such bytes or not.
  ASSERT_OK_AND_ASSIGN(
      const v1::RunConfig more,
      LoadRunText(text, "x", {"data.train.text.alphabet=abcdefgh"}));
  ASSERT_OK_AND_ASSIGN(const DataFacts eight, ProbeData(more));
  EXPECT_EQ(eight.classes, 8);
  ASSERT_OK(LoadTest<float>(more));
  WriteFile("test.txt", "cab\nx");
  EXPECT_THAT(LoadTest<float>(config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "test.txt:1: the character \"\\n\" (byte 10) is none of "
                       "the 4 of the alphabet"));
}

TEST(BuildTest, Cifar10HasTenClassesWhateverItsRowsShow) {
  const std::string record(3073, '\1');
  const std::string path = WriteFile("cifar.bin", record + record);
  const v1::RunConfig config = Load(
      absl::StrCat("model { softmax {} } data { train { cifar10 { paths: \"",
                   path, "\" } } partition { parts: 2 } }", kRest));
  ASSERT_OK_AND_ASSIGN(const DataFacts facts, ProbeData(config));
  EXPECT_EQ(facts.features, 3072);
  EXPECT_EQ(facts.classes, 10);
  ASSERT_OK_AND_ASSIGN(const auto part, LoadPart<float>(config, 1));
  EXPECT_THAT(part.train.targets(), ::testing::ElementsAre(1));
}

}  // namespace
}  // namespace parley
