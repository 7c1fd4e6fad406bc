#include "tests/unit/round_machine/round_world.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"

namespace parley {
namespace {

ParameterSpec TestSpec() {
  return *ParameterSpec::Create(DType::kFloat32,
                                {{"w", {5, 2}, MergeRule::kMean},
                                 {"own", {7}, MergeRule::kLocal},
                                 {"b", {2}, MergeRule::kMean}});
}

}  // namespace

v1::RunConfig SmallRun(int clients, int rounds) {
  v1::RunConfig config;
  config.set_name("test");
  config.set_seed(1);
  config.mutable_data()->mutable_train()->mutable_idx();
  config.mutable_data()->mutable_partition()->set_parts(clients);
  config.mutable_cohort()->set_fraction(1);
  config.mutable_cohort()->set_min(clients);
  config.mutable_cohort()->set_quorum(1);
  config.mutable_cohort()->set_too_few(v1::Cohort::WAIT);
  config.mutable_stop()->set_rounds(rounds);
  config.mutable_evaluation()->set_every(1);
  config.mutable_evaluation()->set_central(false);
  config.mutable_evaluation()->set_federated(false);
  config.mutable_wire()->set_down(v1::ENCODING_FLOAT32);
  config.mutable_wire()->set_up(v1::ENCODING_FLOAT32);
  config.mutable_checkpoints()->set_every(10);
  v1::Limits& limits = *config.mutable_limits();
  limits.set_lease_seconds(15);
  limits.set_transfers(2);
  limits.set_clients(100);
  limits.set_max_weight(1e9);
  return config;
}

RoundWorld::RoundWorld(v1::RunConfig config,
                       std::vector<v1::RoundOpened> script, int64_t committed,
                       std::map<std::string, double> next_values)
    : config_(std::move(config)) {
  RoundMachineOptions options;
  options.config = config_;
  options.run = config_.name();
  options.term = 7;
  options.spec = TestSpec();
  options.token_key = "secret";
  options.script = std::move(script);
  options.committed_rounds = committed;
  options.next_values = std::move(next_values);
  total_ =
      PayloadFor(kModelPayload, options.spec, v1::ENCODING_FLOAT32).bytes();
  machine_ = std::make_unique<RoundMachine>(std::move(options));
  Step(event::TimerFired{});
}

RoundWorld::~RoundWorld() = default;

// --------------------------------------------------------------------- time

std::vector<RoundEffect> RoundWorld::Step(RoundEvent event) {
  std::vector<RoundEffect> effects = machine_->Step(std::move(event), now_);
  for (const RoundEffect& effect : effects) Perform(effect);
  Drain();
  return effects;
}

void RoundWorld::Drain() {
  if (stepping_) return;
  stepping_ = true;
  while (!queue_.empty()) {
    RoundEvent event = std::move(queue_.front());
    queue_.pop_front();
    for (const RoundEffect& effect : machine_->Step(std::move(event), now_)) {
      Perform(effect);
    }
  }
  stepping_ = false;
}

void RoundWorld::Advance(absl::Duration d) {
  const absl::Time end = now_ + d;
  int fired = 0;
  while (timer_ <= end) {
    now_ = std::max(now_, timer_);
    timer_ = absl::InfiniteFuture();
    Step(event::TimerFired{});
    ASSERT_LT(++fired, 100000) << "a timer that never rests";
  }
  now_ = end;
}

// ------------------------------------------------------------------- clients

v1::Register RoundWorld::Hello(const std::string& name) const {
  v1::Register hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_name(name);
  const auto it = clients_.find(name);
  hello.set_incarnation(it == clients_.end() ? 1 : it->second.incarnation);
  hello.add_encodings(v1::ENCODING_FLOAT32);
  hello.add_encodings(v1::ENCODING_BFLOAT16);
  hello.add_kinds(v1::TRAIN);
  hello.add_kinds(v1::EVALUATE);
  return hello;
}

SessionId RoundWorld::Open(const std::string& certificate_name) {
  const SessionId id = ++last_session_;
  sessions_[id] = "";
  Step(event::SessionOpened{id, {"1.2.3.4:5", certificate_name}});
  return id;
}

void RoundWorld::Join(const std::string& name) { Join(name, Hello(name)); }

void RoundWorld::Join(const std::string& name, const v1::Register& hello) {
  const SessionId id = ++last_session_;
  sessions_[id] = name;
  clients_[name].session = id;
  Step(event::SessionOpened{id, {"1.2.3.4:5", ""}});
  if (clients_[name].session != id) return;  // sent away
  v1::ClientMessage message;
  *message.mutable_register_() = hello;
  Step(event::MessageReceived{id, std::move(message)});
}

void RoundWorld::Restart(const std::string& name) {
  FakeClient fresh;
  fresh.incarnation = clients_[name].incarnation + 1;
  clients_[name] = fresh;
  Join(name);
}

void RoundWorld::Break(const std::string& name) {
  const SessionId id = clients_[name].session;
  clients_[name].session = 0;
  sessions_.erase(id);
  Step(event::SessionClosed{id, absl::UnavailableError("broke")});
}

void RoundWorld::Say(const std::string& name, v1::ClientMessage message) {
  const SessionId id = clients_[name].session;
  message.set_run("test");
  message.set_term(7);
  Step(event::MessageReceived{id, std::move(message)});
}

void RoundWorld::Beat(const std::string& name) {
  v1::ClientMessage message;
  message.mutable_heartbeat();
  Say(name, message);
}

v1::UpdateReady RoundWorld::Update(const std::string& name, double weight) {
  const v1::Task& task = *clients_[name].task;
  v1::UpdateReady update;
  *update.mutable_task() = task.task();
  update.set_weight(weight);
  update.set_contributors(1);
  update.set_local_steps(3);
  update.set_base_version(task.model_version());
  (*update.mutable_scalars())["loss"] = 0.5;
  if (task.kind() == v1::TRAIN) {
    *update.add_payloads() =
        PayloadFor(kModelPayload, TestSpec(), task.update_encoding());
  }
  return update;
}

void RoundWorld::Ready(const std::string& name, const v1::UpdateReady& update) {
  v1::ClientMessage message;
  *message.mutable_update_ready() = update;
  Say(name, std::move(message));
}

void RoundWorld::Fail(const std::string& name, const std::string& reason) {
  v1::ClientMessage message;
  *message.mutable_task_failed()->mutable_task() = clients_[name].task->task();
  message.mutable_task_failed()->set_reason(reason);
  Say(name, std::move(message));
}

void RoundWorld::Answer(const std::string& name, double weight) {
  const int grants = clients_[name].grants;
  Ready(name, Update(name, weight));
  if (clients_[name].grants > grants) Upload(name);
}

// ----------------------------------------------------------------- transfers

TransferId RoundWorld::OpenUpload(const std::string& name) {
  const FakeClient& client = clients_[name];
  const TransferId id = ++last_transfer_;
  asked_[id] = {true, name};
  v1::TransferHeader header;
  if (client.grant) *header.mutable_task() = client.grant->task();
  header.mutable_task()->set_client(name);
  if (client.welcome) header.set_token(client.welcome->token());
  Step(event::UploadRequested{id, std::move(header)});
  return id;
}

TransferId RoundWorld::OpenDownload(const std::string& name, uint64_t offset) {
  const FakeClient& client = clients_[name];
  const TransferId id = ++last_transfer_;
  asked_[id] = {false, name};
  v1::DownloadRequest request;
  if (client.task) *request.mutable_task() = client.task->task();
  if (client.welcome) request.set_token(client.welcome->token());
  request.set_offset(offset);
  Step(event::DownloadRequested{id, std::move(request)});
  return id;
}

void RoundWorld::End(TransferId transfer, absl::Status status,
                     uint64_t staged) {
  const auto it = running_.find(transfer);
  if (it == running_.end()) {
    if (asked_.erase(transfer) > 0) Step(event::TransferCancelled{transfer});
    return;
  }
  if (it->second.up) {
    const auto update = staged_.find(it->second.update);
    if (update != staged_.end()) update->second.bytes = staged;
  }
  const uint64_t moved = it->second.up ? staged : total_;
  running_.erase(it);
  Step(event::TransferEnded{transfer, std::move(status), staged, moved});
}

void RoundWorld::Upload(const std::string& name) {
  const TransferId id = OpenUpload(name);
  ASSERT_TRUE(runs(id)) << name;
  End(id, absl::OkStatus(), total_);
}

int RoundWorld::running(bool up) const {
  int count = 0;
  for (const auto& [id, transfer] : running_) count += transfer.up == up;
  return count;
}

// ------------------------------------------------------------------- effects

void RoundWorld::Perform(const RoundEffect& effect) {
  EXPECT_FALSE(end.has_value() &&
               !std::holds_alternative<effect::AnswerTransfer>(effect) &&
               !std::holds_alternative<effect::Send>(effect) &&
               !std::holds_alternative<effect::EndSession>(effect) &&
               !std::holds_alternative<effect::Say>(effect))
      << "effect " << effect.index() << " after the end";
  if (keep_log) absl::StrAppend(&log, effect.index(), " ");
  std::visit([&](const auto& e) { On(e); }, effect);
}

void RoundWorld::On(const effect::Send& e) {
  if (keep_log) {
    absl::StrAppend(&log, e.session, " ", e.message.ShortDebugString(), "\n");
  }
  ASSERT_TRUE(sessions_.contains(e.session)) << e.message.ShortDebugString();
  EXPECT_EQ(e.message.run(), "test");
  EXPECT_EQ(e.message.term(), 7u);
  const std::string name = sessions_[e.session];
  FakeClient& client = clients_[name];
  if (client.session != e.session) return;  // an earlier one of the client
  const v1::ServerMessage& m = e.message;
  if (m.has_registered()) client.welcome = m.registered();
  if (m.has_task()) {
    client.task = m.task();
    ++client.tasks;
  }
  if (m.has_grant_upload()) {
    client.grant = m.grant_upload();
    ++client.grants;
  }
  if (m.has_verdict()) client.verdict = m.verdict();
  if (m.has_task_over()) client.overs.push_back(m.task_over());
  if (m.has_notice()) client.notices.push_back(m.notice().text());
  if (m.has_goodbye()) client.goodbye = m.goodbye();
  if (on_message) on_message(name, m);
}

void RoundWorld::On(const effect::EndSession& e) {
  if (keep_log) absl::StrAppend(&log, e.session, "\n");
  const auto it = sessions_.find(e.session);
  ASSERT_TRUE(it != sessions_.end()) << e.session;
  FakeClient& client = clients_[it->second];
  if (client.session == e.session) client.session = 0;
  sessions_.erase(it);
}

void RoundWorld::On(const effect::AnswerTransfer& e) {
  if (keep_log)
    absl::StrAppend(&log, e.transfer, " ", e.status.ToString(), "\n");
  const auto it = asked_.find(e.transfer);
  ASSERT_TRUE(it != asked_.end()) << e.transfer;
  const auto [up, name] = it->second;
  asked_.erase(it);
  if (!e.status.ok()) {
    refused[e.transfer] = e.status;
    return;
  }
  if (up) {
    ASSERT_TRUE(staged_.contains(e.update));
    EXPECT_EQ(staged_[e.update].client, name);
    EXPECT_EQ(staged_[e.update].bytes, e.offset);
    for (const auto& [id, other] : running_) {
      EXPECT_NE(other.update, e.update) << "two uploads of one update";
    }
  }
  running_[e.transfer] = {up, name, e.update};
  EXPECT_LE(running(up), config_.limits().transfers());
}

void RoundWorld::On(const effect::CancelTransfer& e) {
  if (keep_log) absl::StrAppend(&log, e.transfer, "\n");
  const auto it = running_.find(e.transfer);
  ASSERT_TRUE(it != running_.end()) << e.transfer;
  if (!answers_cancelled) return;
  const auto update = staged_.find(it->second.update);
  const uint64_t staged = update == staged_.end() ? 0 : update->second.bytes;
  running_.erase(it);
  queue_.push_back(event::TransferEnded{
      e.transfer, absl::AbortedError("cancelled"), staged, 0});
}

void RoundWorld::On(const effect::OpenStaging& e) {
  if (keep_log) absl::StrAppend(&log, e.update, " ", e.client, "\n");
  EXPECT_TRUE(known_updates_.insert(e.update).second) << "id used twice";
  EXPECT_NE(e.update, 0u);
  EXPECT_GT(e.header.weight(), 0) << "was not checked";
  staged_[e.update].client = e.client;
}

void RoundWorld::On(const effect::StageChunks& e) {
  if (keep_log) absl::StrAppend(&log, e.update, " ", e.client, "\n");
  ASSERT_TRUE(staged_.contains(e.update));
  EXPECT_EQ(staged_[e.update].client, e.client);
  EXPECT_FALSE(e.chunks.empty());
  const uint64_t staged = chunks_status.ok() ? total_ : 0;
  staged_[e.update].bytes = staged;
  queue_.push_back(
      event::ChunksStaged{e.update, e.client, chunks_status, staged, staged});
}

void RoundWorld::On(const effect::DropStaging& e) {
  if (keep_log) absl::StrAppend(&log, e.update, "\n");
  ASSERT_TRUE(staged_.contains(e.update));
  EXPECT_FALSE(staged_[e.update].folded);
  for (const auto& [id, transfer] : running_) {
    EXPECT_NE(transfer.update, e.update) << "dropped under an upload";
  }
  staged_.erase(e.update);
}

void RoundWorld::On(const effect::Fold& e) {
  if (keep_log) absl::StrAppend(&log, e.update, "\n");
  ASSERT_TRUE(staged_.contains(e.update));
  Staged& staged = staged_[e.update];
  EXPECT_FALSE(staged.folded) << "folded twice";
  EXPECT_EQ(staged.bytes, total_) << "not whole";
  staged.folded = true;
  for (const std::string& other : folding_) EXPECT_NE(other, staged.client);
  folding_.push_back(staged.client);
}

void RoundWorld::On(const effect::Aggregate& e) {
  if (keep_log) absl::StrAppend(&log, e.round, "\n");
  EXPECT_FALSE(folding_.empty());
  for (const auto& [id, staged] : staged_) {
    EXPECT_TRUE(staged.folded) << "left over: " << staged.client;
  }
  aggregating_ = e.round;
  if (aggregates) {
    queue_.push_back(event::Aggregated{aggregate_status,
                                       1000 + static_cast<uint64_t>(e.round)});
  }
}

void RoundWorld::On(const effect::DiscardAggregate&) {
  if (keep_log) absl::StrAppend(&log, "\n");
  ++discards;
  folding_.clear();
  for (const auto& [id, staged] : staged_) EXPECT_TRUE(staged.folded);
  staged_.clear();
}

void RoundWorld::On(const effect::EvaluateCentrally& e) {
  if (keep_log) absl::StrAppend(&log, e.round, "\n");
  if (central) queue_.push_back(event::CentrallyEvaluated{central(e.round)});
}

void RoundWorld::On(const effect::PrepareDirection&) {
  if (keep_log) absl::StrAppend(&log, "\n");
  prepares = true;
}

void RoundWorld::On(const effect::MeasureDirection& e) {
  if (keep_log) absl::StrAppend(&log, e.round, "\n");
  if (direction) queue_.push_back(event::DirectionMeasured{direction(e.round)});
}

void RoundWorld::On(const effect::Record& e) {
  if (keep_log) absl::StrAppend(&log, e.record.ShortDebugString(), "\n");
  records.push_back(e.record);
  if (!e.record.has_round_committed()) return;
  std::vector<std::string> counted;
  for (const v1::TaskOutcome& outcome : e.record.round_committed().outcomes()) {
    if (outcome.kind() == v1::TRAIN && outcome.counted()) {
      counted.push_back(outcome.client());
    } else if (!outcome.counted()) {
      EXPECT_FALSE(outcome.reason().empty()) << outcome.client();
    }
  }
  EXPECT_EQ(counted, folding_) << "the record is not what was folded";
  folded.push_back(std::exchange(folding_, {}));
  staged_.clear();
}

void RoundWorld::On(const effect::ReportRound& e) {
  if (keep_log) absl::StrAppend(&log, e.round.round(), "\n");
  reports.push_back(e);
}

void RoundWorld::On(const effect::WriteCheckpoint& e) {
  if (keep_log) absl::StrAppend(&log, e.round, "\n");
  checkpoints.push_back(absl::StrCat(e.round, e.last ? " last" : ""));
}

void RoundWorld::On(const effect::SetTimer& e) {
  if (keep_log) absl::StrAppend(&log, absl::FormatTime(e.when), "\n");
  EXPECT_GT(e.when, now_);
  timer_ = e.when;
}

void RoundWorld::On(const effect::StatusChanged& e) {
  if (keep_log) absl::StrAppend(&log, e.status.ShortDebugString(), "\n");
  status = e.status;
}

void RoundWorld::On(const effect::Say& e) {
  if (keep_log) absl::StrAppend(&log, e.text, "\n");
  said.push_back(e.text);
}

void RoundWorld::On(const effect::EndRun& e) {
  if (keep_log) absl::StrAppend(&log, e.reason, "\n");
  EXPECT_TRUE(sessions_.empty()) << "somebody was not told";
  end = e;
}

// ------------------------------------------------------------------- queries

bool RoundWorld::Said(const std::string& text) const {
  for (const std::string& line : said) {
    if (absl::StrContains(line, text)) return true;
  }
  return false;
}

std::map<std::string, std::string> RoundWorld::Outcomes(
    v1::TaskKind kind) const {
  std::map<std::string, std::string> outcomes;
  for (const v1::TaskOutcome& outcome : reports.back().round.outcomes()) {
    if (outcome.kind() != kind) continue;
    outcomes[outcome.client()] = outcome.counted() ? "" : outcome.reason();
  }
  return outcomes;
}

}  // namespace parley
