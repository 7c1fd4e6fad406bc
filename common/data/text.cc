#include "common/data/text.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/data/input_file.h"

namespace parley {
namespace {

constexpr int64_t kBlock = 1 << 20;
constexpr int64_t kMaxContext = 65536;

struct Characters {
  std::string alphabet;        // rising
  std::vector<uint8_t> index;  // of each byte of the text
  int64_t rows = 0;
};

// The distinct bytes, rising.
std::string AlphabetOf(absl::string_view bytes) {
  std::array<bool, 256> there{};
  for (const char c : bytes) there[static_cast<uint8_t>(c)] = true;
  std::string alphabet;
  for (size_t i = 0; i < there.size(); ++i) {
    if (there[i]) alphabet.push_back(static_cast<char>(i));
  }
  return alphabet;
}

absl::StatusOr<std::string> ReadWhole(const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(const auto file, InputFile::Open(path));
  std::string text;
  while (true) {
    const size_t size = text.size();
    text.resize(size + kBlock);
    PARLEY_ASSIGN_OR_RETURN(const int64_t got,
                            file->Read(text.data() + size, kBlock));
    text.resize(size + got);
    if (got < kBlock) return text;
    PARLEY_RETURN_IF_ERROR(
        CheckDenseSize(static_cast<int64_t>(text.size()), 1));
  }
}

absl::Status CheckOptions(const TextOptions& options) {
  if (options.context < 1 || options.context > kMaxContext) {
    return absl::InvalidArgumentError(absl::StrCat(
        "context is ", options.context, "; allowed: 1 to ", kMaxContext));
  }
  if (options.stride < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("stride is ", options.stride, "; allowed: 1 or more"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Characters> Read(const TextOptions& options) {
  PARLEY_RETURN_IF_ERROR(CheckOptions(options));
  PARLEY_ASSIGN_OR_RETURN(const std::string text, ReadWhole(options.path));
  const auto length = static_cast<int64_t>(text.size());
  if (length <= options.context) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.path, ": has ", length, " bytes, but the first example takes ",
        options.context + 1));
  }
  Characters characters;
  characters.rows = (length - options.context - 1) / options.stride + 1;
  characters.alphabet =
      AlphabetOf(options.alphabet.empty() ? text : options.alphabet);
  std::array<int, 256> index;
  index.fill(-1);
  for (size_t i = 0; i < characters.alphabet.size(); ++i) {
    index[static_cast<uint8_t>(characters.alphabet[i])] = static_cast<int>(i);
  }
  characters.index.reserve(text.size());
  for (const char c : text) {
    const int i = index[static_cast<uint8_t>(c)];
    if (i < 0) {
      const auto line = std::count(
          text.begin(), text.begin() + characters.index.size(), '\n');
      return absl::InvalidArgumentError(
          absl::StrCat(options.path, ":", line + 1, ": the character \"",
                       absl::CEscape(absl::string_view(&c, 1)), "\" (byte ",
                       static_cast<uint8_t>(c), ") is none of the ",
                       characters.alphabet.size(), " of the alphabet"));
    }
    characters.index.push_back(static_cast<uint8_t>(i));
  }
  return characters;
}

}  // namespace

template <typename T>
absl::StatusOr<Examples<T>> LoadText(const TextOptions& options,
                                     RowFilter filter) {
  PARLEY_ASSIGN_OR_RETURN(const Characters characters, Read(options));
  PARLEY_RETURN_IF_ERROR(filter.Check(characters.rows));
  Examples<T> examples;
  examples.rows = filter.count(characters.rows);
  examples.features = options.context;
  PARLEY_RETURN_IF_ERROR(CheckDenseSize(examples.rows, examples.features));
  examples.dense.reserve(examples.rows * examples.features);
  examples.target.reserve(examples.rows);
  for (int64_t row = 0; row < characters.rows; ++row) {
    if (!filter.Keeps(row)) continue;
    const auto begin = characters.index.begin() + row * options.stride;
    const auto end = begin + options.context;
    examples.dense.insert(examples.dense.end(), begin, end);
    examples.target.push_back(static_cast<T>(*end));
  }
  return examples;
}

absl::StatusOr<SourceTargets> LoadTextTargets(const TextOptions& options) {
  PARLEY_ASSIGN_OR_RETURN(const Characters characters, Read(options));
  SourceTargets targets;
  targets.features = options.context;
  targets.classes = static_cast<int64_t>(characters.alphabet.size());
  for (const char c : characters.alphabet) {
    targets.labels.emplace_back(1, c);
  }
  targets.values.reserve(characters.rows);
  for (int64_t row = 0; row < characters.rows; ++row) {
    targets.values.push_back(
        characters.index[row * options.stride + options.context]);
  }
  return targets;
}

template absl::StatusOr<Examples<float>> LoadText(const TextOptions&,
                                                  RowFilter);
template absl::StatusOr<Examples<double>> LoadText(const TextOptions&,
                                                   RowFilter);

}  // namespace parley
