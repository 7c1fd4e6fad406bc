// What came out of a study, read from its cells' folders.
#ifndef PARLEY_TOOLS_STUDY_STUDY_RESULTS_H_
#define PARLEY_TOOLS_STUDY_STUDY_RESULTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/analysis/implicit_bias_theory.h"
#include "common/report/direction_facts.h"
#include "tools/study/study_file.h"
#include "tools/study/study_runner.h"

namespace parley {

// Rows as they were dealt out, and how the clients are weighed: what cells that
// differ in the algorithm alone have in common.
struct StudySet {
  // Of the first cell that has a reference, or else of the first.
  std::optional<DirectionFacts> facts;
  // With two features: x, y, label, client.
  std::vector<std::vector<double>> plane = {};
  std::vector<double> limit = {};  // the max-margin direction, of these
  std::optional<LimitOffset> offset;
  std::string without_offset;  // why there is none
  // Not separable, and logistic: where the loss has its minimum, and the
  // direction of FirstOrderBias. Empty: not known.
  std::vector<double> minimum = {};
  std::vector<double> bias = {};
  std::string without_bias;
};

struct BiasResult {
  double measured = 0;   // ‖w − w*‖ of the last model
  double predicted = 0;  // to first order in η
  double cosine = 0;     // of the angle between the two; NaN with L = 1
};

struct CellResult {
  CellState state;
  int set = 0;
  // Columns by name, one number a round that was measured; NaN: none. "round",
  // "bytes", and those of RoundReport.direction; "steps", L·k, where steps are
  // taken, and "t", ηLk, where their size is constant.
  std::map<std::string, std::vector<double>> columns = {};
  uint64_t bytes = 0;            // both ways, all rounds
  uint64_t hash = 0;             // of the last model; 0: none
  std::optional<double> margin;  // γ
  std::optional<DirectionFits> fits;
  std::optional<BiasResult> bias;

  // The column's last number; NaN where there is none.
  double Last(const std::string& name) const;
  const std::vector<double>* Find(const std::string& name) const;
};

// The last gap of an algorithm against 1/|ln λ|.
struct LambdaFloor {
  std::string algorithm;                 // with partition and seed
  std::vector<double> x = {}, gap = {};  // by rising x
};

struct StudyResults {
  const Study* study = nullptr;        // borrowed
  std::vector<CellResult> cells = {};  // as study->cells.cells
  std::vector<StudySet> sets = {};
  std::vector<LambdaFloor> floors = {};
  std::vector<std::string> verdict = {};  // for people, see study_verdict.h
  std::vector<std::string> notes = {};
};

// Errors: of loading the data; a cell whose files are damaged is told as
// failed. Not `in_full`: without what theory has to compute of the rows, for
// which one waits.
absl::StatusOr<StudyResults> ReadStudyResults(
    const Study& study, const std::string& folder,
    const std::vector<CellState>& states, bool in_full = true);

// η where it is constant; nullopt where no steps are taken or it is not.
std::optional<double> ConstantStepSize(const v1::LocalAlgorithm& local);
// L; 0 where no steps are taken.
int64_t LocalSteps(const v1::LocalAlgorithm& local);

}  // namespace parley

#endif  // PARLEY_TOOLS_STUDY_STUDY_RESULTS_H_
