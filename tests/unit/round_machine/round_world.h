// A round machine in virtual time, with what surrounds it played by hand: the
// driver's staging and transfers, and clients that a test speaks for. Every
// effect is checked against the rules that a driver relies on.
#ifndef PARLEY_TESTS_UNIT_ROUND_MACHINE_ROUND_WORLD_H_
#define PARLEY_TESTS_UNIT_ROUND_MACHINE_ROUND_WORLD_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/round/round_machine.h"

namespace parley {

// 4 clients, all of them needed, 2 rounds, no evaluation.
v1::RunConfig SmallRun(int clients = 4, int rounds = 2);

// What a client has been told.
struct FakeClient {
  SessionId session = 0;  // 0: not connected
  uint64_t incarnation = 1;
  std::optional<v1::Registered> welcome;
  std::optional<v1::Task> task;          // the last one
  std::optional<v1::GrantUpload> grant;  // the last one
  std::optional<v1::Verdict> verdict;    // the last one
  std::vector<v1::TaskOver> overs;
  std::vector<std::string> notices;
  std::optional<v1::Goodbye> goodbye;
  int tasks = 0;
  int grants = 0;
};

class RoundWorld {
 public:
  explicit RoundWorld(v1::RunConfig config,
                      std::vector<v1::RoundOpened> script = {},
                      int64_t committed = 0,
                      std::map<std::string, double> next_values = {});
  ~RoundWorld();

  absl::Time now() const { return now_; }
  // Fires the timers on the way.
  void Advance(absl::Duration d);
  std::vector<RoundEffect> Step(RoundEvent event);

  // Clients.
  FakeClient& client(const std::string& name) { return clients_[name]; }
  v1::Register Hello(const std::string& name) const;
  SessionId Open(const std::string& certificate_name = "");
  void Join(const std::string& name);  // new, or comes back
  void Join(const std::string& name, const v1::Register& hello);
  void Restart(const std::string& name);  // comes back as a new process
  void Break(const std::string& name);    // its connection
  void Say(const std::string& name, v1::ClientMessage message);
  void Beat(const std::string& name);
  v1::UpdateReady Update(const std::string& name, double weight = 1);
  void Ready(const std::string& name, const v1::UpdateReady& update);
  void Ready(const std::string& name) { Ready(name, Update(name)); }
  void Fail(const std::string& name, const std::string& reason);
  // Ready, then, if granted at once, the whole upload.
  void Answer(const std::string& name, double weight = 1);

  // Transfers. The status of a refused one is in `refused`.
  TransferId OpenUpload(const std::string& name);
  TransferId OpenDownload(const std::string& name, uint64_t offset = 0);
  void End(TransferId transfer, absl::Status status, uint64_t staged = 0);
  void Upload(const std::string& name);  // whole
  bool runs(TransferId t) const { return running_.contains(t); }
  int running(bool up) const;
  std::map<TransferId, absl::Status> refused;
  uint64_t total() const { return total_; }

  // The driver.
  bool aggregates = true;  // answers Aggregate at once
  absl::Status aggregate_status;
  std::function<absl::StatusOr<std::map<std::string, double>>(int64_t)> central;
  bool prepares = false;  // asked for PrepareDirection, which a test answers
  // Null: MeasureDirection is not answered.
  std::function<absl::StatusOr<std::map<std::string, double>>(int64_t)>
      direction;
  bool answers_cancelled = true;  // ends cancelled transfers at once
  absl::Status chunks_status;     // of all StageChunks
  // Called with each message after it is noted.
  std::function<void(const std::string&, const v1::ServerMessage&)> on_message;

  // What happened.
  std::vector<std::vector<std::string>> folded;  // names, round by round
  std::vector<effect::ReportRound> reports;
  std::vector<v1::JournalRecord> records;
  std::vector<std::string> said;
  std::vector<std::string> checkpoints;  // "10", "20 last"
  std::optional<v1::RunStatus> status;
  std::optional<effect::EndRun> end;
  int discards = 0;
  std::string log;  // every effect
  bool keep_log = false;

  bool Said(const std::string& text) const;
  // Of the last report: client -> reason; "" where it counted.
  std::map<std::string, std::string> Outcomes(
      v1::TaskKind kind = v1::TRAIN) const;
  bool idle() const { return queue_.empty(); }
  absl::Time timer() const { return timer_; }

 private:
  struct Staged {
    std::string client;
    uint64_t bytes = 0;
    bool folded = false;
  };
  struct Running {
    bool up;
    std::string client;
    UpdateId update;
  };

  void Perform(const RoundEffect& effect);
  void On(const effect::Send& e);
  void On(const effect::EndSession& e);
  void On(const effect::AnswerTransfer& e);
  void On(const effect::CancelTransfer& e);
  void On(const effect::OpenStaging& e);
  void On(const effect::StageChunks& e);
  void On(const effect::DropStaging& e);
  void On(const effect::Fold& e);
  void On(const effect::Aggregate& e);
  void On(const effect::DiscardAggregate& e);
  void On(const effect::EvaluateCentrally& e);
  void On(const effect::PrepareDirection& e);
  void On(const effect::MeasureDirection& e);
  void On(const effect::Record& e);
  void On(const effect::ReportRound& e);
  void On(const effect::WriteCheckpoint& e);
  void On(const effect::SetTimer& e);
  void On(const effect::StatusChanged& e);
  void On(const effect::Say& e);
  void On(const effect::EndRun& e);
  void Drain();

  const v1::RunConfig config_;
  std::unique_ptr<RoundMachine> machine_;
  uint64_t total_;
  absl::Time now_ = absl::UnixEpoch();
  absl::Time timer_ = absl::InfiniteFuture();
  std::deque<RoundEvent> queue_;  // the driver's answers
  bool stepping_ = false;

  std::map<std::string, FakeClient> clients_;
  std::map<SessionId, std::string> sessions_;  // open; to the client's name
  SessionId last_session_ = 0;
  TransferId last_transfer_ = 0;
  std::map<TransferId, std::pair<bool, std::string>> asked_;
  std::map<TransferId, Running> running_;
  std::map<UpdateId, Staged> staged_;
  std::set<UpdateId> known_updates_;
  std::vector<std::string> folding_;  // of this round
  int64_t aggregating_ = 0;
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_ROUND_MACHINE_ROUND_WORLD_H_
