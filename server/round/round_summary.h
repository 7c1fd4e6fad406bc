// What is told of rounds and of the run's end, from what the machine knows.
#ifndef PARLEY_SERVER_ROUND_ROUND_SUMMARY_H_
#define PARLEY_SERVER_ROUND_ROUND_SUMMARY_H_

#include <string>

#include "common/report/round_report.h"
#include "parley/v1/admin.pb.h"
#include "server/round/round_machine.h"

namespace parley {

// A line of metrics.jsonl. Means are weighted as the clients' updates are.
RoundReport Summarize(const effect::ReportRound& round, double elapsed_seconds);

// status.json: how the run ended.
std::string StatusJson(const v1::RunStatus& status);

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_ROUND_SUMMARY_H_
