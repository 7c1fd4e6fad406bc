#include "server/round/round_context.h"

#include <utility>

namespace parley {
namespace {

bool SameTask(const v1::TaskId& a, const v1::TaskId& b) {
  return a.run() == b.run() && a.term() == b.term() && a.round() == b.round() &&
         a.phase() == b.phase() && a.client() == b.client() &&
         a.attempt() == b.attempt();
}

}  // namespace

void SendVerdict(Outbox& out, const Client& client, const v1::TaskId& task,
                 bool accepted, absl::string_view reason) {
  v1::ServerMessage message;
  v1::Verdict& verdict = *message.mutable_verdict();
  *verdict.mutable_task() = task;
  verdict.set_accepted(accepted);
  verdict.set_reason(std::string(reason));
  out.Send(client, std::move(message));
}

void SendTaskOver(Outbox& out, Client& client, const v1::TaskId& task,
                  bool counted, absl::string_view reason) {
  v1::TaskOver over;
  *over.mutable_task() = task;
  over.set_counted(counted);
  over.set_reason(std::string(reason));
  client.last_over = std::move(over);
  RepeatTaskOver(out, client);
}

void RepeatTaskOver(Outbox& out, Client& client) {
  v1::ServerMessage message;
  *message.mutable_task_over() = *client.last_over;
  client.last_over_told = out.Send(client, std::move(message));
}

void AnswerLate(Outbox& out, Client& client, const v1::TaskId& task) {
  const bool known =
      client.last_over && SameTask(client.last_over->task(), task);
  const bool counted = known && client.last_over->counted();
  const std::string reason = known
                                 ? client.last_over->reason()
                                 : "late: this task is over or was begun anew";
  SendVerdict(out, client, task, counted, reason);
  v1::ServerMessage message;
  v1::TaskOver& over = *message.mutable_task_over();
  *over.mutable_task() = task;
  over.set_counted(counted);
  over.set_reason(reason);
  out.Send(client, std::move(message));
}

}  // namespace parley
