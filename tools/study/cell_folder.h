// A cell's folder: that of a run, as `parley run` would leave it.
#ifndef PARLEY_TOOLS_STUDY_CELL_FOLDER_H_
#define PARLEY_TOOLS_STUDY_CELL_FOLDER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "parley/v1/admin.pb.h"
#include "tools/study/cells.h"

namespace parley {

// Where the cell's run is, below the study's folder.
std::string CellFolder(const std::string& study_folder, const Cell& cell);

// Says in each cell's run what its data tells, as a coordinator does before it
// begins: run files of finished cells can be compared then. Reads each data set
// once. Errors as ProbeData.
absl::Status StateDataFacts(absl::Span<Cell> cells);

// How the run ended that `folder` has. NotFound: it has not ended, or is of
// another run file than the cell's.
absl::StatusOr<v1::RunStatus> EndOfCell(const std::string& folder,
                                        const Cell& cell);

// Empties the folder, of whatever run, and puts the run file there. Any code of
// the file system.
absl::Status PrepareCellFolder(const std::string& folder, const Cell& cell);

}  // namespace parley

#endif  // PARLEY_TOOLS_STUDY_CELL_FOLDER_H_
