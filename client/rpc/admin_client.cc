#include "client/rpc/admin_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/status.h"

namespace parley {

absl::StatusOr<std::unique_ptr<AdminClient>> AdminClient::Create(
    const std::string& address, const DialOptions& options,
    absl::Duration timeout) {
  PARLEY_ASSIGN_OR_RETURN(auto channel, Dial(address, options));
  return std::unique_ptr<AdminClient>(
      new AdminClient(address, v1::Admin::NewStub(channel), timeout));
}

absl::Status AdminClient::Ended(const grpc::Status& status) const {
  const absl::Status ended = FromGrpc(status);
  if (!absl::IsUnavailable(ended)) return ended;
  return absl::UnavailableError(absl::StrCat("no coordinator answers at ",
                                             address_, ": ", ended.message()));
}

void AdminClient::SetDeadline(grpc::ClientContext* context) const {
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout_));
}

absl::StatusOr<v1::RunStatus> AdminClient::GetStatus(const std::string& run) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::StatusRequest request;
  request.set_run(run);
  v1::RunStatus status;
  PARLEY_RETURN_IF_ERROR(Ended(stub_->GetStatus(&context, request, &status)));
  return status;
}

absl::Status AdminClient::Watch(
    const std::string& run,
    absl::FunctionRef<bool(const v1::RunStatus& status)> on_change) {
  grpc::ClientContext context;
  v1::StatusRequest request;
  request.set_run(run);
  const auto reader = stub_->Watch(&context, request);
  v1::RunStatus status;
  while (reader->Read(&status)) {
    if (on_change(status)) continue;
    context.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  return Ended(reader->Finish());
}

absl::StatusOr<std::string> AdminClient::Stop(const std::string& run,
                                              const std::string& reason) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::StopRequest request;
  request.set_reason(reason);
  request.set_run(run);
  v1::StopReply reply;
  PARLEY_RETURN_IF_ERROR(Ended(stub_->Stop(&context, request, &reply)));
  return reply.run();
}

absl::StatusOr<v1::SubmitReply> AdminClient::Submit(
    const v1::SubmitRequest& request) {
  grpc::ClientContext context;
  v1::SubmitReply reply;
  PARLEY_RETURN_IF_ERROR(Ended(stub_->Submit(&context, request, &reply)));
  if (!reply.errors().empty()) {
    return absl::InvalidArgumentError(reply.errors());
  }
  return reply;
}

absl::StatusOr<std::vector<v1::RunStatus>> AdminClient::ListRuns() {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::ListRunsReply reply;
  PARLEY_RETURN_IF_ERROR(
      Ended(stub_->ListRuns(&context, v1::ListRunsRequest(), &reply)));
  return std::vector<v1::RunStatus>(reply.run().begin(), reply.run().end());
}

}  // namespace parley
