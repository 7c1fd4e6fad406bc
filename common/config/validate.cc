#include "common/config/validate.h"

#include <google/protobuf/descriptor.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/config/ranges.h"
#include "common/config/rules.h"

namespace parley {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

struct Number {
  double value;
  std::string text;
};

template <typename T>
Number NumberOf(T x) {
  return {static_cast<double>(x), absl::StrCat(x)};
}

// The number of a field; of its `index`-th element where that is >= 0. Strings,
// bools and messages are no numbers.
Number GetNumber(const Message& message, const FieldDescriptor& field,
                 int index) {
  const Reflection& get = *message.GetReflection();
  switch (field.cpp_type()) {
#define NUMBER_CASE(type, Name)                                                \
  case FieldDescriptor::type:                                                  \
    return NumberOf(index >= 0 ? get.GetRepeated##Name(message, &field, index) \
                               : get.Get##Name(message, &field));
    NUMBER_CASE(CPPTYPE_INT32, Int32)
    NUMBER_CASE(CPPTYPE_INT64, Int64)
    NUMBER_CASE(CPPTYPE_UINT32, UInt32)
    NUMBER_CASE(CPPTYPE_UINT64, UInt64)
    NUMBER_CASE(CPPTYPE_FLOAT, Float)
#undef NUMBER_CASE
    default:
      break;
  }
  PARLEY_CHECK(field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE);
  const double x = index >= 0 ? get.GetRepeatedDouble(message, &field, index)
                              : get.GetDouble(message, &field);
  return {x, FormatNumber(x)};
}

// Goes through a message and all that it holds.
class Walker {
 public:
  explicit Walker(std::vector<Problem>* problems) : problems_(*problems) {}

  void Walk(const Message& message, const std::string& prefix) {
    const Reflection& get = *message.GetReflection();
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor& field = *message.GetDescriptor()->field(i);
      if (field.is_map()) continue;  // of strings: a plug-in's own business
      const std::string path = prefix + field.name();
      if (field.is_repeated()) {
        for (int k = 0; k < get.FieldSize(message, &field); ++k) {
          Check(message, field, k, absl::StrCat(path, "[", k, "]"));
        }
      } else if (!field.has_presence() || get.HasField(message, &field)) {
        Check(message, field, -1, path);
      } else if (const Range* range = FindRange(field);
                 range != nullptr && range->required) {
        problems_.push_back({Problem::Kind::kMissing, path,
                             "is missing: " + range->ToString()});
      }
    }
  }

 private:
  void Check(const Message& message, const FieldDescriptor& field, int index,
             const std::string& path) {
    const Reflection& get = *message.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        Walk(index >= 0 ? get.GetRepeatedMessage(message, &field, index)
                        : get.GetMessage(message, &field),
             path + ".");
        return;
      case FieldDescriptor::CPPTYPE_ENUM:
        return CheckEnum(*field.enum_type(),
                         index >= 0
                             ? get.GetRepeatedEnumValue(message, &field, index)
                             : get.GetEnumValue(message, &field),
                         path);
      case FieldDescriptor::CPPTYPE_STRING:
      case FieldDescriptor::CPPTYPE_BOOL:
        return;
      default:
        break;
    }
    const Number number = GetNumber(message, field, index);
    const Range* range = FindRange(field);
    if (range == nullptr) {
      Add(path, absl::StrCat("is ", number.text,
                             ": no range is known for it, which is a fault of "
                             "this program"));
    } else if (!range->Holds(number.value)) {
      Add(path, absl::StrCat("is ", number.text, ": ", range->ToString()));
    }
  }

  // An enum of proto3 can hold any number.
  void CheckEnum(const EnumDescriptor& type, int value,
                 const std::string& path) {
    if (type.FindValueByNumber(value) != nullptr) return;
    std::vector<std::string> names;
    for (int i = 0; i < type.value_count(); ++i) {
      if (type.value(i)->number() != 0) names.push_back(type.value(i)->name());
    }
    Add(path, absl::StrCat("is ", value, ": must be one of ",
                           absl::StrJoin(names, ", ")));
  }

  void Add(const std::string& path, std::string text) {
    problems_.push_back({Problem::Kind::kValue, path, std::move(text)});
  }

  std::vector<Problem>& problems_;
};

}  // namespace

void CheckRanges(const Message& message, const std::string& prefix,
                 std::vector<Problem>* problems) {
  Walker(problems).Walk(message, prefix);
}

std::vector<Problem> ValidateRun(const v1::RunConfig& config) {
  std::vector<Problem> problems;
  CheckRanges(config, "", &problems);
  CheckRules(config, &problems);
  return problems;
}

absl::Status CheckRun(const v1::RunConfig& config) {
  const std::vector<Problem> problems = ValidateRun(config);
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(
      problems, "\n", [](std::string* out, const Problem& problem) {
        absl::StrAppend(out, problem.path, " ", problem.text);
      }));
}

}  // namespace parley
