// What is told of rounds, from what the machine knows.
#ifndef PARLEY_SERVER_ROUND_ROUND_SUMMARY_H_
#define PARLEY_SERVER_ROUND_ROUND_SUMMARY_H_

#include "common/report/round_report.h"
#include "server/round/round_events.h"

namespace parley {

// A line of metrics.jsonl. Means are weighted as the clients' updates are.
RoundReport Summarize(const effect::ReportRound& round, double elapsed_seconds);

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_ROUND_SUMMARY_H_
