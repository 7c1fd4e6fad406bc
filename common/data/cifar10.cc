#include "common/data/cifar10.h"

#include <cstdint>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/data/input_file.h"
#include "common/data/scaled_bytes.h"

namespace parley {
namespace {

constexpr int64_t kRecord = 1 + kCifar10Features;

struct Records {
  std::vector<double> labels;   // of all
  std::vector<int64_t> kept;    // which of them the filter keeps
  std::vector<uint8_t> pixels;  // of those kept
};

absl::Status ReadFile(const std::string& path, RowFilter& filter,
                      Records& records) {
  PARLEY_ASSIGN_OR_RETURN(const auto file, InputFile::Open(path));
  const auto bad = [&](int64_t record, absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": record ", record, " (from 1) ", what));
  };
  std::vector<uint8_t> bytes(kRecord);
  for (int64_t record = 1;; ++record) {
    PARLEY_ASSIGN_OR_RETURN(
        const int64_t got,
        file->Read(reinterpret_cast<char*>(bytes.data()), kRecord));
    if (got == 0 && record > 1) return absl::OkStatus();
    if (got < kRecord) {
      return bad(record, absl::StrCat("has ", got, " bytes, not ", kRecord,
                                      ": no CIFAR-10 file, or cut off?"));
    }
    if (bytes[0] >= kCifar10Classes) {
      return bad(record, absl::StrCat("has label ", bytes[0],
                                      "; allowed: 0 to ", kCifar10Classes - 1));
    }
    const auto row = static_cast<int64_t>(records.labels.size());
    records.labels.push_back(bytes[0]);
    if (!filter.Keeps(row)) continue;
    records.kept.push_back(row);
    PARLEY_RETURN_IF_ERROR(CheckDenseSize(
        static_cast<int64_t>(records.kept.size()), kCifar10Features));
    records.pixels.insert(records.pixels.end(), bytes.begin() + 1, bytes.end());
  }
}

absl::StatusOr<Records> Read(const Cifar10Options& options, RowFilter filter) {
  if (options.paths.empty()) {
    return absl::InvalidArgumentError("no CIFAR-10 files are named");
  }
  Records records;
  for (const std::string& path : options.paths) {
    PARLEY_RETURN_IF_ERROR(ReadFile(path, filter, records));
  }
  PARLEY_RETURN_IF_ERROR(
      filter.Check(static_cast<int64_t>(records.labels.size())));
  return records;
}

}  // namespace

template <typename T>
absl::StatusOr<Examples<T>> LoadCifar10(const Cifar10Options& options,
                                        RowFilter filter) {
  PARLEY_ASSIGN_OR_RETURN(const Records records, Read(options, filter));
  Examples<T> examples;
  examples.rows = static_cast<int64_t>(records.kept.size());
  examples.features = kCifar10Features;
  examples.target.reserve(records.kept.size());
  for (const int64_t row : records.kept) {
    examples.target.push_back(static_cast<T>(records.labels[row]));
  }
  const auto scaled = ScaledBytes<T>();
  examples.dense.reserve(records.pixels.size());
  for (const uint8_t b : records.pixels) examples.dense.push_back(scaled[b]);
  return examples;
}

absl::StatusOr<SourceTargets> LoadCifar10Targets(
    const Cifar10Options& options) {
  const RowFilter none{absl::Span<const int64_t>()};
  PARLEY_ASSIGN_OR_RETURN(Records records, Read(options, none));
  SourceTargets targets;
  targets.features = kCifar10Features;
  targets.values = std::move(records.labels);
  targets.classes = kCifar10Classes;
  return targets;
}

template absl::StatusOr<Examples<float>> LoadCifar10(const Cifar10Options&,
                                                     RowFilter);
template absl::StatusOr<Examples<double>> LoadCifar10(const Cifar10Options&,
                                                      RowFilter);

}  // namespace parley
