// The runs that a study stands for.
#ifndef PARLEY_TOOLS_STUDY_CELLS_H_
#define PARLEY_TOOLS_STUDY_CELLS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/config/validate.h"
#include "parley/v1/run.pb.h"
#include "parley/v1/study.pb.h"

namespace parley {

// One run. Its name, which is also that of its folder and of its run, depends
// on its place in the sweep alone: "local_gd-L16-fixed0.1-dirichlet0.3-seed1".
struct Cell {
  std::string name;
  v1::RunConfig config;  // filled in and checked
};

// A place in the sweep. Several share a cell where their runs do not differ:
// with one local step η = c/L is a fixed η.
struct StudyPoint {
  int cell = 0;
  v1::ImplicitBias::Algorithm::KindCase kind =
      v1::ImplicitBias::Algorithm::KIND_NOT_SET;
  std::string algorithm;    // with what is its own: "fed_prox0.1"
  int64_t local_steps = 0;  // L; 0: it takes none
  std::string rule;         // of the step size: "fixed0.1"; empty: none
  std::string partition;    // its label; empty: that of the run
  uint64_t seed = 0;
  double log_lambda = 0;  // of ppm, modified_local_gd and one_shot
};

struct StudyCells {
  std::vector<Cell> cells;         // names differ, and runs
  std::vector<StudyPoint> points;  // in the order of the file
};

inline constexpr int kMaxCells = 10000;

// Makes what study.proto says about defaults explicit.
void FillStudyDefaults(v1::StudyConfig* config);

// Everything that is wrong with the study, its cells included, goes to
// *problems, with paths in a study file. `config` has its defaults filled in.
StudyCells ExpandStudy(const v1::StudyConfig& config,
                       std::vector<Problem>* problems);

}  // namespace parley

#endif  // PARLEY_TOOLS_STUDY_CELLS_H_
