// The effects of one step of a machine of the coordinator, as its parts put
// them in.
#ifndef PARLEY_SERVER_ROUND_OUTBOX_H_
#define PARLEY_SERVER_ROUND_OUTBOX_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/log.h"
#include "server/registry/registry.h"
#include "server/round/round_events.h"

namespace parley {

// What the machine of every kind of run has to tell: clients and people. Not
// thread-safe.
class RunOutbox {
 public:
  RunOutbox(std::string run, uint64_t term)
      : run_(std::move(run)), term_(term) {}
  virtual ~RunOutbox() = default;

  // The time of the present step.
  absl::Time now = absl::InfinitePast();

  const std::string& run() const { return run_; }
  uint64_t term() const { return term_; }

  void Send(SessionId session, v1::ServerMessage message) {
    message.set_run(run_);
    message.set_term(term_);
    Put(effect::Send{session, std::move(message)});
  }
  // False where the client is not connected.
  bool Send(const Client& client, v1::ServerMessage message) {
    if (client.session == 0) return false;
    Send(client.session, std::move(message));
    return true;
  }
  void Goodbye(SessionId session, absl::string_view reason, bool run_over,
               bool retry) {
    v1::ServerMessage message;
    message.mutable_goodbye()->set_reason(std::string(reason));
    message.mutable_goodbye()->set_run_over(run_over);
    message.mutable_goodbye()->set_retry(retry);
    Send(session, std::move(message));
  }
  void EndSession(SessionId session, absl::Status why) {
    Put(effect::EndSession{session, std::move(why)});
  }

  void Say(std::string text, LogLevel level = LogLevel::kInfo) {
    Put(effect::Say{level, std::move(text)});
  }
  void Warn(std::string text) { Say(std::move(text), LogLevel::kWarning); }

 private:
  virtual void Put(effect::Send e) = 0;
  virtual void Put(effect::EndSession e) = 0;
  virtual void Put(effect::Say e) = 0;

  const std::string run_;
  const uint64_t term_;
};

// `Effect` is a variant that has these and the machine's own.
template <typename Effect>
class EffectOutbox final : public RunOutbox {
 public:
  using RunOutbox::RunOutbox;

  void Add(Effect effect) { effects_.push_back(std::move(effect)); }
  std::vector<Effect> Take() { return std::exchange(effects_, {}); }

 private:
  void Put(effect::Send e) override { Add(std::move(e)); }
  void Put(effect::EndSession e) override { Add(std::move(e)); }
  void Put(effect::Say e) override { Add(std::move(e)); }

  std::vector<Effect> effects_;
};

using Outbox = EffectOutbox<RoundEffect>;

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_OUTBOX_H_
