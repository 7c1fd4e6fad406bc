#include "common/base/nearest.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace parley {
namespace {

constexpr size_t kLongestWord = 64;  // longer ones are not worth a guess
constexpr size_t kMostListed = 100;
constexpr size_t kLeastBeginning = 3;  // characters

// The fewest characters to insert, drop or replace (Levenshtein 1966).
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::string Nearest(absl::string_view word,
                    absl::Span<const std::string> candidates) {
  std::string best;
  if (word.size() > kLongestWord) return best;
  const std::string small = absl::AsciiStrToLower(word);
  // Some of the word must be left.
  size_t best_distance =
      std::min(std::max<size_t>(word.size() / 3, 2) + 1, word.size());
  for (const std::string& candidate : candidates) {
    if (candidate.size() > 2 * kLongestWord) continue;
    const std::string whole = absl::AsciiStrToLower(candidate);
    // A beginning is as good as one wrong letter.
    const bool begins =
        small.size() >= kLeastBeginning && absl::StartsWith(whole, small);
    const size_t distance = begins ? 1 : Distance(small, whole);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string NoSuch(absl::string_view owner, absl::string_view what,
                   const std::string& name,
                   absl::Span<const std::string> known) {
  const std::string nearest = Nearest(name, known);
  std::string text = absl::StrCat(owner, " has no ", what, " ", name);
  if (known.empty()) return text + "; it has none";
  absl::StrAppend(&text,
                  nearest.empty()
                      ? "; it has "
                      : absl::StrCat("; did you mean ", nearest, "? It has "),
                  absl::StrJoin(known.subspan(0, kMostListed), ", "));
  if (known.size() > kMostListed) {
    absl::StrAppend(&text, " and ", known.size() - kMostListed, " more");
  }
  return text;
}

}  // namespace parley
