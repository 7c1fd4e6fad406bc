#include "server/round/update_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/wire/spec.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

class UpdateCheck : public ::testing::Test {
 protected:
  UpdateCheck() {
    task.set_kind(v1::TRAIN);
    task.set_model_version(4);
    task.set_update_encoding(v1::ENCODING_BFLOAT16);
    update.set_weight(10);
    update.set_contributors(1);
    update.set_base_version(4);
    update.set_seconds(1.5);
    (*update.mutable_scalars())["loss"] = 0.1;
    *update.add_payloads() = PayloadFor("model", spec, v1::ENCODING_BFLOAT16);
  }
  // What is wrong after this change.
  template <typename F>
  std::string After(F change) {
    v1::UpdateReady changed = update;
    change(changed);
    const absl::Status status = CheckUpdate(changed, task, spec, 1000);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }

  const ParameterSpec spec = *ParameterSpec::Create(
      DType::kFloat32, {{"w", {3, 2}, MergeRule::kMean}});
  v1::Task task;
  v1::UpdateReady update;
};

TEST_F(UpdateCheck, AGoodOnePasses) {
  EXPECT_OK(CheckUpdate(update, task, spec, 1000));
}

TEST_F(UpdateCheck, Weights) {
  for (const double weight :
       {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(After([&](auto& u) { u.set_weight(weight); }),
                HasSubstr("weight"));
  }
  EXPECT_THAT(After([](auto& u) { u.set_weight(1001); }),
              HasSubstr("limits.max_weight"));
}

TEST_F(UpdateCheck, Counts) {
  EXPECT_THAT(After([](auto& u) { u.set_local_steps(-1); }),
              HasSubstr("local_steps"));
  EXPECT_THAT(After([](auto& u) { u.set_contributors(0); }),
              HasSubstr("contributors"));
  EXPECT_THAT(After([](auto& u) { u.set_base_version(3); }),
              HasSubstr("version 3"));
  EXPECT_THAT(After([](auto& u) { u.set_seconds(-1); }), HasSubstr("seconds"));
  EXPECT_THAT(After([](auto& u) { u.set_seconds(std::nan("")); }),
              HasSubstr("seconds"));
}

TEST_F(UpdateCheck, Extras) {
  EXPECT_THAT(
      After([](auto& u) { (*u.mutable_scalars())["loss"] = std::nan(""); }),
      HasSubstr("'loss' is nan"));
  EXPECT_THAT(After([](auto& u) { (*u.mutable_scalars())["accuracy"] = 1.5; }),
              HasSubstr("accuracy"));
  EXPECT_THAT(After([](auto& u) {
                for (int i = 0; i < 65; ++i) {
                  (*u.mutable_scalars())[absl::StrCat(i)] = 1;
                }
              }),
              HasSubstr("66 scalars"));
  EXPECT_THAT(After([](auto& u) { (*u.mutable_scalars())[""] = 1; }),
              HasSubstr("name"));
  EXPECT_THAT(
      After([](auto& u) { (*u.mutable_blobs())[std::string(129, 'x')] = ""; }),
      HasSubstr("129"));
  EXPECT_THAT(After([](auto& u) {
                (*u.mutable_blobs())["x"] = std::string((64 << 10) + 1, 'x');
              }),
              HasSubstr("65537 bytes"));
}

TEST_F(UpdateCheck, TheLossIsToldWhereStepsAreScaledByIt) {
  (*task.mutable_values())["log_loss"] = -3;
  EXPECT_THAT(After([](auto&) {}), HasSubstr("'log_loss' is missing"));
  EXPECT_THAT(After([](auto& u) {
                (*u.mutable_scalars())["log_loss"] =
                    -std::numeric_limits<double>::infinity();
              }),
              HasSubstr("'log_loss' is -inf"));
  (*update.mutable_scalars())["log_loss"] = -1e4;
  EXPECT_OK(CheckUpdate(update, task, spec, 1000));
}

TEST_F(UpdateCheck, Payloads) {
  EXPECT_THAT(After([](auto& u) { u.clear_payloads(); }), HasSubstr("model"));
  EXPECT_THAT(After([](auto& u) { *u.add_payloads() = u.payloads(0); }),
              HasSubstr("no other"));
  EXPECT_THAT(After([](auto& u) { u.mutable_payloads(0)->set_name("x"); }),
              HasSubstr("model"));
  EXPECT_THAT(After([&](auto& u) {
                *u.mutable_payloads(0) =
                    PayloadFor("model", spec, v1::ENCODING_FLOAT32);
              }),
              HasSubstr("ENCODING_BFLOAT16"));
  EXPECT_THAT(
      After([](auto& u) {
        u.mutable_payloads(0)->mutable_spec()->mutable_tensors(0)->set_shape(0,
                                                                             4);
      }),
      HasSubstr("w"));
  After([](auto& u) { u.mutable_payloads(0)->set_spec_hash(1); });
  After([](auto& u) { u.mutable_payloads(0)->set_bytes(11); });
  After([](auto& u) { u.mutable_payloads(0)->set_elements(5); });
}

TEST_F(UpdateCheck, AnEvaluationHasNoPayloads) {
  task.set_kind(v1::EVALUATE);
  EXPECT_THAT(After([](auto&) {}), HasSubstr("no payloads"));
  update.clear_payloads();
  EXPECT_OK(CheckUpdate(update, task, spec, 1000));
}

TEST(Printable, CutsAndEscapes) {
  EXPECT_EQ(Printable("a\nb\x01"), "a\\nb\\001");
  EXPECT_EQ(Printable("grün"), "grün");
  std::string longer(299, 'x');
  longer += "üü";  // is not cut in the middle
  EXPECT_EQ(Printable(longer), std::string(299, 'x') + "...");
}

}  // namespace
}  // namespace parley
