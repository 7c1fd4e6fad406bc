// Between absl::Status and grpc::Status, whose codes are the same.
#ifndef PARLEY_COMMON_RPC_STATUS_H_
#define PARLEY_COMMON_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace parley {

// Messages travel in HTTP/2 trailers, which are limited: a long one is cut.
grpc::Status ToGrpc(const absl::Status& status);

// A code that is none of absl's becomes Unknown.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace parley

#endif  // PARLEY_COMMON_RPC_STATUS_H_
