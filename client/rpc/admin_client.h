// What a person's tools ask of a running coordinator.
#ifndef PARLEY_CLIENT_RPC_ADMIN_CLIENT_H_
#define PARLEY_CLIENT_RPC_ADMIN_CLIENT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "parley/v1/admin.grpc.pb.h"

namespace parley {

// Blocking calls. Unavailable: nobody answers at the address.
// DeadlineExceeded: no answer within the timeout. NotFound: the coordinator has
// no such run; an empty one means what StatusRequest says. Thread-safe.
class AdminClient {
 public:
  // Errors are those of Dial. Nothing is sent yet.
  static absl::StatusOr<std::unique_ptr<AdminClient>> Create(
      const std::string& address, const DialOptions& options,
      absl::Duration timeout = absl::Seconds(10));

  absl::StatusOr<v1::RunStatus> GetStatus(const std::string& run = "");

  // Calls `on_change` with the present status, then with each change, until it
  // returns false or the run ends.
  absl::Status Watch(
      const std::string& run,
      absl::FunctionRef<bool(const v1::RunStatus& status)> on_change);

  // The name of the run.
  absl::StatusOr<std::string> Stop(const std::string& run,
                                   const std::string& reason);

  // InvalidArgument: what is wrong with the run file, a line each.
  // FailedPrecondition: the coordinator has no queue. Waits for its answer
  // however long it reads the data.
  absl::StatusOr<v1::SubmitReply> Submit(const v1::SubmitRequest& request);

  // As RunAdmin::Runs.
  absl::StatusOr<std::vector<v1::RunStatus>> ListRuns();

 private:
  AdminClient(std::string address, std::unique_ptr<v1::Admin::Stub> stub,
              absl::Duration timeout)
      : address_(std::move(address)),
        stub_(std::move(stub)),
        timeout_(timeout) {}
  absl::Status Ended(const grpc::Status& status) const;
  void SetDeadline(grpc::ClientContext* context) const;

  const std::string address_;  // for people
  const std::unique_ptr<v1::Admin::Stub> stub_;
  const absl::Duration timeout_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_RPC_ADMIN_CLIENT_H_
