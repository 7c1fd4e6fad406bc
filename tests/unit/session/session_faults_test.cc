// The session machine against a scripted coordinator, over a network that
// breaks at random. Everything is drawn from the seed of the run.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "client/session/session_machine.h"
#include "common/wire/protocol.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

constexpr int64_t kRounds = 5;
constexpr uint64_t kUpdateBytes = 1000;

// One client and its coordinator in virtual time. The coordinator follows
// common/wire/FORMAT.md: it asks for a round at a time, takes each update
// once, and after a reconnect says again what it still wants.
class Federation {
 public:
  explicit Federation(uint64_t seed)
      : rng_(seed, "faults"), machine_(Options(), Rng(seed, "jitter")) {
    Step(session_event::Started{});
    while (!exited_ && now_ < absl::UnixEpoch() + absl::Hours(24)) {
      const absl::Time next =
          events_.empty() ? absl::InfiniteFuture() : events_.top().when;
      if (machine_.wake_at() < next) {
        now_ = std::max(now_, machine_.wake_at());
        Step(session_event::TimerFired{});
      } else if (next < absl::InfiniteFuture()) {
        now_ = next;
        auto run = events_.top().run;
        events_.pop();
        run();
      } else {
        break;
      }
    }
    // Whatever comes after the exit has no effect.
    while (!events_.empty()) {
      auto run = events_.top().run;
      events_.pop();
      run();
    }
    Step(session_event::StopRequested{"late"});
  }

  std::optional<absl::Status> exited_;
  std::map<int64_t, int> counted_;  // by round
  std::map<std::string, int> computed_;
  int effects_after_exit_ = 0;
  int breaks_ = 0, broken_transfers_ = 0, restarts_ = 0;

 private:
  struct Event {
    absl::Time when;
    uint64_t order;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return std::tie(when, order) > std::tie(other.when, other.order);
    }
  };

  static SessionMachineOptions Options() {
    SessionMachineOptions options;
    options.hello.set_name("ann");
    options.hello.add_kinds(v1::TRAIN);
    options.servers = {"a:1", "b:2"};
    return options;
  }

  bool Chance(double p) { return rng_.Uniform() < p; }
  void After(double seconds, std::function<void()> run) {
    events_.push({now_ + absl::Seconds(seconds), ++order_, std::move(run)});
  }

  // ---------------------------------------------------------------- client

  void Step(SessionEvent event) {
    for (SessionEffect& effect : machine_.Step(std::move(event), now_)) {
      if (exited_) ++effects_after_exit_;
      std::visit([this](auto& e) { Perform(e); }, effect);
    }
  }
  void Perform(session_effect::Dial& e) {
    connection_ = e.connection;
    registered_ = false;
    // At random nobody is there, or the connection does not last.
    if (Chance(0.2)) {
      BreakAfter(0.01);
    } else if (Chance(0.6)) {
      BreakAfter(rng_.Uniform() * 10);
    }
  }
  void Perform(session_effect::HangUp&) { connection_ = 0; }
  void Perform(session_effect::Send& e) {
    After(Latency(), [this, c = connection_, m = e.message] {
      if (c == connection_) Receive(m);
    });
  }
  void Perform(session_effect::MakeTrainer& e) {
    After(rng_.Uniform() * 3, [this, n = e.trainer] {
      Step(session_event::TrainerMade{n, absl::OkStatus()});
    });
  }
  void Perform(session_effect::OpenJob& e) {
    EXPECT_FALSE(job_open_);
    job_open_ = true;
    task_ = e.task.task();
  }
  void Perform(session_effect::StartDownload& e) {
    EXPECT_TRUE(job_open_);
    EXPECT_EQ(transfer_, 0);
    transfer_ = e.transfer;
    EndTransfer(e.transfer, rng_.Uniform() * 4, nullptr);
  }
  void Perform(session_effect::Work& e) {
    EXPECT_TRUE(job_open_);
    ++computed_[task_.ShortDebugString()];
    After(rng_.Uniform() * 6, [this, job = e.job] {
      v1::UpdateReady result;
      result.set_weight(1);
      result.add_payloads()->set_bytes(kUpdateBytes);
      Step(session_event::Worked{job, result});
    });
  }
  void Perform(session_effect::StartUpload& e) {
    EXPECT_TRUE(job_open_);
    EXPECT_EQ(transfer_, 0);
    EXPECT_EQ(e.offset, staged_);
    transfer_ = e.transfer;
    EndTransfer(e.transfer, rng_.Uniform() * 4, [this](bool whole) {
      // The coordinator has what arrived.
      staged_ =
          whole ? kUpdateBytes : staged_ + rng_.Below(kUpdateBytes - staged_);
      if (whole) Count();
    });
  }
  void Perform(session_effect::LookAtTransfer&) {}
  void Perform(session_effect::StopTransfer&) { transfer_ = 0; }
  void Perform(session_effect::DropJob&) {
    EXPECT_TRUE(job_open_);
    job_open_ = false;
  }
  // No gossip here.
  void Perform(session_effect::ListenForPeers&) { ADD_FAILURE(); }
  void Perform(session_effect::StartPeer&) { ADD_FAILURE(); }
  void Perform(session_effect::UpdatePeer&) { ADD_FAILURE(); }
  void Perform(session_effect::LeavePeer&) { ADD_FAILURE(); }
  void Perform(session_effect::EndPeer&) { ADD_FAILURE(); }
  void Perform(session_effect::Say&) {}
  void Perform(session_effect::Exit& e) { exited_ = e.status; }

  // --------------------------------------------------------------- network

  double Latency() { return 0.001 + 0.05 * rng_.Uniform(); }

  void BreakAfter(double seconds) {
    After(seconds, [this, c = connection_] {
      if (c != connection_) return;
      ++breaks_;
      Step(session_event::Closed{c, absl::UnavailableError("broken")});
    });
  }
  void EndTransfer(uint64_t transfer, double seconds,
                   std::function<void(bool whole)> arrived) {
    const bool whole = Chance(0.7);
    After(seconds, [this, transfer, whole, arrived = std::move(arrived)] {
      if (transfer != transfer_) return;
      transfer_ = 0;
      if (arrived) arrived(whole);
      if (!whole) ++broken_transfers_;
      Step(session_event::TransferEnded{
          transfer,
          whole ? absl::OkStatus() : absl::UnavailableError("reset")});
    });
  }
  void SendToClient(v1::ServerMessage message) {
    message.set_run("run");
    message.set_term(term_);
    // In order: each at least as late as the one before.
    arrival_ = std::max(arrival_, now_ + absl::Seconds(Latency()));
    events_.push(
        {arrival_, ++order_, [this, c = connection_, m = std::move(message)] {
           if (c == connection_) {
             Step(session_event::Received{c, m});
           }
         }});
  }

  // ----------------------------------------------------------- coordinator

  v1::TaskId Wanted() const {
    v1::TaskId id;
    id.set_run("run");
    id.set_term(term_);
    id.set_round(round_);
    id.set_client("ann");
    id.set_attempt(1);
    return id;
  }

  void Receive(const v1::ClientMessage& message) {
    if (message.has_register_()) {
      // Now and then it starts anew and has forgotten what it staged.
      if (Chance(0.1)) {
        ++term_;
        ++restarts_;
        staged_ = 0;
        announced_ = false;
      }
      registered_ = true;
      v1::ServerMessage reply;
      reply.mutable_registered()->set_protocol_version(kProtocolVersion);
      reply.mutable_registered()->set_heartbeat_ms(1000);
      SendToClient(reply);
      return Ask();
    }
    if (!registered_ || message.term() != term_) return;
    if (message.has_update_ready() &&
        message.update_ready().task().round() == round_ &&
        message.update_ready().task().term() == term_) {
      announced_ = true;
      After(rng_.Uniform(), [this, c = connection_] {
        if (c == connection_) Ask();
      });
    }
    EXPECT_FALSE(message.has_task_failed());
  }

  // Says what is wanted next: the task, its upload, or nothing more.
  void Ask() {
    if (!registered_ || transfer_ != 0) return;
    v1::ServerMessage message;
    if (round_ > kRounds) {
      message.mutable_goodbye()->set_run_over(true);
    } else if (!announced_) {
      *message.mutable_task()->mutable_task() = Wanted();
      message.mutable_task()->set_kind(v1::TRAIN);
    } else {
      *message.mutable_grant_upload()->mutable_task() = Wanted();
      message.mutable_grant_upload()->set_offset(staged_);
    }
    SendToClient(message);
  }

  // An update is whole: it counts, and the next round begins.
  void Count() {
    ++counted_[round_];
    v1::ServerMessage verdict;
    *verdict.mutable_verdict()->mutable_task() = Wanted();
    verdict.mutable_verdict()->set_accepted(true);
    SendToClient(verdict);
    if (Chance(0.5)) {  // else the next task says so
      v1::ServerMessage over;
      *over.mutable_task_over()->mutable_task() = Wanted();
      over.mutable_task_over()->set_counted(true);
      SendToClient(over);
    }
    ++round_;
    staged_ = 0;
    announced_ = false;
    After(0.1, [this, c = connection_] {
      if (c == connection_) Ask();
    });
  }

  Rng rng_;
  absl::Time now_ = absl::UnixEpoch();
  absl::Time arrival_ = absl::InfinitePast();
  uint64_t order_ = 0;
  std::priority_queue<Event> events_;

  uint64_t connection_ = 0;
  bool job_open_ = false;
  uint64_t transfer_ = 0;
  v1::TaskId task_;

  uint64_t term_ = 1;
  int64_t round_ = 1;
  bool registered_ = false;
  bool announced_ = false;
  uint64_t staged_ = 0;

  SessionMachine machine_;  // last: its steps use the others
};

TEST(SessionFaultsTest, EveryUpdateCountsOnceAndNothingIsComputedTwice) {
  int breaks = 0, broken_transfers = 0, restarts = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    Federation federation(seed);
    ASSERT_TRUE(federation.exited_.has_value()) << "it hangs";
    ASSERT_OK(*federation.exited_);
    for (int64_t round = 1; round <= kRounds; ++round) {
      ASSERT_EQ(federation.counted_[round], 1);
    }
    for (const auto& [task, times] : federation.computed_) {
      ASSERT_EQ(times, 1) << task;
    }
    ASSERT_EQ(federation.effects_after_exit_, 0);
    if (HasFailure()) break;
    breaks += federation.breaks_;
    broken_transfers += federation.broken_transfers_;
    restarts += federation.restarts_;
  }
  // The runs were as bad as they were meant to be.
  EXPECT_GT(breaks, 2000);
  EXPECT_GT(broken_transfers, 1000);
  EXPECT_GT(restarts, 200);
}

}  // namespace
}  // namespace parley
