// JSON (RFC 8259) values: what the tools print and what files bring.
#ifndef PARLEY_COMMON_BASE_JSON_H_
#define PARLEY_COMMON_BASE_JSON_H_

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley {

// A value, with what it contains. Numbers are kept as text, so that integers
// are exact and doubles read back as they were. Thread-compatible.
class Json {
 public:
  using Member = std::pair<std::string, Json>;

  Json() = default;  // null
  template <typename T, std::enable_if_t<std::is_integral_v<T>, int> = 0>
  Json(T value) {  // NOLINT: implicit, so that values can be listed
    if constexpr (std::is_same_v<T, bool>) {
      kind_ = value ? kTrue : kFalse;
    } else {
      kind_ = kNumber;
      text_ = std::to_string(value);
    }
  }
  Json(double value);             // NOLINT: NaN and infinities become null
  Json(absl::string_view value);  // NOLINT
  Json(const std::string& value) : Json(absl::string_view(value)) {}  // NOLINT
  Json(const char* value) : Json(absl::string_view(value)) {}         // NOLINT
  // Null where there is no value.
  template <typename T>
  Json(const std::optional<T>& value)  // NOLINT
      : Json(value.has_value() ? Json(*value) : Json()) {}

  static Json Array();
  static Json Object();

  // Takes one whole document: no comments, no key twice in an object, valid
  // UTF-8, at most 64 levels. InvalidArgument says what is wrong and where.
  static absl::StatusOr<Json> Parse(absl::string_view text);

  // On one line, without blanks. What is not UTF-8 becomes U+FFFD.
  std::string ToString() const;

  // Of an array or an object.
  Json& Add(Json value);
  Json& Set(absl::string_view key, Json value);

  bool is_null() const { return kind_ == kNull; }
  bool is_array() const { return kind_ == kArray; }
  bool is_object() const { return kind_ == kObject; }
  // Nothing where the value is of another kind, or does not fit.
  std::optional<bool> AsBool() const;
  std::optional<double> AsDouble() const;
  std::optional<int64_t> AsInt64() const;
  std::optional<uint64_t> AsUint64() const;
  const std::string* AsString() const;
  // Empty where the value is of another kind.
  const std::vector<Json>& items() const { return items_; }
  const std::vector<Member>& members() const { return members_; }
  // The member of that name, or null where there is none. Looks at one after
  // another.
  const Json* Find(absl::string_view key) const;

 private:
  friend class JsonParser;
  enum Kind { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };

  void AppendTo(std::string& out) const;

  Kind kind_ = kNull;
  std::string text_;  // of a number as written, of a string as it is
  std::vector<Json> items_;
  std::vector<Member> members_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_BASE_JSON_H_
