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

absl::StatusOr<v1::RunStatus> AdminClient::GetStatus() {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout_));
  v1::RunStatus status;
  PARLEY_RETURN_IF_ERROR(
      Ended(stub_->GetStatus(&context, v1::StatusRequest(), &status)));
  return status;
}

absl::Status AdminClient::Watch(
    absl::FunctionRef<bool(const v1::RunStatus& status)> on_change) {
  grpc::ClientContext context;
  const auto reader = stub_->Watch(&context, v1::StatusRequest());
  v1::RunStatus status;
  while (reader->Read(&status)) {
    if (on_change(status)) continue;
    context.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  return Ended(reader->Finish());
}

absl::Status AdminClient::Stop(const std::string& reason) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout_));
  v1::StopRequest request;
  request.set_reason(reason);
  v1::StopReply reply;
  return Ended(stub_->Stop(&context, request, &reply));
}

}  // namespace parley
