#include "common/config/overrides.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/field_path.h"
#include "common/config/suggest.h"

namespace parley {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::TextFormat;

constexpr int kMaxDepth = 64;

// Keeps the first complaint.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int, int, const std::string& text) override {
    if (first.empty()) first = text;
  }
  std::string first;
};

absl::Status Invalid(absl::string_view text) {
  return absl::InvalidArgumentError(text);
}

// What a field takes, for people.
std::string Takes(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return "a whole number";
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return "a whole number >= 0";
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "a number";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return "a name";
    case FieldDescriptor::CPPTYPE_STRING:
      return "a text";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "fields in braces, or {}";
  }
  return "";
}

std::string AsText(const FieldDescriptor& field, absl::string_view value) {
  const bool quoted =
      absl::StartsWith(value, "\"") || absl::StartsWith(value, "'");
  const bool list = field.is_repeated() && absl::StartsWith(value, "[");
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING && !quoted && !list) {
    return absl::StrCat("\"", absl::CEscape(value), "\"");
  }
  return std::string(value);
}

// Parses `value` into a fresh message of the kind of `like` that has nothing
// but the field.
absl::StatusOr<std::unique_ptr<Message>> ParseValue(
    const Message& like, const FieldDescriptor& field, const std::string& path,
    absl::string_view value) {
  const absl::Status wrong = Invalid(absl::StrCat(
      path, " takes ", field.is_repeated() ? "a list of, or one of: " : "",
      Takes(field), ", not ", value.empty() ? "nothing" : value));
  if (field.enum_type() != nullptr && !value.empty() &&
      absl::ascii_isalpha(value[0]) &&
      field.enum_type()->FindValueByName(std::string(value)) == nullptr) {
    return Invalid(NoSuchValue(*field.enum_type(), std::string(value)));
  }
  const bool message = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (message && !absl::StartsWith(value, "{") &&
      !absl::StartsWith(value, "[")) {
    return wrong;
  }
  std::unique_ptr<Message> parsed(like.New());
  FirstError error;
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(kMaxDepth);
  if (!parser.ParseFromString(
          absl::StrCat(field.name(), ": ", AsText(field, value)),
          parsed.get())) {
    return message ? Invalid(absl::StrCat(wrong.message(), ": ", error.first))
                   : wrong;
  }
  // A value such as "1 max: 2" would set other fields too.
  std::vector<const FieldDescriptor*> set;
  parsed->GetReflection()->ListFields(*parsed, &set);
  for (const FieldDescriptor* other : set) {
    if (other != &field) return wrong;
  }
  return parsed;
}

// Replaces element `index` of a list by the only one of `from`.
void ReplaceElement(const Message& from, const FieldDescriptor& field,
                    int index, Message* to) {
  const Reflection& reflection = *to->GetReflection();
  const int size = reflection.FieldSize(*to, &field);
  to->MergeFrom(from);
  if (index == size) return;
  reflection.SwapElements(to, &field, index, size);
  reflection.RemoveLast(to, &field);
}

class Override {
 public:
  Override(absl::string_view path, absl::string_view value)
      : path_(path), value_(value) {}

  absl::Status Apply(Message* message) {
    if (!ParseFieldPath(path_, &segments_)) {
      return Invalid(absl::StrCat(path_,
                                  " is no field path, like data.train "
                                  "or round_values[0].name"));
    }
    return Descend(0, message);
  }

 private:
  absl::Status Descend(size_t depth, Message* message) {
    const PathSegment& segment = segments_[depth];
    const FieldDescriptor* field =
        message->GetDescriptor()->FindFieldByName(segment.name);
    if (field == nullptr) {
      return Invalid(NoSuchField(*message->GetDescriptor(), segment.name));
    }
    const Reflection& reflection = *message->GetReflection();
    if (segment.index >= 0) {
      if (!field->is_repeated() || field->is_map()) {
        return Invalid(absl::StrCat(segment.name, " is no list"));
      }
      const int size = reflection.FieldSize(*message, field);
      if (segment.index > size) {
        return Invalid(absl::StrCat(segment.name, " has ", size, " elements"));
      }
    }
    if (depth + 1 == segments_.size()) return Set(*field, segment, message);
    if (field->is_map()) return SetEntry(*field, depth + 1, message);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      return Invalid(absl::StrCat(segment.name, " has no fields"));
    }
    if (!field->is_repeated()) {
      return Descend(depth + 1, reflection.MutableMessage(message, field));
    }
    if (segment.index < 0) {
      return Invalid(absl::StrCat(segment.name, " is a list: say which, as ",
                                  segment.name, "[0]"));
    }
    return Descend(
        depth + 1,
        segment.index == reflection.FieldSize(*message, field)
            ? reflection.AddMessage(message, field)
            : reflection.MutableRepeatedMessage(message, field, segment.index));
  }

  absl::Status Set(const FieldDescriptor& field, const PathSegment& segment,
                   Message* message) {
    const Reflection& reflection = *message->GetReflection();
    PARLEY_ASSIGN_OR_RETURN(const std::unique_ptr<Message> parsed,
                            ParseValue(*message, field, path_, value_));
    if (segment.index < 0) {
      reflection.ClearField(message, &field);
      message->MergeFrom(*parsed);
    } else if (reflection.FieldSize(*parsed, &field) != 1) {
      return Invalid(absl::StrCat(path_, " takes one element"));
    } else {
      ReplaceElement(*parsed, field, segment.index, message);
    }
    return absl::OkStatus();
  }

  // Of a map of strings: the rest of the path is the key.
  absl::Status SetEntry(const FieldDescriptor& field, size_t depth,
                        Message* message) {
    if (depth + 1 != segments_.size() || segments_[depth].index >= 0) {
      return Invalid(absl::StrCat(path_, " runs past a map's key"));
    }
    const FieldDescriptor* value =
        field.message_type()->FindFieldByName("value");
    PARLEY_ASSIGN_OR_RETURN(
        const std::unique_ptr<Message> parsed,
        ParseValue(
            *message, field, path_,
            absl::StrCat("{key: \"", absl::CEscape(segments_[depth].name),
                         "\" value: ", AsText(*value, value_), "}")));
    message->MergeFrom(*parsed);
    return absl::OkStatus();
  }

  const std::string path_;
  const absl::string_view value_;
  std::vector<PathSegment> segments_;
};

}  // namespace

absl::StatusOr<std::string> ApplyOverride(absl::string_view text,
                                          Message* message) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos) {
    return Invalid("must be field.path=value");
  }
  const absl::string_view path =
      absl::StripAsciiWhitespace(text.substr(0, equals));
  const absl::string_view value =
      absl::StripAsciiWhitespace(text.substr(equals + 1));
  PARLEY_RETURN_IF_ERROR(Override(path, value).Apply(message));
  return std::string(path);
}

}  // namespace parley
