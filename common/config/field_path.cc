#include "common/config/field_path.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace parley {

bool ParseFieldPath(absl::string_view path,
                    std::vector<PathSegment>* segments) {
  segments->clear();
  for (absl::string_view piece : absl::StrSplit(path, '.')) {
    PathSegment segment;
    const size_t bracket = piece.find('[');
    segment.name = std::string(piece.substr(0, bracket));
    if (segment.name.empty()) return false;
    if (bracket != absl::string_view::npos) {
      absl::string_view index = piece.substr(bracket + 1);
      if (index.empty() || index.back() != ']') return false;
      index.remove_suffix(1);
      if (!absl::SimpleAtoi(index, &segment.index) || segment.index < 0) {
        return false;
      }
    }
    segments->push_back(std::move(segment));
  }
  return true;
}

bool IsWithin(absl::string_view path, absl::string_view outer) {
  if (!absl::StartsWith(path, outer)) return false;
  return path.size() == outer.size() || path[outer.size()] == '.' ||
         path[outer.size()] == '[';
}

}  // namespace parley
