// What a person's tools ask of a running coordinator.
#ifndef PARLEY_CLIENT_RPC_ADMIN_CLIENT_H_
#define PARLEY_CLIENT_RPC_ADMIN_CLIENT_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "parley/v1/admin.grpc.pb.h"

namespace parley {

// Blocking calls. Unavailable: nobody answers at the address.
// DeadlineExceeded: no answer within the timeout. Thread-safe.
class AdminClient {
 public:
  // Errors are those of Dial. Nothing is sent yet.
  static absl::StatusOr<std::unique_ptr<AdminClient>> Create(
      const std::string& address, const DialOptions& options,
      absl::Duration timeout = absl::Seconds(10));

  absl::StatusOr<v1::RunStatus> GetStatus();

  // Calls `on_change` with the present status, then with each change, until it
  // returns false or the run ends.
  absl::Status Watch(
      absl::FunctionRef<bool(const v1::RunStatus& status)> on_change);

  absl::Status Stop(const std::string& reason);

 private:
  AdminClient(std::string address, std::unique_ptr<v1::Admin::Stub> stub,
              absl::Duration timeout)
      : address_(std::move(address)),
        stub_(std::move(stub)),
        timeout_(timeout) {}
  absl::Status Ended(const grpc::Status& status) const;

  const std::string address_;  // for people
  const std::unique_ptr<v1::Admin::Stub> stub_;
  const absl::Duration timeout_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_RPC_ADMIN_CLIENT_H_
