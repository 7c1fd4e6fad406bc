#include "common/config/overrides.h"

#include "common/config/load.h"
#include "parley/v1/run.pb.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

class OverridesTest : public ::testing::Test {
 protected:
  void Set(const std::string& text) {
    EXPECT_THAT(ApplyOverride(text, &config_),
                StatusIs(absl::StatusCode::kOk, ""))
        << text;
  }
  std::string ErrorOf(const std::string& text) {
    return std::string(ApplyOverride(text, &config_).status().message());
  }

  v1::RunConfig config_;
};

TEST_F(OverridesTest, SetsScalars) {
  Set("stop.rounds=5");
  Set("data.partition.dirichlet.alpha = 0.1");
  Set("precision=FLOAT64");
  Set("seed=18446744073709551615");
  Set("evaluation.central=false");
  Set("cohort.over_selection=1e-3");
  EXPECT_EQ(config_.stop().rounds(), 5);
  EXPECT_EQ(config_.data().partition().dirichlet().alpha(), 0.1);
  EXPECT_EQ(config_.precision(), v1::FLOAT64);
  EXPECT_EQ(config_.seed(), 18446744073709551615u);
  EXPECT_TRUE(config_.evaluation().has_central());
  EXPECT_EQ(config_.cohort().over_selection(), 1e-3);
  Set("cohort.over_selection=0");
  EXPECT_EQ(config_.cohort().over_selection(), 0);
}

TEST_F(OverridesTest, StringsGoWithOrWithoutQuotes) {
  Set("name=a b\"c");
  EXPECT_EQ(config_.name(), "a b\"c");
  Set("name=\"x\"");
  EXPECT_EQ(config_.name(), "x");
  Set("name=");
  EXPECT_EQ(config_.name(), "");
  Set("start.file=/a/b=c.npz");
  EXPECT_EQ(config_.start().file(), "/a/b=c.npz");
}

TEST_F(OverridesTest, ReplacesLists) {
  Set("model.mlp.hidden=[300,100]");
  Set("model.mlp.hidden=[20, 10]");
  EXPECT_THAT(config_.model().mlp().hidden(), ::testing::ElementsAre(20, 10));
  Set("model.mlp.hidden[1]=7");
  Set("model.mlp.hidden[2]=8");
  EXPECT_THAT(config_.model().mlp().hidden(), ::testing::ElementsAre(20, 7, 8));
  EXPECT_EQ(ErrorOf("model.mlp.hidden[4]=1"), "hidden has 3 elements");
  EXPECT_EQ(ErrorOf("model.mlp.hidden[0]=[1,2]"),
            "model.mlp.hidden[0] takes one element");
  Set("model.mlp.hidden=5");
  EXPECT_THAT(config_.model().mlp().hidden(), ::testing::ElementsAre(5));
  Set("model.mlp.hidden=[]");
  EXPECT_TRUE(config_.model().mlp().hidden().empty());
}

TEST_F(OverridesTest, ReachesElementsAndMaps) {
  Set("round_values[0].name=a");
  Set("round_values[1]={name: \"b\" initial: 2}");
  Set("round_values[0].initial=3");
  EXPECT_EQ(config_.round_values(0).initial(), 3);
  EXPECT_EQ(config_.round_values(1).name(), "b");
  EXPECT_EQ(ErrorOf("round_values.name=a"),
            "round_values is a list: say which, as round_values[0]");
  Set("model.custom.params.depth=3");
  Set("model.custom.params.width=\"4\"");
  Set("model.custom.params.depth=5");
  EXPECT_EQ(config_.model().custom().params().at("depth"), "5");
  EXPECT_EQ(config_.model().custom().params().at("width"), "4");
}

TEST_F(OverridesTest, ChoosesTheArmOfAOneof) {
  Set("data.partition.dirichlet.alpha=1");
  Set("data.partition.parts=3");
  Set("data.partition.iid={}");
  EXPECT_TRUE(config_.data().partition().has_iid());
  EXPECT_EQ(config_.data().partition().parts(), 3);
  Set("data.partition.shards.per_part=1");
  EXPECT_TRUE(config_.data().partition().has_shards());
  Set("data.partition={dirichlet {alpha: 2}}");
  EXPECT_EQ(config_.data().partition().dirichlet().alpha(), 2);
  EXPECT_FALSE(config_.data().partition().has_parts());
  Set("local.sgd.epochs=2");
  Set("local.sgd.steps=4");
  EXPECT_EQ(config_.local().sgd().length_case(), v1::Sgd::kSteps);
}

TEST_F(OverridesTest, ErrorsSayWhatIsAllowed) {
  EXPECT_EQ(ErrorOf("stop.rouns=1"),
            "Stop has no field rouns; did you mean rounds? It has rounds, "
            "accuracy, loss, wall_seconds");
  EXPECT_EQ(ErrorOf("data.partition.iid.x=1"),
            "Iid has no field x; it has none");
  EXPECT_EQ(ErrorOf("stop.rounds=many"),
            "stop.rounds takes a whole number, not many");
  EXPECT_EQ(ErrorOf("stop.rounds=1.5"),
            "stop.rounds takes a whole number, not 1.5");
  EXPECT_EQ(ErrorOf("stop.rounds="),
            "stop.rounds takes a whole number, not nothing");
  EXPECT_EQ(ErrorOf("seed=-1"), "seed takes a whole number >= 0, not -1");
  EXPECT_EQ(ErrorOf("stop.loss=x"), "stop.loss takes a number, not x");
  EXPECT_EQ(ErrorOf("evaluation.central=maybe"),
            "evaluation.central takes true or false, not maybe");
  EXPECT_EQ(ErrorOf("precision=FLOAT16"),
            "DType has no value FLOAT16; did you mean FLOAT32? It has FLOAT32, "
            "FLOAT64");
  EXPECT_EQ(ErrorOf("data.partition.iid=1"),
            "data.partition.iid takes fields in braces, or {}, not 1");
  EXPECT_EQ(ErrorOf("stop.rounds=1 loss: 2"),
            "stop.rounds takes a whole number, not 1 loss: 2");
  EXPECT_EQ(ErrorOf("model.mlp.hidden=[a]"),
            "model.mlp.hidden takes a list of, or one of: a whole number, not "
            "[a]");
  EXPECT_EQ(ErrorOf("stop.rounds.x=1"), "rounds has no fields");
  EXPECT_EQ(ErrorOf("stop[0].rounds=1"), "stop is no list");
  EXPECT_EQ(ErrorOf("stop"), "must be field.path=value");
  EXPECT_EQ(ErrorOf("=1"),
            " is no field path, like data.train or round_values[0].name");
  EXPECT_EQ(ErrorOf("a[x]=1"),
            "a[x] is no field path, like data.train or round_values[0].name");
}

}  // namespace
}  // namespace parley
