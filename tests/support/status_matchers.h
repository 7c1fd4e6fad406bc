// EXPECT_OK and friends for absl::Status and absl::StatusOr.
#ifndef PARLEY_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define PARLEY_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/status_macros.h"

namespace parley {

inline const absl::Status& ToStatus(const absl::Status& s) { return s; }
template <typename T>
const absl::Status& ToStatus(const absl::StatusOr<T>& s) {
  return s.status();
}

// Matches a Status or StatusOr of the code whose message contains `text`.
MATCHER_P2(StatusIs, code, text, "") {
  const absl::Status& status = ToStatus(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         std::string(status.message()).find(text) != std::string::npos;
}

}  // namespace parley

#define EXPECT_OK(expr)                                  \
  do {                                                   \
    const auto& parley_value_ = (expr);                  \
    EXPECT_TRUE(parley_value_.ok())                      \
        << ::parley::ToStatus(parley_value_).ToString(); \
  } while (false)
#define ASSERT_OK(expr)                                  \
  do {                                                   \
    const auto& parley_value_ = (expr);                  \
    ASSERT_TRUE(parley_value_.ok())                      \
        << ::parley::ToStatus(parley_value_).ToString(); \
  } while (false)
#define ASSERT_OK_AND_ASSIGN(lhs, expr) \
  ASSERT_OK_AND_ASSIGN_(PARLEY_CONCAT_(parley_or_, __LINE__), lhs, expr)
#define ASSERT_OK_AND_ASSIGN_(tmp, lhs, expr)       \
  auto tmp = (expr);                                \
  ASSERT_TRUE(tmp.ok()) << tmp.status().ToString(); \
  lhs = *std::move(tmp)

#endif  // PARLEY_TESTS_SUPPORT_STATUS_MATCHERS_H_
