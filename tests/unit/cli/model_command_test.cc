#include <vector>

#include "common/base/flags.h"
#include "common/base/json.h"
#include "common/files/parameter_file.h"
#include "server/store/checkpoint.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/cli/temp_folder.h"
#include "tools/cli/command.h"
#include "tools/cli/model_source.h"

namespace parley {
namespace {

constexpr char kRunFileText[] = R"(
  model { linear_regression {} }
  data { train { regression { rows: 100 features: 2 } } }
  local { gd {} step_size { initial: 0.1 } }
  stop { rounds: 3 }
)";

class ModelCommandTest : public testing::Test {
 protected:
  int Model(std::vector<std::string> args) {
    std::vector<const char*> argv = {"model"};
    for (const std::string& arg : args) argv.push_back(arg.c_str());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = ModelCommand(static_cast<int>(argv.size()), argv.data());
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }

  void WriteCheckpointOf(int64_t round, float first) {
    spec_ = *ParameterSpec::Create(DType::kFloat32, {{"w", {2}}, {"b", {}}});
    ParameterVector values(DType::kFloat32, 3);
    values.As<float>()[0] = first;
    values.As<float>()[1] = 4;
    values.As<float>()[2] = -1;
    v1::Checkpoint head;
    head.set_run("demo");
    head.set_round(round);
    auto* spec = head.mutable_spec();
    spec->set_dtype(v1::FLOAT32);
    spec->add_tensors()->set_name("w");
    spec->mutable_tensors(0)->add_shape(2);
    spec->mutable_tensors(0)->set_merge(v1::MEAN);
    spec->add_tensors()->set_name("b");
    spec->mutable_tensors(1)->set_merge(v1::MEAN);
    ASSERT_OK(WriteCheckpoint(temp_.Path(CheckpointName(round)), head,
                              {{kModelSection, &values}}));
  }

  TempFolder temp_;
  ParameterSpec spec_;
  std::string out_, err_;
};

TEST_F(ModelCommandTest, ShowsTheLatestWholeCheckpointOfAFolder) {
  WriteCheckpointOf(10, 3);
  WriteCheckpointOf(20, 5);
  temp_.Write(CheckpointName(30), "damaged");
  ASSERT_EQ(Model({"show", temp_.path(), "--json"}), kExitOk) << err_;
  ASSERT_OK_AND_ASSIGN(Json json, Json::Parse(out_));
  EXPECT_EQ(json.Find("round")->AsInt64(), 20);
  ASSERT_EQ(Model({"show", temp_.Path(CheckpointName(10)), "--json"}), kExitOk);
  ASSERT_OK_AND_ASSIGN(json, Json::Parse(out_));
  EXPECT_EQ(json.Find("parameters")->AsInt64(), 3);
  const Json& w = json.Find("tensors")->items()[0];
  EXPECT_EQ(*w.Find("name")->AsString(), "w");
  EXPECT_EQ(w.Find("norm")->AsDouble(), 5);  // of (3, 4)
  ASSERT_EQ(Model({"show", temp_.path()}), kExitOk);
  EXPECT_THAT(out_, testing::HasSubstr("after round 20"));
}

TEST_F(ModelCommandTest, ShowsTheLastModelWhereThereIsNoCheckpoint) {
  WriteCheckpointOf(10, 3);
  const std::string file = temp_.Path("model.safetensors");
  ASSERT_EQ(Model({"export", temp_.path(), file}), kExitOk) << err_;
  std::filesystem::remove(temp_.Path(CheckpointName(10)));
  ASSERT_OK_AND_ASSIGN(const SourcedModel model, ReadModel(temp_.path()));
  EXPECT_EQ(model.file, file);
  EXPECT_EQ(model.parameters.values.As<float>()[0], 3);
}

TEST_F(ModelCommandTest, ExportsAndImportsBitForBit) {
  WriteCheckpointOf(10, 0.1f);
  const std::string npz = temp_.Path("m.npz");
  const std::string back = temp_.Path("back.safetensors");
  ASSERT_EQ(Model({"export", temp_.path(), npz}), kExitOk) << err_;
  ASSERT_EQ(Model({"import", npz, back, "--run", temp_.path()}), kExitOk)
      << err_;
  ASSERT_OK_AND_ASSIGN(const ParameterVector values,
                       LoadParameters(back, spec_));
  EXPECT_EQ(values.As<float>()[0], 0.1f);
  EXPECT_EQ(values.As<float>()[2], -1);
}

TEST_F(ModelCommandTest, ImportChecksAgainstTheRunFile) {
  const std::string run = temp_.Write("demo.textproto", kRunFileText);
  ASSERT_OK_AND_ASSIGN(const ParameterSpec spec, SpecOfRun(run));
  EXPECT_EQ(spec.elements(), 3);  // two weights and a bias
  const std::string file = temp_.Path("m.npz");
  const std::string out = temp_.Path("out.safetensors");
  ASSERT_OK(SaveParameters(file, spec, ParameterVector(spec.dtype(), 3)));
  EXPECT_EQ(Model({"import", file, out, "--run", run}), kExitOk) << err_;
  const auto other = *ParameterSpec::Create(DType::kFloat32, {{"x", {3}}});
  ASSERT_OK(SaveParameters(file, other, ParameterVector(DType::kFloat32, 3)));
  EXPECT_EQ(Model({"import", file, out, "--run", run}), kExitFailed);
  EXPECT_THAT(err_, testing::HasSubstr("\"x\" [3] is not of the model"));
}

TEST_F(ModelCommandTest, WrongUse) {
  EXPECT_EQ(Model({"show", temp_.path()}), kExitFailed);
  EXPECT_THAT(err_, testing::HasSubstr("holds no model"));
  EXPECT_EQ(Model({"show", temp_.Path("none.npz")}), kExitFailed);
  EXPECT_EQ(Model({"import", "a.npz", "b.npz"}), kExitUsage);
  WriteCheckpointOf(1, 1);
  EXPECT_EQ(Model({"export", temp_.path(), temp_.Path("m.bin")}), kExitFailed);
  EXPECT_THAT(err_, testing::HasSubstr(".safetensors or .npz"));
}

}  // namespace
}  // namespace parley
