// Measures where a linear model goes while its run goes on, for
// diagnostics.direction_gap: from the coordinator's own copy of data.train.
#ifndef PARLEY_SERVER_ROUND_DIRECTION_METER_H_
#define PARLEY_SERVER_ROUND_DIRECTION_METER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/analysis/centralized_descent.h"
#include "common/analysis/direction.h"
#include "common/analysis/reference.h"
#include "common/analysis/signed_rows.h"
#include "common/base/executor.h"
#include "common/data/partitioned.h"
#include "common/model/parameters.h"
#include "common/report/direction_facts.h"
#include "parley/v1/run.pb.h"
#include "server/round/client_drift.h"
#include "server/strategies/update_view.h"

namespace parley {

struct DirectionMeterOptions {
  v1::RunConfig config;   // filled and checked, with diagnostics.direction_gap
  ParameterVector start;  // that the run began with
  std::string folder;     // of the run; empty: no file is touched
  int64_t committed_rounds = 0;  // by the run's journal, where it is taken up
  Executor* parallel = nullptr;  // splits the work; null: nobody
};

// Prepare it first. Calls but Cancel come one at a time. Memory: data.train,
// the reference, a Gram matrix where rows are few, and ClientDrift's.
class DirectionMeter {
 public:
  explicit DirectionMeter(DirectionMeterOptions options);

  // Thread-safe: what runs ends soon, and all later calls, with Cancelled.
  void Cancel() { cancelled_ = true; }

  // Does the next piece of the preparation and tells what the one after it is
  // about; empty: it is done. They load all parts of data.train, find what to
  // measure against, and take the centralized steps of the rounds that are
  // committed again; the last one writes direction.json. Whatever LoadAllParts
  // returns; InvalidArgument: numbers that are too large; FailedPrecondition:
  // `start` is not what the run began with; Cancelled.
  absl::StatusOr<std::string> PrepareNext();
  const DirectionFacts& facts() const { return facts_; }  // once prepared

  // An update counts in `round`; `model` is what it changes. Does nothing at
  // rounds that are not measured.
  void Observe(int64_t round, const UpdateView& update,
               const ParameterVector& model);
  // The round is skipped: none of its updates count.
  void Forget() { drift_->Clear(); }
  // `round` has made a new model. `values` were sent to its clients.
  void RoundTaken(int64_t round, const std::map<std::string, double>& values);
  // By the names of RoundReport::direction. Cancelled.
  absl::StatusOr<std::map<std::string, double>> Measure(
      const ParameterVector& model);

 private:
  enum class Stage { kLoad, kReference, kSpread, kCentralized, kReady };

  bool IsDue(int64_t round) const;
  absl::Status Load();
  absl::Status FindReference();
  // To more digits, where that is a matter of seconds.
  absl::Status Refine(Reference* found);
  absl::Status MeasureSpread();
  absl::Status BeginCentralized();
  absl::Status Retake();  // the steps of committed rounds
  absl::Status WriteFacts();
  // Takes the centralized steps of the rounds since it was called last.
  absl::Status CatchUp();
  void CompareWithCentralized(absl::Span<const double> w,
                              std::map<std::string, double>* numbers) const;
  double LogStepSize(int64_t round,
                     const std::map<std::string, double>& values) const;

  const DirectionMeterOptions options_;
  const MarginLoss loss_;
  int64_t local_steps_ = 0;  // of a client in a round; 0: is not known
  std::atomic<bool> cancelled_ = false;

  Stage next_ = Stage::kLoad;
  DirectionFacts facts_;
  std::optional<Partitioned<double>> parts_;  // until all is prepared
  std::optional<SignedRows> rows_;            // of all parts
  std::vector<double> weights_;               // one a row, their sum is 1
  std::vector<double> reference_;             // empty: there is none
  double margin_ = 0;                         // the largest; 0: not separable
  std::unique_ptr<ClientDrift> drift_;

  // Centralized descent: a step a round, and local_steps_ of them; null where
  // it is not wanted, by_rounds_ also where the two are the same.
  std::unique_ptr<CentralizedDescent> by_rounds_, by_steps_;
  std::vector<double> log_steps_;  // of the rounds that were not caught up
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_DIRECTION_METER_H_
