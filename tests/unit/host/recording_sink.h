// A client's way back that remembers what was said.
#ifndef PARLEY_TESTS_UNIT_HOST_RECORDING_SINK_H_
#define PARLEY_TESTS_UNIT_HOST_RECORDING_SINK_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/wire/protocol.h"
#include "server/run/coordinator.h"

namespace parley {

// A Register as a client of ours sends it.
inline v1::ClientMessage Hello(const std::string& name,
                               const std::string& run = "",
                               const std::vector<std::string>& except = {}) {
  v1::ClientMessage message;
  message.set_run(run);
  v1::Register& hello = *message.mutable_register_();
  hello.set_protocol_version(kProtocolVersion);
  hello.set_name(name);
  hello.set_incarnation(7);
  hello.add_kinds(v1::TRAIN);
  hello.add_encodings(v1::ENCODING_FLOAT32);
  for (const std::string& other : except) hello.add_except_runs(other);
  return message;
}

// Thread-safe.
class RecordingSink final : public SessionSink {
 public:
  void Send(v1::ServerMessage message) override {
    MutexLock lock(mu_);
    messages_.push_back(message);
    changed_.SignalAll();
  }
  void SendAhead(v1::ServerMessage message) override {
    Send(message);
    MutexLock lock(mu_);
    ++ahead_;
  }
  int ahead() {
    MutexLock lock(mu_);
    return ahead_;
  }
  void Close(const absl::Status& status) override {
    MutexLock lock(mu_);
    // ThreadSanitizer does not see how Debian's Abseil counts shared ones.
    closed_ = absl::Status(status.code(), status.message());
    changed_.SignalAll();
  }

  std::vector<v1::ServerMessage> messages() {
    MutexLock lock(mu_);
    return messages_;
  }
  std::optional<absl::Status> closed() {
    MutexLock lock(mu_);
    return closed_;
  }
  // Blocks until one holds; that one.
  v1::ServerMessage Await(std::function<bool(const v1::ServerMessage&)> holds) {
    MutexLock lock(mu_);
    for (size_t i = 0;; ++i) {
      while (i >= messages_.size()) changed_.Wait(mu_);
      if (holds(messages_[i])) return messages_[i];
    }
  }
  v1::ServerMessage AwaitRegistered() {
    return Await([](const auto& message) { return message.has_registered(); });
  }
  v1::Goodbye AwaitGoodbye() {
    return Await([](const auto& message) { return message.has_goodbye(); })
        .goodbye();
  }
  absl::Status AwaitClosed() {
    MutexLock lock(mu_);
    while (!closed_) changed_.Wait(mu_);
    return *closed_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::vector<v1::ServerMessage> messages_ GUARDED_BY(mu_);
  int ahead_ GUARDED_BY(mu_) = 0;  // of these, by SendAhead
  std::optional<absl::Status> closed_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_HOST_RECORDING_SINK_H_
