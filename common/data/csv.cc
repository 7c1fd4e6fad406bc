#include "common/data/csv.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/nearest.h"
#include "common/base/status_macros.h"
#include "common/data/csv_line.h"
#include "common/data/input_file.h"
#include "common/data/parse_number.h"

namespace parley {
namespace {

constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";

bool IsBlank(absl::string_view line) {
  return line.find_first_not_of(" \t") == line.npos;
}

// Where in a line the columns are that are read.
struct Layout {
  std::vector<std::string> names;  // of all columns
  size_t target = 0;
  std::optional<size_t> group;
  std::vector<size_t> features;
};

// Finds columns by name.
class Header {
 public:
  static absl::StatusOr<Header> Read(const std::string& path,
                                     LineReader& reader) {
    Header header(reader);
    absl::string_view line;
    do {
      PARLEY_ASSIGN_OR_RETURN(const bool more, reader.Next());
      if (!more) {
        return absl::InvalidArgumentError(absl::StrCat(
            path, ": is empty; its first line must name the columns"));
      }
      line = absl::StripPrefix(reader.line(), kByteOrderMark);
    } while (IsBlank(line));
    const std::string wrong = SplitCsvLine(line, &header.names_);
    if (!wrong.empty()) return reader.Error(wrong);
    for (size_t i = 0; i < header.names_.size(); ++i) {
      const std::string& name = header.names_[i];
      if (name.empty()) {
        return reader.Error(absl::StrCat("column ", i + 1, " has no name"));
      }
      if (!header.index_.emplace(name, i).second) {
        return reader.Error(absl::StrCat("two columns are named ", name));
      }
    }
    return header;
  }

  absl::StatusOr<size_t> Find(const std::string& name) const {
    const auto found = index_.find(name);
    if (found != index_.end()) return found->second;
    return reader_.Error(NoSuch("the header", "column", name, names_));
  }

  absl::StatusOr<Layout> Arrange(const CsvOptions& options) const {
    Layout layout;
    layout.names = names_;
    PARLEY_ASSIGN_OR_RETURN(layout.target, Find(options.target));
    std::set<size_t> taken = {layout.target};
    for (const std::string& name : options.ignore) {
      PARLEY_ASSIGN_OR_RETURN(const size_t ignored, Find(name));
      taken.insert(ignored);
    }
    if (!options.group.empty()) {
      PARLEY_ASSIGN_OR_RETURN(layout.group, Find(options.group));
      taken.insert(*layout.group);
    }
    for (const std::string& name : options.columns) {
      PARLEY_ASSIGN_OR_RETURN(const size_t feature, Find(name));
      if (taken.contains(feature)) {
        return reader_.Error(absl::StrCat(
            "column ", name,
            " is a feature of the set that this one goes with, but here it is "
            "the target or ignored"));
      }
      layout.features.push_back(feature);
    }
    for (size_t i = 0; i < names_.size() && options.columns.empty(); ++i) {
      if (!taken.contains(i)) layout.features.push_back(i);
    }
    if (layout.features.empty()) {
      return reader_.Error("no column is left for the features");
    }
    return layout;
  }

 private:
  explicit Header(const LineReader& reader) : reader_(reader) {}

  const LineReader& reader_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, size_t> index_;
};

// Whether it reads as a number, be it one that is out of range or not finite.
bool IsNumeral(const std::string& text) {
  double ignored;
  return absl::SimpleAtod(text, &ignored);
}

// A column of texts, which become ranks once all are known.
class Texts {
 public:
  void Add(const std::string& text) {
    rows_.push_back(static_cast<int64_t>(
        numbers_.emplace(text, numbers_.size()).first->second));
  }
  const std::vector<int64_t>& ranks() const { return rows_; }

  // Returns the distinct texts in order: that of bytes, or by number where all
  // are numbers and `may_count`. From then on ranks() are places in it.
  std::vector<std::string> Rank(bool may_count) {
    std::vector<std::pair<double, std::string>> order;
    for (const auto& [text, number] : numbers_) {
      double value = 0;
      may_count = may_count && ParseNumber(text, value) == nullptr;
      order.emplace_back(value, text);
    }
    for (auto& [value, text] : order) {
      if (!may_count) value = 0;
    }
    std::sort(order.begin(), order.end());
    std::vector<std::string> texts;
    std::vector<int64_t> rank(order.size());
    for (auto& [value, text] : order) {
      rank[numbers_[text]] = static_cast<int64_t>(texts.size());
      texts.push_back(std::move(text));
    }
    for (int64_t& row : rows_) row = rank[row];
    return texts;
  }

 private:
  std::unordered_map<std::string, size_t> numbers_;  // as they come
  std::vector<int64_t> rows_;
};

// The column of targets.
class Targets {
 public:
  explicit Targets(const std::optional<std::vector<std::string>>& labels)
      : labels_(labels) {
    if (labels_) are_text_ = !labels_->empty();
  }

  // What is wrong with the next row's target as a T, or null.
  template <typename T>
  const char* Add(const std::string& text) {
    if (!are_text_) are_text_ = !IsNumeral(text);
    if (!*are_text_) {
      T narrow;
      const char* const wrong = ParseNumber(text, narrow);
      return wrong ? wrong : ParseNumber(text, values_.emplace_back());
    }
    if (labels_) {
      const auto found =
          std::lower_bound(labels_->begin(), labels_->end(), text);
      if (found == labels_->end() || *found != text) {
        return "is a label that the training set does not have";
      }
      values_.push_back(static_cast<double>(found - labels_->begin()));
      return nullptr;
    }
    if (IsNumeral(text)) return "is a number, but the first target is text";
    texts_.Add(text);
    return nullptr;
  }

  int64_t rows() const {
    return static_cast<int64_t>(values_.size() + texts_.ranks().size());
  }

  void Finish(SourceTargets& out) && {
    if (labels_) {
      out.labels = *labels_;
    } else if (are_text_ && *are_text_) {
      out.labels = texts_.Rank(false);
      values_.assign(texts_.ranks().begin(), texts_.ranks().end());
    }
    out.classes = static_cast<int64_t>(out.labels.size());
    out.values = std::move(values_);
  }

 private:
  const std::optional<std::vector<std::string>>& labels_;
  std::optional<bool> are_text_;  // none: no row yet
  std::vector<double> values_;
  Texts texts_;
};

absl::Status BadValue(const LineReader& reader, const std::string& column,
                      const std::string& text, absl::string_view wrong) {
  if (text.empty()) {
    return reader.Error(absl::StrCat("column ", column,
                                     " is empty, but no value may be missing"));
  }
  return reader.Error(
      absl::StrCat("column ", column, ": '", text.substr(0, 40), "' ", wrong));
}

template <typename T>
struct Parsed {
  Examples<T> kept;
  SourceTargets targets;  // of all rows
};

template <typename T>
absl::StatusOr<Parsed<T>> Parse(const CsvOptions& options, RowFilter filter) {
  PARLEY_ASSIGN_OR_RETURN(LineReader reader, LineReader::Open(options.path));
  PARLEY_ASSIGN_OR_RETURN(const Header header,
                          Header::Read(options.path, reader));
  PARLEY_ASSIGN_OR_RETURN(const Layout layout, header.Arrange(options));
  Parsed<T> parsed;
  Examples<T>& kept = parsed.kept;
  kept.features = static_cast<int64_t>(layout.features.size());
  std::vector<int64_t> kept_rows;
  Targets targets(options.labels);
  Texts groups;
  std::vector<std::string> fields;
  std::vector<T> row(layout.features.size());
  while (true) {
    PARLEY_ASSIGN_OR_RETURN(const bool more, reader.Next());
    if (!more) break;
    if (IsBlank(reader.line())) continue;
    const std::string wrong = SplitCsvLine(reader.line(), &fields);
    if (!wrong.empty()) return reader.Error(wrong);
    if (fields.size() != layout.names.size()) {
      return reader.Error(absl::StrCat("has ", fields.size(),
                                       " fields, but the header names ",
                                       layout.names.size(), " columns"));
    }
    const auto bad = [&](size_t column, const char* what) {
      return BadValue(reader, layout.names[column], fields[column], what);
    };
    const bool keep = filter.Keeps(targets.rows());
    for (size_t i = 0; i < row.size(); ++i) {
      const size_t column = layout.features[i];
      if (const char* what = ParseNumber(fields[column], row[i])) {
        return bad(column, what);
      }
    }
    if (layout.group) {
      if (fields[*layout.group].empty()) return bad(*layout.group, "");
      groups.Add(fields[*layout.group]);
    }
    if (fields[layout.target].empty()) return bad(layout.target, "");
    if (const char* what = targets.Add<T>(fields[layout.target])) {
      return bad(layout.target, what);
    }
    if (!keep) continue;
    kept_rows.push_back(targets.rows() - 1);
    PARLEY_RETURN_IF_ERROR(
        CheckDenseSize(static_cast<int64_t>(kept_rows.size()), kept.features));
    kept.dense.insert(kept.dense.end(), row.begin(), row.end());
  }
  if (targets.rows() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.path, ": holds no rows"));
  }
  PARLEY_RETURN_IF_ERROR(filter.Check(targets.rows()));
  SourceTargets& all = parsed.targets;
  all.features = kept.features;
  for (const size_t column : layout.features) {
    all.columns.push_back(layout.names[column]);
  }
  std::move(targets).Finish(all);
  if (layout.group) {
    groups.Rank(true);
    all.groups = groups.ranks();
  }
  kept.rows = static_cast<int64_t>(kept_rows.size());
  for (const int64_t at : kept_rows) {
    kept.target.push_back(static_cast<T>(all.values[at]));
  }
  return parsed;
}

}  // namespace

template <typename T>
absl::StatusOr<Examples<T>> LoadCsv(const CsvOptions& options,
                                    RowFilter filter) {
  PARLEY_ASSIGN_OR_RETURN(Parsed<T> parsed, Parse<T>(options, filter));
  return std::move(parsed.kept);
}

absl::StatusOr<SourceTargets> LoadCsvTargets(const CsvOptions& options) {
  const RowFilter none{absl::Span<const int64_t>()};
  PARLEY_ASSIGN_OR_RETURN(Parsed<double> parsed, Parse<double>(options, none));
  return std::move(parsed.targets);
}

template absl::StatusOr<Examples<float>> LoadCsv(const CsvOptions&, RowFilter);
template absl::StatusOr<Examples<double>> LoadCsv(const CsvOptions&, RowFilter);

}  // namespace parley
