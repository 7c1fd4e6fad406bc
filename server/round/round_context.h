// What the parts of the round machine share.
#ifndef PARLEY_SERVER_ROUND_ROUND_CONTEXT_H_
#define PARLEY_SERVER_ROUND_ROUND_CONTEXT_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "server/registry/registry.h"
#include "server/round/outbox.h"
#include "server/round/round_machine.h"
#include "server/round/transfer_desk.h"
#include "server/selection/selection.h"

namespace parley {

// Owned by the machine; outlives its parts.
struct RoundContext {
  const RoundMachineOptions options;
  Registry registry;
  CandidatePool pool;  // the names in the registry
  TransferDesk desk;
  Outbox out;
  UpdateId last_update = 0;
  uint64_t bytes_up = 0, bytes_down = 0;  // of payloads, in the run so far
};

// What a client is told of one of its tasks. Unless it is not connected.
void SendVerdict(Outbox& out, const Client& client, const v1::TaskId& task,
                 bool accepted, absl::string_view reason);
// Is kept as the client's last, and told when it comes back.
void SendTaskOver(Outbox& out, Client& client, const v1::TaskId& task,
                  bool counted, absl::string_view reason);
void RepeatTaskOver(Outbox& out, Client& client);
// To an answer for a task that is not open (any more).
void AnswerLate(Outbox& out, Client& client, const v1::TaskId& task);

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_ROUND_CONTEXT_H_
