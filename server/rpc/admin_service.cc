#include "server/rpc/admin_service.h"

#include <optional>
#include <utility>

#include "common/base/mutex.h"

namespace parley {
namespace {

bool IsFinal(v1::RunState state) {
  return state == v1::FINISHED || state == v1::STOPPED || state == v1::FAILED;
}

// Answers with the first status that it hears. Deletes itself.
class GetStatusReactor final : public grpc::ServerUnaryReactor {
 public:
  GetStatusReactor(Coordinator* coordinator, LiveCalls* calls,
                   v1::RunStatus* response)
      : coordinator_(coordinator), response_(response), live_(calls) {
    watch_ = coordinator_->Watch([this](const v1::RunStatus& status) {
      if (!First()) return;
      *response_ = status;
      Finish(grpc::Status::OK);
    });
  }

  void OnCancel() override {
    if (First()) Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    coordinator_->Unwatch(watch_);
    delete this;
  }

 private:
  bool First() {
    MutexLock lock(mu_);
    return !std::exchange(finished_, true);
  }

  Coordinator* const coordinator_;
  v1::RunStatus* const response_;
  uint64_t watch_ = 0;  // set before gRPC knows the reactor, so before OnDone
  Mutex mu_;
  bool finished_ GUARDED_BY(mu_) = false;
  LiveCalls::Ref live_;
};

// Writes the latest status whenever the one before is on its way; a slow
// watcher misses those between. Deletes itself.
class WatchReactor final : public grpc::ServerWriteReactor<v1::RunStatus> {
 public:
  WatchReactor(Coordinator* coordinator, LiveCalls* calls)
      : coordinator_(coordinator), live_(calls) {
    watch_ = coordinator_->Watch([this](const v1::RunStatus& status) {
      {
        MutexLock lock(mu_);
        latest_ = status;
        over_ = over_ || IsFinal(status.state());
      }
      Advance();
    });
  }

  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(mu_);
      writing_ = false;
    }
    if (ok) {
      Advance();
    } else {
      OnCancel();
    }
  }
  void OnCancel() override {
    {
      MutexLock lock(mu_);
      latest_.reset();
      over_ = true;
    }
    Advance();
  }
  void OnDone() override {
    coordinator_->Unwatch(watch_);
    delete this;
  }

 private:
  void Advance() {
    bool finish = false;
    {
      MutexLock lock(mu_);
      if (writing_ || finished_) return;
      if (latest_) {
        out_ = *std::exchange(latest_, std::nullopt);
        writing_ = true;
      } else if (over_) {
        finish = finished_ = true;
      } else {
        return;
      }
    }
    if (finish) {
      Finish(grpc::Status::OK);
    } else {
      StartWrite(&out_);
    }
  }

  Coordinator* const coordinator_;
  uint64_t watch_ = 0;  // as above
  v1::RunStatus out_;   // being written
  Mutex mu_;
  std::optional<v1::RunStatus> latest_ GUARDED_BY(mu_);  // not yet written
  bool writing_ GUARDED_BY(mu_) = false;
  bool over_ GUARDED_BY(mu_) = false;  // nothing comes after latest_
  bool finished_ GUARDED_BY(mu_) = false;
  LiveCalls::Ref live_;
};

}  // namespace

grpc::ServerUnaryReactor* AdminService::GetStatus(grpc::CallbackServerContext*,
                                                  const v1::StatusRequest*,
                                                  v1::RunStatus* response) {
  return new GetStatusReactor(coordinator_, &calls_, response);
}

grpc::ServerWriteReactor<v1::RunStatus>* AdminService::Watch(
    grpc::CallbackServerContext*, const v1::StatusRequest*) {
  return new WatchReactor(coordinator_, &calls_);
}

grpc::ServerUnaryReactor* AdminService::Stop(
    grpc::CallbackServerContext* context, const v1::StopRequest* request,
    v1::StopReply*) {
  coordinator_->Stop(request->reason());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace parley
