// What a payload says of itself, to the messages and, checked, from them.
#ifndef PARLEY_COMMON_WIRE_SPEC_H_
#define PARLEY_COMMON_WIRE_SPEC_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/parameters.h"
#include "parley/v1/model.pb.h"

namespace parley {

v1::ParameterSpec SpecToProto(const ParameterSpec& spec);

// InvalidArgument: a dtype or merge rule that is unknown here, or what
// ParameterSpec::Create refuses.
absl::StatusOr<ParameterSpec> SpecFromProto(const v1::ParameterSpec& proto);

// `spec` without its LOCAL tensors, which never travel.
ParameterSpec TravellingSpec(const ParameterSpec& spec);

// Describes numbers of TravellingSpec(spec), written in `encoding`.
v1::Payload PayloadFor(absl::string_view name, const ParameterSpec& spec,
                       v1::Encoding encoding);

// OK when `payload` holds numbers of TravellingSpec(expected) in a known
// encoding, and its counts and hash agree with that. InvalidArgument otherwise;
// says which tensor differs and how.
absl::Status CheckPayload(const v1::Payload& payload,
                          const ParameterSpec& expected);

// Of all payloads of a task or an update together.
uint64_t BytesOf(
    const google::protobuf::RepeatedPtrField<v1::Payload>& payloads);

}  // namespace parley

#endif  // PARLEY_COMMON_WIRE_SPEC_H_
