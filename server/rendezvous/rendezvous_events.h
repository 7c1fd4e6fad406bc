// What the rendezvous machine hears and what it wants done.
#ifndef PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_EVENTS_H_
#define PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_EVENTS_H_

#include <variant>

#include "common/report/round_report.h"
#include "server/run/run_events.h"

namespace parley {

using RendezvousEvent = RunEvent;

namespace effect {

// A line of metrics.jsonl, but for elapsed_seconds.
struct TellRound {
  RoundReport report;
};

}  // namespace effect

using RendezvousEffect =
    std::variant<effect::Send, effect::EndSession, effect::Record,
                 effect::TellRound, effect::SetTimer, effect::StatusChanged,
                 effect::Say, effect::EndRun>;

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_EVENTS_H_
