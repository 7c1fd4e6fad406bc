#include "common/config/config_text.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/config/field_path.h"
#include "common/config/suggest.h"

namespace parley {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::TextFormat;

// A run file has a depth of less than ten; the parser recurses.
constexpr int kMaxDepth = 64;

struct Complaint {
  int line;  // from 0
  std::string text;
};

class Collector final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int, const std::string& text) override {
    errors.push_back({line, text});
  }
  // Unknown fields.
  void AddWarning(int line, int, const std::string& text) override {
    warnings.push_back({line, text});
  }
  std::vector<Complaint> errors;
  std::vector<Complaint> warnings;
};

// The pieces of `text` between double quotes.
std::vector<std::string> Quoted(const std::string& text) {
  const std::vector<std::string> pieces = absl::StrSplit(text, '"');
  std::vector<std::string> quoted;
  for (size_t i = 1; i < pieces.size(); i += 2) quoted.push_back(pieces[i]);
  return quoted;
}

// Says the parser's complaints about names in our own words, with the names
// that there are.
std::string Explain(const std::string& text, const Descriptor& whole) {
  const std::vector<std::string> quoted = Quoted(text);
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  if (quoted.size() == 2 && absl::StrContains(text, "has no field named")) {
    const Descriptor* message = pool.FindMessageTypeByName(quoted[0]);
    if (message != nullptr) return NoSuchField(*message, quoted[1]);
  }
  if (quoted.size() == 2 &&
      absl::StrContains(text, "Unknown enumeration value of")) {
    // The second name is that of the field, without its message.
    std::vector<const Descriptor*> open = {&whole};
    for (size_t i = 0; i < open.size(); ++i) {
      for (int k = 0; k < open[i]->field_count(); ++k) {
        const FieldDescriptor* field = open[i]->field(k);
        if (field->enum_type() != nullptr && field->name() == quoted[1]) {
          return NoSuchValue(*field->enum_type(), quoted[0]);
        }
        const Descriptor* inner = field->message_type();
        if (inner != nullptr &&
            std::find(open.begin(), open.end(), inner) == open.end()) {
          open.push_back(inner);
        }
      }
    }
  }
  if (absl::EndsWith(text, "got: ") || absl::EndsWith(text, "found \"\".")) {
    return "the file ends where more must follow; is a } missing?";
  }
  return text;
}

// The parser notices an unknown enum value at the token that follows it, which
// may be lines later. Returns the line of the value itself.
int LineOf(const Complaint& complaint, const std::vector<std::string>& lines) {
  if (!absl::StrContains(complaint.text, "Unknown enumeration value of")) {
    return complaint.line;
  }
  const std::string value = Quoted(complaint.text).front();
  const int last = static_cast<int>(lines.size()) - 1;
  for (int line = std::min(complaint.line, last); line >= 0; --line) {
    if (absl::StrContains(lines[line], value)) return line;
  }
  return complaint.line;
}

// Whether a line closes just the brackets that it opens. Brackets in strings
// and comments count too: then one error less is found, no more.
bool IsBalanced(absl::string_view line) {
  return std::count(line.begin(), line.end(), '{') ==
             std::count(line.begin(), line.end(), '}') &&
         std::count(line.begin(), line.end(), '[') ==
             std::count(line.begin(), line.end(), ']') &&
         std::count(line.begin(), line.end(), '<') ==
             std::count(line.begin(), line.end(), '>');
}

bool IsBlank(absl::string_view line) {
  return line.find_first_not_of(" \t\r") == absl::string_view::npos;
}

// The first line, from 0, that lies too deep; -1: none.
int TooDeep(absl::string_view text) {
  int line = 0;
  int depth = 0;
  for (char c : text) {
    if (c == '\n') ++line;
    if (c == '{' || c == '<' || c == '[') ++depth;
    if (c == '}' || c == '>' || c == ']') --depth;
    if (depth > kMaxDepth) return line;
  }
  return -1;
}

}  // namespace

ConfigText ConfigText::Parse(absl::string_view text,
                             const google::protobuf::Message& kind) {
  ConfigText result(kind);
  if (const int line = TooDeep(text); line >= 0) {
    result.AddError(line, "too many brackets are open");
    return result;
  }
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  // Each turn blanks one line or is the last.
  for (;;) {
    const int line = result.ParseOnce(lines);
    if (line < 0 || line >= static_cast<int>(lines.size()) ||
        IsBlank(lines[line]) || !IsBalanced(lines[line]) ||
        result.errors_.size() > 100) {
      break;
    }
    lines[line].clear();
  }
  std::stable_sort(
      result.errors_.begin(), result.errors_.end(),
      [](const Error& a, const Error& b) { return a.line < b.line; });
  return result;
}

int ConfigText::ParseOnce(const std::vector<std::string>& lines) {
  Collector collector;
  tree_ = std::make_unique<TextFormat::ParseInfoTree>();
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&collector);
  parser.WriteLocationsTo(tree_.get());
  parser.AllowUnknownField(true);
  parser.SetRecursionLimit(2 * kMaxDepth);
  parser.ParseFromString(absl::StrJoin(lines, "\n"), message_.get());
  for (const Complaint& c : collector.warnings) AddError(c.line, c.text);
  for (const Complaint& c : collector.errors) {
    AddError(LineOf(c, lines), c.text);
  }
  return collector.errors.empty() ? -1 : LineOf(collector.errors[0], lines);
}

void ConfigText::AddError(int line, std::string text) {
  Error error = {line + 1, Explain(text, *message_->GetDescriptor())};
  for (const Error& known : errors_) {
    if (known.line == error.line && known.text == error.text) return;
  }
  errors_.push_back(std::move(error));
}

ConfigText::Place ConfigText::Find(absl::string_view path) const {
  Place place = {0, false};
  std::vector<PathSegment> segments;
  if (!ParseFieldPath(path, &segments)) return place;
  const TextFormat::ParseInfoTree* tree = tree_.get();
  const Descriptor* message = message_->GetDescriptor();
  for (size_t i = 0; i < segments.size() && tree && message; ++i) {
    const FieldDescriptor* field = message->FindFieldByName(segments[i].name);
    if (field == nullptr) break;
    int index = field->is_repeated() ? std::max(segments[i].index, 0) : -1;
    int line = tree->GetLocation(field, index).line;
    // The tree knows a list [a, b, c] by its first element.
    while (line < 0 && index > 0) {
      line = tree->GetLocation(field, --index).line;
    }
    if (line < 0) break;
    place = {line + 1, i + 1 == segments.size()};
    message = field->message_type();
    tree = message ? tree->GetTreeForNested(field, index) : nullptr;
  }
  return place;
}

}  // namespace parley
