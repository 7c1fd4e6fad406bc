#include "common/config/suggest.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace parley {
namespace {

// The fewest characters to insert, drop or replace (Levenshtein 1966).
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::string NoSuch(absl::string_view owner, absl::string_view what,
                   const std::string& name,
                   const std::vector<std::string>& known) {
  std::string text = absl::StrCat(owner, " has no ", what, " ", name);
  // Names longer than any known one are not worth a guess.
  const std::string* best = nullptr;
  size_t best_distance = std::min<size_t>(name.size() / 3 + 1, 4);
  for (const std::string& candidate : known) {
    if (name.size() > 64) break;
    const size_t distance =
        Distance(absl::AsciiStrToLower(name), absl::AsciiStrToLower(candidate));
    if (distance < best_distance || (distance == best_distance && !best)) {
      best = &candidate;
      best_distance = distance;
    }
  }
  if (best != nullptr) absl::StrAppend(&text, "; did you mean ", *best, "?");
  if (known.empty()) return text + "; it has none";
  return absl::StrCat(text, best != nullptr ? " It has " : "; it has ",
                      absl::StrJoin(known, ", "));
}

template <typename D>
std::string ShortName(const D& descriptor) {
  return std::string(absl::StripPrefix(descriptor.full_name(),
                                       descriptor.file()->package() + "."));
}

}  // namespace

std::string NoSuchField(const google::protobuf::Descriptor& message,
                        const std::string& name) {
  std::vector<std::string> known;
  for (int i = 0; i < message.field_count(); ++i) {
    known.push_back(message.field(i)->name());
  }
  return NoSuch(ShortName(message), "field", name, known);
}

std::string NoSuchValue(const google::protobuf::EnumDescriptor& type,
                        const std::string& name) {
  std::vector<std::string> known;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) known.push_back(type.value(i)->name());
  }
  return NoSuch(ShortName(type), "value", name, known);
}

}  // namespace parley
