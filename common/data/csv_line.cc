#include "common/data/csv_line.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace parley {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t'; }

size_t SkipSpaces(absl::string_view line, size_t at) {
  while (at < line.size() && IsSpace(line[at])) ++at;
  return at;
}

// Appends the text of a field whose opening quote lies before `at`; returns the
// place after the closing one, or npos where there is none.
size_t TakeQuoted(absl::string_view line, size_t at, std::string& field) {
  while (true) {
    const size_t quote = line.find('"', at);
    if (quote == line.npos) return line.npos;
    field.append(line.data() + at, quote - at);
    at = quote + 1;
    if (at == line.size() || line[at] != '"') return at;
    field.push_back('"');
    ++at;
  }
}

// The same for a field without quotes, up to the comma or the end.
size_t TakePlain(absl::string_view line, size_t at, std::string& field) {
  const size_t end = std::min(line.find(',', at), line.size());
  size_t last = end;
  while (last > at && IsSpace(line[last - 1])) --last;
  field.append(line.data() + at, last - at);
  return end;
}

}  // namespace

std::string SplitCsvLine(absl::string_view line,
                         std::vector<std::string>* fields) {
  size_t count = 0;
  size_t at = 0;
  while (true) {
    if (count == fields->size()) fields->emplace_back();
    std::string& field = (*fields)[count++];
    field.clear();
    at = SkipSpaces(line, at);
    if (at < line.size() && line[at] == '"') {
      at = TakeQuoted(line, at + 1, field);
      if (at == line.npos) {
        return absl::StrCat("the quote of field ", count,
                            " is not closed; a field may not go over the end "
                            "of a line");
      }
      at = SkipSpaces(line, at);
      if (at < line.size() && line[at] != ',') {
        return absl::StrCat("field ", count,
                            " goes on after its closing quote; a quote within "
                            "quotes is written twice");
      }
    } else {
      at = TakePlain(line, at, field);
      if (field.find('"') != field.npos) {
        return absl::StrCat("field ", count,
                            " has a quote in it, but does not begin with one");
      }
    }
    if (at == line.size()) break;
    ++at;  // the comma
  }
  fields->resize(count);
  return "";
}

}  // namespace parley
