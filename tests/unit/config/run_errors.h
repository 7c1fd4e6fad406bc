// A run file, and what a user reads of it where something is wrong.
#ifndef PARLEY_TESTS_UNIT_CONFIG_RUN_ERRORS_H_
#define PARLEY_TESTS_UNIT_CONFIG_RUN_ERRORS_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/config/load.h"

namespace parley {

inline constexpr char kGood[] = R"(model { softmax {} }
data {
  train { mixture { rows: 100 features: 5 } }
  partition { parts: 4 }
}
local { sgd {} step_size { initial: 0.1 } }
stop { rounds: 3 }
)";

// The errors of the text, as a user reads them.
inline std::string ErrorsOf(absl::string_view text,
                            std::vector<std::string> overrides = {}) {
  const auto config = LoadRunText(text, "x.textproto", overrides);
  return std::string(config.status().message());
}

// Of kGood with one piece replaced by another.
inline std::string ErrorsWith(absl::string_view from, absl::string_view to) {
  EXPECT_NE(std::string(kGood).find(std::string(from)), std::string::npos);
  return ErrorsOf(absl::StrReplaceAll(kGood, {{from, to}}));
}

// Of kGood with more lines, which start at 8.
inline std::string ErrorsAdding(absl::string_view more) {
  return ErrorsOf(absl::StrCat(kGood, more));
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_CONFIG_RUN_ERRORS_H_
