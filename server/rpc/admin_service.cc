#include "server/rpc/admin_service.h"

#include <optional>
#include <utility>

#include "common/base/mutex.h"
#include "common/report/run_status.h"
#include "common/rpc/status.h"

namespace parley {
namespace {

// Answers with the first status that it hears. Deletes itself.
class GetStatusReactor final : public grpc::ServerUnaryReactor {
 public:
  GetStatusReactor(RunAdmin* admin, LiveCalls* calls, const std::string& run,
                   v1::RunStatus* response)
      : admin_(admin), response_(response), live_(calls) {
    const auto watch = admin_->Watch(run, [this](const v1::RunStatus& status) {
      if (!First()) return;
      *response_ = status;
      Finish(grpc::Status::OK);
    });
    if (watch.ok()) {
      watch_ = *watch;
    } else if (First()) {
      Finish(ToGrpc(watch.status()));
    }
  }

  void OnCancel() override {
    if (First()) Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    admin_->Unwatch(watch_);
    delete this;
  }

 private:
  bool First() {
    MutexLock lock(mu_);
    return !std::exchange(finished_, true);
  }

  RunAdmin* const admin_;
  v1::RunStatus* const response_;
  uint64_t watch_ = 0;  // set before gRPC knows the reactor, so before OnDone
  Mutex mu_;
  bool finished_ GUARDED_BY(mu_) = false;
  LiveCalls::Ref live_;
};

// Lives until it has been answered, whatever the client does. Deletes itself.
class SubmitReactor final : public grpc::ServerUnaryReactor {
 public:
  SubmitReactor(RunAdmin* admin, LiveCalls* calls,
                const v1::SubmitRequest& request, v1::SubmitReply* response)
      : live_(calls) {
    admin->Submit(request,
                  [this, response](absl::StatusOr<v1::SubmitReply> reply) {
                    if (reply.ok()) *response = *std::move(reply);
                    Finish(ToGrpc(reply.status()));
                  });
  }
  void OnDone() override { delete this; }

 private:
  LiveCalls::Ref live_;
};

// Writes the latest status whenever the one before is on its way; a slow
// watcher misses those between. Deletes itself.
class WatchReactor final : public grpc::ServerWriteReactor<v1::RunStatus> {
 public:
  WatchReactor(RunAdmin* admin, LiveCalls* calls, const std::string& run)
      : admin_(admin), live_(calls) {
    const auto watch = admin_->Watch(run, [this](const v1::RunStatus& status) {
      {
        MutexLock lock(mu_);
        latest_ = status;
        over_ = over_ || HasEnded(status.state());
      }
      Advance();
    });
    if (watch.ok()) {
      watch_ = *watch;
    } else {
      Finish(ToGrpc(watch.status()));
    }
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
    admin_->Unwatch(watch_);
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

  RunAdmin* const admin_;
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

grpc::ServerUnaryReactor* AdminService::GetStatus(
    grpc::CallbackServerContext*, const v1::StatusRequest* request,
    v1::RunStatus* response) {
  return new GetStatusReactor(admin_, &calls_, request->run(), response);
}

grpc::ServerWriteReactor<v1::RunStatus>* AdminService::Watch(
    grpc::CallbackServerContext*, const v1::StatusRequest* request) {
  return new WatchReactor(admin_, &calls_, request->run());
}

grpc::ServerUnaryReactor* AdminService::Stop(
    grpc::CallbackServerContext* context, const v1::StopRequest* request,
    v1::StopReply* response) {
  absl::StatusOr<std::string> run =
      admin_->Stop(request->run(), request->reason());
  if (run.ok()) response->set_run(*std::move(run));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(run.status()));
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::Submit(grpc::CallbackServerContext*,
                                               const v1::SubmitRequest* request,
                                               v1::SubmitReply* response) {
  return new SubmitReactor(admin_, &calls_, *request, response);
}

grpc::ServerUnaryReactor* AdminService::ListRuns(
    grpc::CallbackServerContext* context, const v1::ListRunsRequest*,
    v1::ListRunsReply* response) {
  for (v1::RunStatus& run : admin_->Runs()) {
    run.clear_client();
    *response->add_run() = std::move(run);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace parley
