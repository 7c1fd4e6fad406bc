#include "common/rpc/status.h"

#include <string>

namespace parley {
namespace {

// A byte may take three in the trailers, of which gRPC accepts 8 KiB.
constexpr size_t kMaxMessage = 2000;

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()),
                      std::string(status.message().substr(0, kMaxMessage)));
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const int code = status.error_code();
  return absl::Status(code > 0 && code <= grpc::StatusCode::UNAUTHENTICATED
                          ? static_cast<absl::StatusCode>(code)
                          : absl::StatusCode::kUnknown,
                      status.error_message());
}

}  // namespace parley
