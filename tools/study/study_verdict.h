// What a study found, in words and numbers: never a bare pass.
#ifndef PARLEY_TOOLS_STUDY_STUDY_VERDICT_H_
#define PARLEY_TOOLS_STUDY_STUDY_VERDICT_H_

#include "tools/study/study_results.h"

namespace parley {

// Fills in `verdict` and `notes`. What is (measured), of the (paper) or
// (derived) is marked so.
void AddVerdict(StudyResults* results);

}  // namespace parley

#endif  // PARLEY_TOOLS_STUDY_STUDY_VERDICT_H_
