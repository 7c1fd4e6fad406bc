#include "common/rpc/status.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace parley {
namespace {

// A byte may take three in the trailers, of which gRPC accepts 8 KiB.
constexpr size_t kMaxMessage = 2000;

// What gRPC says where no connection comes about, in people's words; any other
// text as it is.
std::string InPlainWords(const std::string& text) {
  const std::string before = "last error: ";
  const size_t last = text.rfind(before);
  if (last == std::string::npos) return text;
  const absl::string_view error =
      absl::string_view(text).substr(last + before.size());
  if (absl::StrContains(error, "wrong version number")) {
    return "what is there speaks no TLS: leave the --tls flags out, or give a "
           "coordinator its own";
  }
  if (absl::StrContains(error, "certificate verify failed")) {
    return "its certificate does not descend from those in --tls-ca";
  }
  if (absl::StrContains(error, "is not in peer certificate")) {
    return "its certificate is for another host: use a name that is in it";
  }
  if (absl::StrContains(error, "Socket closed")) {
    return "it hung up at once: it may want TLS (--tls-ca), or a certificate "
           "(--tls-cert) of an authority that it knows";
  }
  // "UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: Connection
  // refused"
  const size_t colon = error.rfind(": ");
  return std::string(
      colon == absl::string_view::npos ? error : error.substr(colon + 2));
}

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
                      code == grpc::StatusCode::UNAVAILABLE
                          ? InPlainWords(status.error_message())
                          : status.error_message());
}

}  // namespace parley
