#include "common/wire/spec.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/wire/encoding.h"

namespace parley {
namespace {

v1::MergeRule ToProto(MergeRule rule) {
  switch (rule) {
    case MergeRule::kMean:
      return v1::MEAN;
    case MergeRule::kLocal:
      return v1::LOCAL;
    case MergeRule::kCopy:
      return v1::COPY;
  }
  PARLEY_CHECK(false);
}

absl::StatusOr<MergeRule> FromProto(const v1::TensorSpec& tensor) {
  switch (tensor.merge()) {
    case v1::MEAN:
      return MergeRule::kMean;
    case v1::LOCAL:
      return MergeRule::kLocal;
    case v1::COPY:
      return MergeRule::kCopy;
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor \"", tensor.name(), "\": merge rule ",
          static_cast<int>(tensor.merge()),
          " is not known here: there are MEAN (1), LOCAL (2) and COPY (3)"));
  }
}

std::string Describe(const TensorSpec& tensor) {
  const char* merge = tensor.merge == MergeRule::kMean    ? "MEAN"
                      : tensor.merge == MergeRule::kLocal ? "LOCAL"
                                                          : "COPY";
  return absl::StrCat("\"", tensor.name, "\" [",
                      absl::StrJoin(tensor.shape, ","), "] ", merge);
}

// Says the first thing in which two specs that are not equal differ.
std::string Difference(const ParameterSpec& got, const ParameterSpec& want) {
  if (got.dtype() != want.dtype()) {
    return absl::StrCat("is ", Name(got.dtype()), " where ", Name(want.dtype()),
                        " is expected");
  }
  const size_t common = std::min(got.tensors().size(), want.tensors().size());
  for (size_t i = 0; i < common; ++i) {
    if (got.tensors()[i] == want.tensors()[i]) continue;
    return absl::StrCat("has tensor ", Describe(got.tensors()[i]), " where ",
                        Describe(want.tensors()[i]), " is expected");
  }
  if (got.tensors().size() > common) {
    return absl::StrCat("has the tensor ", Describe(got.tensors()[common]),
                        " that is not expected");
  }
  return absl::StrCat("lacks the tensor ", Describe(want.tensors()[common]));
}

}  // namespace

v1::ParameterSpec SpecToProto(const ParameterSpec& spec) {
  v1::ParameterSpec proto;
  proto.set_dtype(spec.dtype() == DType::kFloat32 ? v1::FLOAT32 : v1::FLOAT64);
  for (const TensorSpec& tensor : spec.tensors()) {
    v1::TensorSpec* out = proto.add_tensors();
    out->set_name(tensor.name);
    out->mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
    out->set_merge(ToProto(tensor.merge));
  }
  return proto;
}

absl::StatusOr<ParameterSpec> SpecFromProto(const v1::ParameterSpec& proto) {
  if (proto.dtype() != v1::FLOAT32 && proto.dtype() != v1::FLOAT64) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dtype ", static_cast<int>(proto.dtype()),
        " is not known here: there are FLOAT32 (1) and FLOAT64 (2)"));
  }
  std::vector<TensorSpec> tensors;
  tensors.reserve(proto.tensors_size());
  for (const v1::TensorSpec& tensor : proto.tensors()) {
    PARLEY_ASSIGN_OR_RETURN(const MergeRule merge, FromProto(tensor));
    tensors.push_back(
        {tensor.name(), {tensor.shape().begin(), tensor.shape().end()}, merge});
  }
  return ParameterSpec::Create(
      proto.dtype() == v1::FLOAT32 ? DType::kFloat32 : DType::kFloat64,
      std::move(tensors));
}

ParameterSpec TravellingSpec(const ParameterSpec& spec) {
  std::vector<TensorSpec> tensors;
  for (const TensorSpec& tensor : spec.tensors()) {
    if (tensor.merge != MergeRule::kLocal) tensors.push_back(tensor);
  }
  // A part of a valid spec is valid.
  return *ParameterSpec::Create(spec.dtype(), std::move(tensors));
}

v1::Payload PayloadFor(absl::string_view name, const ParameterSpec& spec,
                       v1::Encoding encoding) {
  const ParameterSpec travelling = TravellingSpec(spec);
  v1::Payload payload;
  payload.set_name(std::string(name));
  *payload.mutable_spec() = SpecToProto(travelling);
  payload.set_spec_hash(travelling.Hash());
  payload.set_encoding(encoding);
  payload.set_elements(travelling.elements());
  payload.set_bytes(travelling.elements() * EncodedSize(encoding));
  return payload;
}

absl::Status CheckPayload(const v1::Payload& payload,
                          const ParameterSpec& expected) {
  const auto refuse = [&](const auto&... what) {
    return absl::InvalidArgumentError(
        absl::StrCat("payload \"", payload.name(), "\" ", what...));
  };
  absl::StatusOr<ParameterSpec> got = SpecFromProto(payload.spec());
  if (!got.ok()) return refuse("has no valid spec: ", got.status().message());
  const ParameterSpec want = TravellingSpec(expected);
  if (*got != want) return refuse(Difference(*got, want));
  if (payload.spec_hash() != want.Hash()) {
    return refuse("has spec hash ", payload.spec_hash(), " where ", want.Hash(),
                  " is expected, though the specs are equal: the sender "
                  "computes the hash in another way than FORMAT.md says");
  }
  if (absl::Status s = CheckEncoding(payload.encoding()); !s.ok()) {
    return refuse("cannot be read: ", s.message());
  }
  if (payload.elements() != static_cast<uint64_t>(want.elements())) {
    return refuse("says ", payload.elements(), " elements where its spec has ",
                  want.elements());
  }
  const uint64_t bytes = want.elements() * EncodedSize(payload.encoding());
  if (payload.bytes() != bytes) {
    return refuse("says ", payload.bytes(), " bytes where ", want.elements(),
                  " elements in ", v1::Encoding_Name(payload.encoding()),
                  " take ", bytes);
  }
  return absl::OkStatus();
}

uint64_t BytesOf(
    const google::protobuf::RepeatedPtrField<v1::Payload>& payloads) {
  uint64_t bytes = 0;
  for (const v1::Payload& payload : payloads) bytes += payload.bytes();
  return bytes;
}

}  // namespace parley
