#include "common/report/run_status.h"

#include <google/protobuf/util/json_util.h>

namespace parley {

std::string StatusLine(const v1::RunStatus& status) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string line;
  // No message of ours can fail.
  (void)google::protobuf::util::MessageToJsonString(status, &line, options);
  return line;
}

bool HasEnded(v1::RunState state) {
  return state == v1::FINISHED || state == v1::STOPPED || state == v1::FAILED;
}

}  // namespace parley
