// Words for a name that is misspelt.
#ifndef PARLEY_COMMON_BASE_NEAREST_H_
#define PARLEY_COMMON_BASE_NEAREST_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace parley {

// The candidate most like `word`, upper case or lower; empty where none is
// near.
std::string Nearest(absl::string_view word,
                    absl::Span<const std::string> candidates);

// "Cohort has no field quorm; did you mean quorum? It has fraction, min, ...".
// Lists no more than 100 of the known ones.
std::string NoSuch(absl::string_view owner, absl::string_view what,
                   const std::string& name,
                   absl::Span<const std::string> known);

}  // namespace parley

#endif  // PARLEY_COMMON_BASE_NEAREST_H_
