// Steps a session machine by hand: names what comes in, tells what goes out.
#ifndef PARLEY_TESTS_UNIT_SESSION_SESSION_MACHINE_FIXTURE_H_
#define PARLEY_TESTS_UNIT_SESSION_SESSION_MACHINE_FIXTURE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/session/session_machine.h"
#include "common/wire/protocol.h"
#include "tests/support/status_matchers.h"

namespace parley {

// One short word an effect, log lines left out.
std::string Word(const SessionEffect& effect);

using Words = std::vector<std::string>;

class SessionMachineTest : public ::testing::Test {
 protected:
  SessionMachineTest() {
    options_.hello.set_name("ann");
    options_.hello.set_incarnation(7);
    options_.hello.set_protocol_version(kProtocolVersion);
    options_.hello.add_kinds(v1::TRAIN);
    options_.hello.add_kinds(v1::EVALUATE);
    options_.servers = {"a:1"};
  }

  SessionMachine& machine() {
    if (!machine_) machine_.emplace(options_, Rng(1, "jitter"));
    return *machine_;
  }

  Words Step(SessionEvent event);

  // Lets time pass until the machine wants to be woken, at most `limit`.
  Words Wake(absl::Duration limit = absl::Hours(1)) {
    now_ = std::min(machine().wake_at(), now_ + limit);
    return Step(session_event::TimerFired{fraction_});
  }
  // All that happens within `d`.
  Words Pass(absl::Duration d) {
    const absl::Time end = now_ + d;
    Words all;
    while (machine().wake_at() <= end) {
      for (std::string& word : Wake()) all.push_back(std::move(word));
    }
    now_ = end;
    return all;
  }

  Words Start() { return Step(session_event::Started{}); }
  Words Stop() { return Step(session_event::StopRequested{"stopped"}); }
  Words Lose() {
    return Step(
        session_event::Closed{connection_, absl::UnavailableError("broken")});
  }
  Words Receive(v1::ServerMessage message) {
    if (message.run().empty()) message.set_run("run");
    if (message.term() == 0) message.set_term(term_);
    return Step(session_event::Received{connection_, std::move(message)});
  }
  v1::ServerMessage Registered() {
    v1::ServerMessage message;
    v1::Registered& r = *message.mutable_registered();
    r.set_protocol_version(kProtocolVersion);
    r.set_heartbeat_ms(1000);
    r.set_lease_ms(lease_ms_);
    r.set_token(absl::StrCat("token ", ++registrations_));
    return message;
  }
  v1::TaskId Id(int64_t round, int32_t attempt = 1) {
    v1::TaskId id;
    id.set_run("run");
    id.set_term(term_);
    id.set_round(round);
    id.set_client("ann");
    id.set_attempt(attempt);
    return id;
  }
  Words Task(int64_t round, int32_t attempt = 1,
             v1::TaskKind kind = v1::TRAIN) {
    v1::ServerMessage message;
    *message.mutable_task()->mutable_task() = Id(round, attempt);
    message.mutable_task()->set_kind(kind);
    message.mutable_task()->set_model_version(round - 1);
    return Receive(message);
  }
  Words Grant(int64_t round, uint64_t offset) {
    v1::ServerMessage message;
    *message.mutable_grant_upload()->mutable_task() = Id(round);
    message.mutable_grant_upload()->set_offset(offset);
    return Receive(message);
  }
  Words Verdict(int64_t round, bool accepted) {
    v1::ServerMessage message;
    *message.mutable_verdict()->mutable_task() = Id(round);
    message.mutable_verdict()->set_accepted(accepted);
    message.mutable_verdict()->set_reason("has NaN");
    return Receive(message);
  }
  Words Over(int64_t round) {
    v1::ServerMessage message;
    *message.mutable_task_over()->mutable_task() = Id(round);
    return Receive(message);
  }
  Words Goodbye(bool run_over, bool retry) {
    v1::ServerMessage message;
    message.mutable_goodbye()->set_reason("because");
    message.mutable_goodbye()->set_run_over(run_over);
    message.mutable_goodbye()->set_retry(retry);
    return Receive(message);
  }
  Words TrainerMade(absl::Status status = absl::OkStatus()) {
    return Step(session_event::TrainerMade{trainer_, status});
  }
  Words Transferred(absl::Status status = absl::OkStatus()) {
    return Step(session_event::TransferEnded{transfer_, status});
  }
  // At its next look.
  Words Moved(uint64_t chunks) {
    for (Words words = Wake(); words.empty() || words[0] != "look";
         words = Wake()) {
      EXPECT_EQ(words, Words{"heartbeat"});
    }
    return Step(session_event::TransferMoved{transfer_, chunks});
  }
  Words Worked() {
    v1::UpdateReady result;
    result.set_weight(10);
    return Step(session_event::Worked{job_, result});
  }

  // To the point where it waits for a task.
  void Join() {
    Start();
    Receive(Registered());
    TrainerMade();
  }
  void Reconnect() {
    Lose();
    ASSERT_THAT(Wake(), ::testing::ElementsAre("dial a:1", "register"));
    Receive(Registered());
  }
  // To the point where round 1 is trained and announced.
  void Train() {
    Join();
    Task(1);
    Transferred();
    ASSERT_THAT(Worked(), ::testing::ElementsAre("ready 1"));
  }

  SessionMachineOptions options_;
  absl::Time now_ = absl::UnixEpoch();
  uint64_t term_ = 1;
  int registrations_ = 0;
  int64_t lease_ms_ = 0;
  uint64_t connection_ = 0, trainer_ = 0, job_ = 0, transfer_ = 0;
  std::string token_;
  v1::ClientMessage sent_;
  Words said_;
  std::optional<double> fraction_;  // of the work, as the driver reads it
  std::optional<absl::Status> exit_;

 private:
  std::optional<SessionMachine> machine_;
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_SESSION_SESSION_MACHINE_FIXTURE_H_
