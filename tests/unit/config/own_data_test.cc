#include "common/config/own_data.h"

#include "absl/strings/str_cat.h"
#include "common/config/build.h"
#include "common/config/load.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/data/temp_files.h"

namespace parley {
namespace {

using ::testing::ElementsAre;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class OwnDataTest : public testing::Test {
 protected:
  // A run without data.train, with this model and these other fields.
  static v1::RunConfig Run(const std::string& model,
                           const std::string& more = "") {
    const auto config = LoadRunText(
        absl::StrCat("model { ", model, " } ", more,
                     " cohort { min: 1 } stop { rounds: 1 } local { gd {} "
                     "step_size { initial: 0.1 } }"),
        "x.textproto");
    EXPECT_OK(config);
    return config.ok() ? *config : v1::RunConfig();
  }
  // The targets of the data, all of it.
  template <typename T = double>
  static std::vector<T> Targets(const std::string& spec,
                                const v1::RunConfig& config) {
    const auto own = LoadOwn<T>(spec, config);
    EXPECT_OK(own);
    if (!own.ok()) return {};
    return {own->train.targets().begin(), own->train.targets().end()};
  }
  TempFiles files_;
};

TEST_F(OwnDataTest, SaysWhichFormsThereAre) {
  for (const char* spec :
       {"", "svm:a", "libsvm", "libsvm:", "idx:a", "idx:a,", "idx:a,b,c",
        "csv:a", "csv:a,target=", "csv:,target=y",
        "csv:a,target=y,ignore=", "cifar10:", "cifar10:a,", "text:"}) {
    EXPECT_THAT(
        CheckOwnData(spec),
        StatusIs(kInvalid, absl::StrCat("\"", spec,
                                        "\" names no data: must be one of "
                                        "libsvm:PATH, idx:IMAGES,LABELS, "
                                        "csv:PATH,target=COLUMN[,ignore=COLUMN]"
                                        "..., cifar10:PATH[,PATH]..., "
                                        "text:PATH")))
        << spec;
    EXPECT_EQ(LoadOwn<float>(spec, Run("logistic {} features: 1")).status(),
              CheckOwnData(spec));
  }
  for (const char* spec : {"libsvm:a", "libsvm:a:b,c", "idx:a,b",
                           "csv:a,target=y", "csv:a,target=y,ignore=b,ignore=c",
                           "cifar10:a", "cifar10:a,b,c", "text:a,b"}) {
    EXPECT_OK(CheckOwnData(spec));
  }
}

TEST_F(OwnDataTest, Libsvm) {
  const v1::RunConfig config =
      Run("softmax {} features: 5 classes: 3", "data { held_out: 0.5 }");
  const std::string path =
      files_.Write("own.svm", "1 1:1\n1 3:1\n1 1:2\n1 2:3\n");
  ASSERT_OK_AND_ASSIGN(const PartData<float> own,
                       LoadOwn<float>("libsvm:" + path, config));
  EXPECT_EQ(own.train.rows(), 2);
  EXPECT_EQ(own.held_out.rows(), 2);
  EXPECT_EQ(own.train.features(), 5);
  EXPECT_THAT(own.train.targets(), ElementsAre(1, 1));
  EXPECT_THAT(
      LoadOwn<float>("libsvm:" + files_.Write("bad.svm", "1 1:1\n3 2:1\n"),
                     config),
      StatusIs(kInvalid,
               "row 2: the label is 3: a client's own labels must be whole "
               "numbers from 0 to 2, as the run has 3 classes"));
  EXPECT_THAT(
      LoadOwn<float>("libsvm:" + files_.Write("wide.svm", "1 6:1\n"), config),
      StatusIs(kInvalid, "6"));
}

TEST_F(OwnDataTest, Signs) {
  const v1::RunConfig config = Run("logistic {} features: 2");
  const auto targets = [&](const std::string& text) {
    return Targets("libsvm:" + files_.Write("sign.svm", text), config);
  };
  EXPECT_THAT(targets("1 1:1\n1 1:2\n"), ElementsAre(1, 1));
  EXPECT_THAT(targets("0 1:1\n"), ElementsAre(-1));
  EXPECT_THAT(targets("0 1:1\n1 1:1\n"), ElementsAre(-1, 1));
  EXPECT_THAT(targets("-1 1:1\n+1 1:1\n"), ElementsAre(-1, 1));
  EXPECT_THAT(
      LoadOwn<double>("libsvm:" + files_.Write("sign.svm", "1 1:1\n2 1:1\n"),
                      config),
      StatusIs(kInvalid,
               "row 2: the label is 2: a client's own labels must be -1 and "
               "+1, or 0 and 1"));
}

TEST_F(OwnDataTest, Csv) {
  const v1::RunConfig config = Run("softmax {} features: 2 classes: 3");
  // Commas in the names of file and columns.
  const std::string path =
      files_.Write("a,b.csv", "id,\"p,q\",\"a,b\",z\nx,1,0.5,2\ny,0,1,4\n");
  const std::string spec = absl::StrCat("csv:", path, ",target=p,q,ignore=id");
  ASSERT_OK_AND_ASSIGN(const auto own, LoadOwn<float>(spec, config));
  EXPECT_THAT(own.train.targets(), ElementsAre(1, 0));
  EXPECT_THAT(
      std::vector<float>(own.train.All().dense, own.train.All().dense + 4),
      ElementsAre(0.5, 2, 1, 4));
  EXPECT_THAT(LoadOwn<float>(spec + ",ignore=a,b", config),
              StatusIs(kInvalid,
                       "the data has 1 features, but the run's model.features "
                       "is 2"));
  EXPECT_THAT(LoadOwn<float>(spec + ",ignore=zz", config),
              StatusIs(kInvalid, "a,b.csv:1: the header has no column zz"));
  EXPECT_OK(LoadOwn<float>(spec, Run("softmax {} features: 2 classes: 2")));
}

TEST_F(OwnDataTest, TextLabelsOfClientsWouldDisagree) {
  const std::string path = files_.Write("a.csv", "x,y\n1,ill\n2,well\n");
  for (const char* model :
       {"softmax {} features: 1 classes: 2", "logistic {} features: 1",
        "linear_regression {} features: 1"}) {
    EXPECT_THAT(
        LoadOwn<float>(absl::StrCat("csv:", path, ",target=y"), Run(model)),
        StatusIs(kInvalid,
                 "the labels are text, such as \"ill\", which each "
                 "client would number in its own way: write them as "
                 "whole numbers, the same on all clients"));
  }
  // The coordinator's test set likewise, where clients bring all data.
  EXPECT_THAT(
      LoadTest<float>(Run("softmax {} features: 1 classes: 2",
                          absl::StrCat("data { test { csv { path: \"", path,
                                       "\" target: \"y\" } } }"))),
      StatusIs(kInvalid, "the labels are text, such as \"ill\""));
}

TEST_F(OwnDataTest, Cifar10) {
  std::string record(3073, '\1');
  const std::string first = files_.Write("1.bin", record);
  record[0] = '\5';
  const std::string spec =
      absl::StrCat("cifar10:", first, ",", files_.Write("2.bin", record));
  EXPECT_THAT(Targets(spec, Run("softmax {} features: 3072 classes: 10")),
              ElementsAre(1, 5));
  EXPECT_THAT(
      LoadOwn<float>(spec, Run("softmax {} features: 3072 classes: 8")),
      StatusIs(kInvalid,
               "the data has 10 classes, but the run's model.classes is 8"));
  EXPECT_THAT(
      LoadOwn<float>(spec, Run("softmax {} features: 784 classes: 10")),
      StatusIs(kInvalid,
               "the data has 3072 features, but the run's model.features is "
               "784"));
}

TEST_F(OwnDataTest, TextNeedsAnAlphabetThatAllShare) {
  const std::string spec = "text:" + files_.Write("a.txt", "cacbaa");
  constexpr char kModel[] = "softmax {} features: 2 classes: 4";
  EXPECT_THAT(LoadOwn<float>(spec, Run(kModel)),
              StatusIs(kInvalid,
                       "clients' own text needs an alphabet that is the same "
                       "for all: set data.test.text.alphabet in the run file"));
  // It stands with data.test, whose file only the coordinator needs.
  const auto with_test = [](const std::string& alphabet,
                            const std::string& more = "") {
    return absl::StrCat("data { test { text { path: \"none\" context: 2 ",
                        "alphabet: \"", alphabet, "\" ", more, " } } }");
  };
  EXPECT_THAT(Targets(spec, Run(kModel, with_test("abcd"))),
              ElementsAre(2, 1, 0, 0));
  EXPECT_THAT(Targets(spec, Run(kModel, with_test("abcd", "stride: 2"))),
              ElementsAre(2, 0));
  EXPECT_THAT(LoadOwn<float>(spec, Run(kModel, with_test("ab"))),
              StatusIs(kInvalid, "a.txt:1: the character \"c\" (byte 99)"));
  EXPECT_THAT(
      LoadOwn<float>(spec, Run(kModel, with_test("abcdefgh"))),
      StatusIs(kInvalid,
               "the data has 8 classes, but the run's model.classes is 4"));

  // Beside data.train, which the client may not see.
  const auto with_train = [](const std::string& alphabet) {
    return absl::StrCat("data { train { text { path: \"none\" context: 2 ",
                        alphabet, " } } }");
  };
  EXPECT_THAT(LoadOwn<float>(spec, Run(kModel, with_train(""))),
              StatusIs(kInvalid, "set data.train.text.alphabet"));
  EXPECT_THAT(Targets(spec, Run(kModel, with_train("alphabet: \"abc\""))),
              ElementsAre(2, 1, 0, 0));
}

}  // namespace
}  // namespace parley
