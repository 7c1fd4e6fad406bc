// Numbers as text files of data hold them.
#ifndef PARLEY_COMMON_DATA_PARSE_NUMBER_H_
#define PARLEY_COMMON_DATA_PARSE_NUMBER_H_

#include <charconv>
#include <cmath>
#include <system_error>

#include "absl/strings/string_view.h"

namespace parley {

// What is wrong with `word` as a finite number of type T, or null.
template <typename T>
const char* ParseNumber(absl::string_view word, T& out) {
  const char* begin = word.data();
  const char* const end = begin + word.size();
  if (word.size() > 1 && word[0] == '+' && word[1] != '-') ++begin;
  double value;
  const auto result = std::from_chars(begin, end, value);
  if (result.ec == std::errc::result_out_of_range && result.ptr == end) {
    return "is out of range";
  }
  if (result.ec != std::errc() || result.ptr != end) return "is not a number";
  if (!std::isfinite(value)) return "is not finite";
  out = static_cast<T>(value);
  return std::isfinite(out) ? nullptr : "is out of range";
}

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_PARSE_NUMBER_H_
