#include "common/wire/spec.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using absl::StatusCode;

ParameterSpec Example() {
  return *ParameterSpec::Create(DType::kFloat32,
                                {{"weights", {784, 10}, MergeRule::kMean},
                                 {"personal", {7}, MergeRule::kLocal},
                                 {"steps", {}, MergeRule::kCopy}});
}

TEST(SpecTest, GoesThroughTheMessage) {
  ASSERT_OK_AND_ASSIGN(const ParameterSpec back,
                       SpecFromProto(SpecToProto(Example())));
  EXPECT_EQ(back, Example());
}

TEST(SpecTest, HashIsTheOneInFormatMd) {
  ASSERT_OK_AND_ASSIGN(
      const ParameterSpec spec,
      ParameterSpec::Create(DType::kFloat32,
                            {{"weights", {784, 10}}, {"bias", {10}}}));
  EXPECT_EQ(spec.ToString(), "float32;weights[784,10]mean;bias[10]mean;");
  EXPECT_EQ(spec.Hash(), 0xfe08d17bd8d20d2du);
}

TEST(SpecTest, RefusesWhatAPeerMakesUp) {
  const v1::ParameterSpec good = SpecToProto(Example());
  const auto refused = [&](auto change) {
    v1::ParameterSpec bad = good;
    change(bad);
    return SpecFromProto(bad).status();
  };
  EXPECT_THAT(refused([](auto& s) { s.clear_dtype(); }),
              StatusIs(StatusCode::kInvalidArgument, "FLOAT64"));
  EXPECT_THAT(refused([](auto& s) { s.mutable_tensors(0)->clear_merge(); }),
              StatusIs(StatusCode::kInvalidArgument, "weights"));
  EXPECT_THAT(refused([](auto& s) { s.mutable_tensors(0)->set_shape(0, -1); }),
              StatusIs(StatusCode::kInvalidArgument, "weights"));
  EXPECT_THAT(
      refused([](auto& s) { s.mutable_tensors(0)->set_shape(0, 1L << 62); }),
      StatusIs(StatusCode::kInvalidArgument, ""));
  EXPECT_THAT(refused([](auto& s) { *s.add_tensors() = s.tensors(0); }),
              StatusIs(StatusCode::kInvalidArgument, "weights"));
}

TEST(PayloadTest, LeavesLocalTensorsOut) {
  const v1::Payload payload =
      PayloadFor("model", Example(), v1::ENCODING_BFLOAT16);
  EXPECT_EQ(payload.spec().tensors_size(), 2);
  EXPECT_EQ(payload.elements(), 7841u);
  EXPECT_EQ(payload.bytes(), 2 * 7841u);
  EXPECT_EQ(payload.spec_hash(), TravellingSpec(Example()).Hash());
  EXPECT_OK(CheckPayload(payload, Example()));
}

TEST(PayloadTest, SaysWhatDiffers) {
  const v1::Payload good = PayloadFor("model", Example(), v1::ENCODING_FLOAT32);
  const auto check = [&](auto change) {
    v1::Payload bad = good;
    change(bad);
    return CheckPayload(bad, Example());
  };
  EXPECT_THAT(
      check([](auto& p) {
        p.mutable_spec()->mutable_tensors(0)->set_shape(1, 11);
      }),
      StatusIs(StatusCode::kInvalidArgument,
               "payload \"model\" has tensor \"weights\" [784,11] MEAN where "
               "\"weights\" [784,10] MEAN is expected"));
  EXPECT_THAT(check([](auto& p) { p.mutable_spec()->set_dtype(v1::FLOAT64); }),
              StatusIs(StatusCode::kInvalidArgument,
                       "is float64 where float32 is expected"));
  EXPECT_THAT(
      check([](auto& p) { p.mutable_spec()->mutable_tensors()->RemoveLast(); }),
      StatusIs(StatusCode::kInvalidArgument, "lacks the tensor \"steps\""));
  EXPECT_THAT(check([](auto& p) {
                auto* extra = p.mutable_spec()->add_tensors();
                extra->set_name("more");
                extra->set_merge(v1::MEAN);
              }),
              StatusIs(StatusCode::kInvalidArgument, "\"more\" [] MEAN"));
  EXPECT_THAT(check([](auto& p) { p.set_spec_hash(1); }),
              StatusIs(StatusCode::kInvalidArgument, "spec hash"));
  EXPECT_THAT(check([](auto& p) { p.clear_encoding(); }),
              StatusIs(StatusCode::kInvalidArgument, "encoding"));
  EXPECT_THAT(check([](auto& p) { p.set_elements(p.elements() + 1); }),
              StatusIs(StatusCode::kInvalidArgument, "7842 elements"));
  EXPECT_THAT(check([](auto& p) { p.set_bytes(p.bytes() - 1); }),
              StatusIs(StatusCode::kInvalidArgument, "take 31364"));
}

}  // namespace
}  // namespace parley
