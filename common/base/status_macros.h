// The two error macros: hand an error on, or unwrap a value.
#ifndef PARLEY_COMMON_BASE_STATUS_MACROS_H_
#define PARLEY_COMMON_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function with the status of `expr` unless OK.
#define PARLEY_RETURN_IF_ERROR(expr)                                \
  do {                                                              \
    if (absl::Status parley_status_ = (expr); !parley_status_.ok()) \
      return parley_status_;                                        \
  } while (false)

// Evaluates `expr`, a StatusOr, and assigns its value to `lhs`, or returns its
// status from the enclosing function. `lhs` may declare a variable.
#define PARLEY_ASSIGN_OR_RETURN(lhs, expr) \
  PARLEY_ASSIGN_OR_RETURN_(PARLEY_CONCAT_(parley_or_, __LINE__), lhs, expr)

#define PARLEY_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return std::move(tmp).status(); \
  lhs = *std::move(tmp)

#define PARLEY_CONCAT_(a, b) PARLEY_CONCAT_2_(a, b)
#define PARLEY_CONCAT_2_(a, b) a##b

#endif  // PARLEY_COMMON_BASE_STATUS_MACROS_H_
