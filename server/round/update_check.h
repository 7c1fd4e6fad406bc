// Checks what a client says of its result, before anything else looks at it.
#ifndef PARLEY_SERVER_ROUND_UPDATE_CHECK_H_
#define PARLEY_SERVER_ROUND_UPDATE_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/model/parameters.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

// OK when `update` is an answer to `task` that may count; every field but the
// task's id is checked. InvalidArgument otherwise: the text is for the person
// behind the client.
absl::Status CheckUpdate(const v1::UpdateReady& update, const v1::Task& task,
                         const ParameterSpec& spec, double max_weight);

// What a peer said, fit for logs and messages: cut short, without control
// characters, valid UTF-8.
std::string Printable(absl::string_view text);

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_UPDATE_CHECK_H_
