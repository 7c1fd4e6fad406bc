// What people are told while a run goes on: its status as it changes, and every
// so often what it waits for.
#ifndef PARLEY_SERVER_ROUND_TELLER_H_
#define PARLEY_SERVER_ROUND_TELLER_H_

#include <cstdint>
#include <string>
#include <tuple>

#include "absl/time/time.h"
#include "server/round/round_context.h"
#include "server/round/round_flow.h"

namespace parley {

// Not thread-safe. Borrows both.
class Teller {
 public:
  Teller(RoundContext* context, RoundFlow* flow)
      : context_(*context), flow_(*flow) {}

  // Tells the status where it changed: a new phase at once, else at most every
  // 100 ms.
  void TellStatus();
  // Where nothing has changed for 10 s, and every 10 s from then on: says what
  // is waited for, and returns it. Otherwise empty.
  std::string TellWaiting();
  absl::Time NextTimer() const;

 private:
  // State, phase, round; asked, done, registered.
  using Step = std::tuple<v1::RunState, std::string, int64_t>;
  using Counts = std::tuple<int32_t, int32_t, int32_t>;

  RoundContext& context_;
  RoundFlow& flow_;

  Step step_;
  Counts counts_;
  int64_t progress_ = 0;  // words on it that the phase has had
  bool owes_ = false;     // a status
  absl::Time told_at_ = absl::InfinitePast();
  absl::Time changed_at_ = absl::InfinitePast();  // or said what it waits for
  std::string waits_for_;  // as last said, if nothing has changed since
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_TELLER_H_
