#include "common/data/idx.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/data/input_file.h"
#include "common/data/scaled_bytes.h"

namespace parley {
namespace {

constexpr int kUnsignedByte = 0x08;
constexpr uint64_t kMaxBytes = uint64_t{1} << 40;

// An IDX file of unsigned bytes, read up to the end of its header.
struct IdxFile {
  std::unique_ptr<InputFile> file;
  std::vector<int64_t> extents;
  int64_t rows = 0;       // the first extent
  int64_t row_bytes = 1;  // the product of the others
};

absl::Status Bad(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

// A file whose header agrees with its length; `dimensions` at least or, if
// `exactly`, exactly.
absl::StatusOr<IdxFile> OpenIdx(const std::string& path, int dimensions,
                                bool exactly) {
  IdxFile idx;
  PARLEY_ASSIGN_OR_RETURN(idx.file, InputFile::Open(path));
  uint8_t magic[4];
  PARLEY_ASSIGN_OR_RETURN(int64_t got,
                          idx.file->Read(reinterpret_cast<char*>(magic), 4));
  if (got < 4 || magic[0] != 0 || magic[1] != 0 || magic[3] == 0) {
    return Bad(path,
               "is no IDX file: it must begin with 00 00 08 and the "
               "number of dimensions");
  }
  if (magic[2] != kUnsignedByte) {
    return Bad(path, absl::StrCat("holds IDX type ", magic[2],
                                  "; only unsigned bytes (8) are read"));
  }
  const int given = magic[3];
  if (exactly ? given != dimensions : given < dimensions) {
    return Bad(path, absl::StrCat("has ", given, " dimensions, not ",
                                  dimensions, exactly ? "" : " or more",
                                  ": images and labels swapped?"));
  }
  std::vector<uint8_t> sizes(4 * given);
  PARLEY_ASSIGN_OR_RETURN(
      got, idx.file->Read(reinterpret_cast<char*>(sizes.data()), sizes.size()));
  if (got < static_cast<int64_t>(sizes.size())) {
    return Bad(path, "ends within its header");
  }
  uint64_t total = 1;
  for (int d = 0; d < given; ++d) {
    const uint8_t* const b = &sizes[4 * d];
    const uint64_t extent =
        uint64_t{b[0]} << 24 | b[1] << 16 | b[2] << 8 | b[3];
    if (extent == 0) return Bad(path, "has a dimension of size 0");
    if (extent > kMaxBytes / total) {
      return Bad(
          path, absl::StrCat("its header promises over ", kMaxBytes, " bytes"));
    }
    total *= extent;
    idx.extents.push_back(static_cast<int64_t>(extent));
    if (d == 0) {
      idx.rows = static_cast<int64_t>(extent);
    } else {
      idx.row_bytes *= static_cast<int64_t>(extent);
    }
  }
  PARLEY_RETURN_IF_ERROR(idx.file->CheckHolds(4 + sizes.size() + total));
  return idx;
}

// Fails unless the next read meets the end.
absl::Status ExpectEnd(InputFile& file) {
  char more;
  PARLEY_ASSIGN_OR_RETURN(const int64_t got, file.Read(&more, 1));
  if (got == 0) return absl::OkStatus();
  return Bad(file.path(), "is longer than its header says");
}

absl::Status ReadExactly(InputFile& file, uint8_t* out, int64_t n) {
  PARLEY_ASSIGN_OR_RETURN(const int64_t got,
                          file.Read(reinterpret_cast<char*>(out), n));
  if (got == n) return absl::OkStatus();
  return Bad(file.path(), "is shorter than its header says");
}

struct Labels {
  std::vector<uint8_t> of_file;  // one a row
  std::vector<bool> is_row;      // by label
  std::vector<uint8_t> of_rows;  // of the rows that there are
};

absl::StatusOr<Labels> ReadLabels(const IdxOptions& options,
                                  const IdxFile& images) {
  PARLEY_ASSIGN_OR_RETURN(const IdxFile idx, OpenIdx(options.labels, 1, true));
  if (idx.rows != images.rows) {
    return Bad(options.labels,
               absl::StrCat("has ", idx.rows, " labels for the ", images.rows,
                            " rows of ", options.images));
  }
  Labels labels;
  labels.of_file.resize(idx.rows);
  PARLEY_RETURN_IF_ERROR(
      ReadExactly(*idx.file, labels.of_file.data(), idx.rows));
  PARLEY_RETURN_IF_ERROR(ExpectEnd(*idx.file));
  labels.is_row.resize(256, options.only.empty());
  for (const int label : options.only) labels.is_row.at(label) = true;
  for (const uint8_t label : labels.of_file) {
    if (labels.is_row[label]) labels.of_rows.push_back(label);
  }
  if (labels.of_rows.empty()) {
    return Bad(options.labels, "has no row with any of the labels wanted");
  }
  return labels;
}

}  // namespace

template <typename T>
absl::StatusOr<Examples<T>> LoadIdx(const IdxOptions& options,
                                    RowFilter filter) {
  PARLEY_ASSIGN_OR_RETURN(const IdxFile images,
                          OpenIdx(options.images, 2, false));
  PARLEY_ASSIGN_OR_RETURN(const Labels labels, ReadLabels(options, images));
  const int64_t rows = static_cast<int64_t>(labels.of_rows.size());
  PARLEY_RETURN_IF_ERROR(filter.Check(rows));
  Examples<T> examples;
  examples.rows = filter.count(rows);
  examples.features = images.row_bytes;
  PARLEY_RETURN_IF_ERROR(CheckDenseSize(examples.rows, examples.features));
  // Reserved, not filled: memory is used up as rows arrive.
  examples.dense.reserve(examples.rows * examples.features);
  examples.target.reserve(examples.rows);
  const auto scaled = ScaledBytes<T>();
  std::vector<uint8_t> bytes(images.row_bytes);
  int64_t row = 0;
  for (const uint8_t label : labels.of_file) {
    PARLEY_RETURN_IF_ERROR(
        ReadExactly(*images.file, bytes.data(), images.row_bytes));
    if (!labels.is_row[label] || !filter.Keeps(row++)) continue;
    for (const uint8_t b : bytes) examples.dense.push_back(scaled[b]);
    examples.target.push_back(label);
  }
  PARLEY_RETURN_IF_ERROR(ExpectEnd(*images.file));
  return examples;
}

absl::StatusOr<SourceTargets> LoadIdxTargets(const IdxOptions& options) {
  PARLEY_ASSIGN_OR_RETURN(const IdxFile images,
                          OpenIdx(options.images, 2, false));
  PARLEY_ASSIGN_OR_RETURN(const Labels labels, ReadLabels(options, images));
  SourceTargets targets;
  targets.features = images.row_bytes;
  targets.values.assign(labels.of_rows.begin(), labels.of_rows.end());
  return targets;
}

absl::StatusOr<std::optional<ImageShape>> IdxImageShape(
    const IdxOptions& options) {
  PARLEY_ASSIGN_OR_RETURN(const IdxFile images,
                          OpenIdx(options.images, 2, false));
  if (images.extents.size() != 3) return std::nullopt;
  return ImageShape{1, images.extents[1], images.extents[2]};
}

template absl::StatusOr<Examples<float>> LoadIdx(const IdxOptions&, RowFilter);
template absl::StatusOr<Examples<double>> LoadIdx(const IdxOptions&, RowFilter);

}  // namespace parley
