#include "tests/unit/rpc/fake_coordinator.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace parley {

SessionId FakeCoordinator::OpenSession(PeerIdentity peer,
                                       std::shared_ptr<SessionSink> sink) {
  MutexLock lock(mu_);
  const SessionId id = sessions_.size() + 1;
  sessions_[id] = {std::move(peer), std::move(sink), {}, std::nullopt};
  changed_.SignalAll();
  return id;
}

void FakeCoordinator::Receive(SessionId session, v1::ClientMessage message) {
  std::shared_ptr<SessionSink> sink;
  v1::ServerMessage reply;
  {
    MutexLock lock(mu_);
    Session& s = sessions_[session];
    reply.set_run(message.run());
    reply.mutable_notice()->set_text(
        absl::StrCat("message ", s.messages.size()));
    s.messages.push_back(std::move(message));
    if (echo) sink = s.sink;
    changed_.SignalAll();
  }
  if (sink != nullptr) sink->Send(reply);
}

void FakeCoordinator::CloseSession(SessionId session, const absl::Status& why) {
  MutexLock lock(mu_);
  sessions_[session].closed = why;
  sessions_[session].sink.reset();
  changed_.SignalAll();
}

void FakeCoordinator::Answer(std::function<void()> answer) {
  if (!hold_answers) return answer();
  MutexLock lock(mu_);
  held_.push_back(std::move(answer));
  changed_.SignalAll();
}

void FakeCoordinator::Remember(BreakOff break_off) {
  MutexLock lock(mu_);
  transfers_.push_back(std::move(break_off));
}

void FakeCoordinator::BreakTransfersOff(const absl::Status& why) {
  std::vector<BreakOff> transfers;
  {
    MutexLock lock(mu_);
    transfers.swap(transfers_);
  }
  for (BreakOff& break_off : transfers) std::move(break_off)(why);
}

void FakeCoordinator::OpenDownload(const v1::DownloadRequest& request,
                                   DownloadReady ready, BreakOff break_off) {
  Remember(std::move(break_off));
  auto shared = std::make_shared<DownloadReady>(std::move(ready));
  Answer(
      [this, request, shared] { std::move (*shared)(make_source(request)); });
}

void FakeCoordinator::OpenUpload(const v1::TransferHeader& header,
                                 UploadReady ready, BreakOff break_off) {
  Remember(std::move(break_off));
  auto shared = std::make_shared<UploadReady>(std::move(ready));
  Answer([this, header, shared] { std::move (*shared)(make_sink(header)); });
}

absl::StatusOr<uint64_t> FakeCoordinator::Watch(const std::string& run,
                                                StatusCallback on_change) {
  if (run != "" && run != "run") return absl::NotFoundError("no such run");
  MutexLock lock(watch_mu_);
  on_change(status_);
  watches_[next_watch_] = std::move(on_change);
  return next_watch_++;
}

void FakeCoordinator::Unwatch(uint64_t id) {
  MutexLock lock(watch_mu_);
  watches_.erase(id);
}

absl::StatusOr<std::string> FakeCoordinator::Stop(const std::string& run,
                                                  const std::string& reason) {
  if (run != "" && run != "run") return absl::NotFoundError("no such run");
  v1::RunStatus status;
  status.set_state(v1::STOPPED);
  status.set_detail(reason);
  SetStatus(status);
  return "run";
}

void FakeCoordinator::Submit(v1::SubmitRequest request, SubmitDone done) {
  v1::SubmitReply reply;
  if (request.text().empty()) {
    reply.set_errors("one\ntwo");
  } else {
    reply.set_run(request.path());
  }
  std::move(done)(std::move(reply));
}

std::vector<v1::RunStatus> FakeCoordinator::Runs() {
  MutexLock lock(watch_mu_);
  return {status_};
}

void FakeCoordinator::SetStatus(const v1::RunStatus& status) {
  MutexLock lock(watch_mu_);
  status_ = status;
  for (auto& [id, on_change] : watches_) on_change(status_);
}

size_t FakeCoordinator::watchers() {
  MutexLock lock(watch_mu_);
  return watches_.size();
}

FakeCoordinator::Session FakeCoordinator::Await(
    SessionId id, std::function<bool(const Session&)> ready) {
  MutexLock lock(mu_);
  while (sessions_.count(id) == 0 || !ready(sessions_[id])) changed_.Wait(mu_);
  return sessions_[id];
}

void FakeCoordinator::AwaitHeld() {
  MutexLock lock(mu_);
  while (held_.empty()) changed_.Wait(mu_);
}

void FakeCoordinator::ReleaseAnswers() {
  std::vector<std::function<void()>> held;
  {
    MutexLock lock(mu_);
    held = std::exchange(held_, {});
  }
  for (auto& answer : held) answer();
}

void RecordingListener::OnMessage(v1::ServerMessage message) {
  MutexLock lock(mu_);
  messages_.push_back(std::move(message));
  changed_.SignalAll();
}

void RecordingListener::OnClosed(const absl::Status& status) {
  MutexLock lock(mu_);
  closed_ = status;
  changed_.SignalAll();
}

std::vector<v1::ServerMessage> RecordingListener::AwaitMessages(size_t count) {
  MutexLock lock(mu_);
  while (messages_.size() < count && !closed_) changed_.Wait(mu_);
  return messages_;
}

absl::Status RecordingListener::AwaitClosed() {
  MutexLock lock(mu_);
  while (!closed_) changed_.Wait(mu_);
  return *closed_;
}

CoordinatorTransport::Done DoneStatus::callback() {
  return [this](absl::Status status) {
    MutexLock lock(mu_);
    status_ = std::move(status);
    changed_.SignalAll();
  };
}

absl::Status DoneStatus::Await() {
  MutexLock lock(mu_);
  while (!status_) changed_.Wait(mu_);
  return *status_;
}

}  // namespace parley
