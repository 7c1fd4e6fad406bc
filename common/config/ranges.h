// The range of every number in a run file, as run.proto states it.
#ifndef PARLEY_COMMON_CONFIG_RANGES_H_
#define PARLEY_COMMON_CONFIG_RANGES_H_

#include <google/protobuf/descriptor.h>

#include <string>

namespace parley {

struct Range {
  const char* field;  // "Message.field" without the package
  double low;
  double high;
  bool low_open = false;   // low itself is not allowed
  bool high_open = false;  // high itself is not allowed
  bool required = false;

  bool Holds(double x) const;    // false for NaN and infinity
  std::string ToString() const;  // "must be > 0 and <= 1"
};

// Null where the table has no range for the number: a programmer's error.
const Range* FindRange(const google::protobuf::FieldDescriptor& field);

// A number as people write it: 1.5, 20000, 1e+09.
std::string FormatNumber(double x);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_RANGES_H_
