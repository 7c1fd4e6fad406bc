#include "common/data/libsvm.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/data/input_file.h"
#include "common/data/parse_number.h"

namespace parley {
namespace {

// Columns are int32 and start at 0.
constexpr int64_t kMaxIndex = std::numeric_limits<int32_t>::max() - 1;

absl::string_view TakeWord(absl::string_view& text) {
  size_t begin = 0;
  while (begin < text.size() && (text[begin] == ' ' || text[begin] == '\t')) {
    ++begin;
  }
  size_t end = begin;
  while (end < text.size() && text[end] != ' ' && text[end] != '\t') ++end;
  const absl::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

// The rows that the filter keeps, sparse. `targets`, unless null, gets those of
// all rows.
template <typename T>
absl::StatusOr<Examples<T>> Parse(const LibsvmOptions& options,
                                  RowFilter filter,
                                  std::vector<double>* targets) {
  PARLEY_ASSIGN_OR_RETURN(LineReader reader, LineReader::Open(options.path));
  if (options.features < 0 || options.features > kMaxIndex) {
    return absl::InvalidArgumentError(absl::StrCat(
        "features is ", options.features, "; allowed: 0 to ", kMaxIndex));
  }
  const int64_t limit = options.features > 0 ? options.features : kMaxIndex;
  Examples<T> kept;
  kept.sparse = true;
  kept.row_begin.push_back(0);
  int64_t highest = 0;
  int64_t rows = 0;
  while (true) {
    PARLEY_ASSIGN_OR_RETURN(const bool more, reader.Next());
    if (!more) break;
    absl::string_view line = reader.line();
    line = line.substr(0, line.find('#'));
    absl::string_view word = TakeWord(line);
    if (word.empty()) continue;
    if (word.find(':') != word.npos) {
      return reader.Error(
          absl::StrCat("the label is missing before '", word, "'"));
    }
    double target;
    if (const char* wrong = ParseNumber(word, target)) {
      return reader.Error(absl::StrCat("the label '", word, "' ", wrong));
    }
    const bool keep = filter.Keeps(rows++);
    int64_t last = 0;
    while (!(word = TakeWord(line)).empty()) {
      const char* const end = word.data() + word.size();
      int64_t index = 0;
      const auto parsed = std::from_chars(word.data(), end, index);
      if (parsed.ec == std::errc::invalid_argument || parsed.ptr == end ||
          *parsed.ptr != ':') {
        return reader.Error(absl::StrCat("'", word, "' is not index:value"));
      }
      if (parsed.ec != std::errc() || index < 1 || index > limit) {
        return reader.Error(absl::StrCat("the index of '", word,
                                         "' is not within 1 to ", limit));
      }
      if (index <= last) {
        return reader.Error(absl::StrCat("index ", index, " follows ", last,
                                         ", but indices must rise"));
      }
      last = index;
      T value;
      if (const char* wrong =
              ParseNumber(word.substr(parsed.ptr + 1 - word.data()), value)) {
        return reader.Error(absl::StrCat("the value of '", word, "' ", wrong));
      }
      if (keep) {
        kept.column.push_back(static_cast<int32_t>(index - 1));
        kept.value.push_back(value);
      }
    }
    highest = std::max(highest, last);
    if (targets != nullptr) targets->push_back(target);
    if (keep) {
      kept.row_begin.push_back(static_cast<int64_t>(kept.column.size()));
      kept.target.push_back(static_cast<T>(target));
      if (!std::isfinite(kept.target.back())) {
        return reader.Error(
            absl::StrCat("the label ", target, " is out of range"));
      }
    }
  }
  if (rows == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.path, ": holds no rows"));
  }
  if (options.features == 0 && highest == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.path, ": no row has a feature; say how many there are"));
  }
  PARLEY_RETURN_IF_ERROR(filter.Check(rows));
  kept.rows = static_cast<int64_t>(kept.target.size());
  kept.features = options.features > 0 ? options.features : highest;
  return kept;
}

template <typename T>
Examples<T> Densify(Examples<T> sparse) {
  Examples<T> dense;
  dense.rows = sparse.rows;
  dense.features = sparse.features;
  dense.target = std::move(sparse.target);
  dense.dense.resize(sparse.rows * sparse.features);
  for (int64_t row = 0; row < sparse.rows; ++row) {
    T* const out = dense.dense.data() + row * sparse.features;
    for (int64_t k = sparse.row_begin[row]; k < sparse.row_begin[row + 1];
         ++k) {
      out[sparse.column[k]] = sparse.value[k];
    }
  }
  return dense;
}

}  // namespace

template <typename T>
absl::StatusOr<Examples<T>> LoadLibsvm(const LibsvmOptions& options,
                                       RowFilter filter) {
  PARLEY_ASSIGN_OR_RETURN(Examples<T> examples,
                          Parse<T>(options, filter, nullptr));
  if (!options.dense) return examples;
  PARLEY_RETURN_IF_ERROR(CheckDenseSize(examples.rows, examples.features));
  return Densify(std::move(examples));
}

absl::StatusOr<SourceTargets> LoadLibsvmTargets(const LibsvmOptions& options) {
  SourceTargets targets;
  const RowFilter none{absl::Span<const int64_t>()};
  PARLEY_ASSIGN_OR_RETURN(const auto parsed,
                          Parse<double>(options, none, &targets.values));
  targets.features = parsed.features;
  return targets;
}

template absl::StatusOr<Examples<float>> LoadLibsvm(const LibsvmOptions&,
                                                    RowFilter);
template absl::StatusOr<Examples<double>> LoadLibsvm(const LibsvmOptions&,
                                                     RowFilter);

}  // namespace parley
