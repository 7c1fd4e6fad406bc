#include "common/data/partition.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>
#include <queue>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "common/data/input_file.h"

namespace parley {
namespace {

constexpr int64_t kMaxParts = 1000000;
constexpr size_t kMaxHistogramLabels = 1000;

// Where piece i of n begins when `rows` are cut into n equal pieces.
int64_t Cut(int64_t rows, int64_t n, int64_t i) {
  return rows / n * i + std::min(i, rows % n);
}

std::vector<int64_t> Shuffled(int64_t rows, Rng& rng) {
  std::vector<int64_t> order(rows);
  std::iota(order.begin(), order.end(), 0);
  rng.Shuffle(absl::MakeSpan(order));
  return order;
}

// A cut of `order` into pieces of the given sizes.
Partition Deal(const std::vector<int64_t>& order,
               const std::vector<int64_t>& sizes) {
  Partition partition;
  partition.reserve(sizes.size());
  auto next = order.begin();
  for (const int64_t size : sizes) {
    partition.emplace_back(next, next + size);
    next += size;
  }
  return partition;
}

std::vector<int64_t> EqualSizes(int64_t rows, int64_t parts) {
  std::vector<int64_t> sizes(parts);
  for (int64_t i = 0; i < parts; ++i) {
    sizes[i] = Cut(rows, parts, i + 1) - Cut(rows, parts, i);
  }
  return sizes;
}

absl::StatusOr<Partition> Make(const IidPartition&, int64_t parts,
                               absl::Span<const double> targets, Rng& rng) {
  const int64_t rows = static_cast<int64_t>(targets.size());
  return Deal(Shuffled(rows, rng), EqualSizes(rows, parts));
}

// A draw of the symmetric Dirichlet(alpha), as cumulative sums that end in 1.
// In logarithms, since with a tiny alpha every single Gamma draw underflows.
std::vector<double> CumulativeDirichlet(double alpha, int64_t parts, Rng& rng) {
  std::vector<double> share(parts);
  for (double& s : share) s = rng.LogGamma(alpha);
  const double highest = *std::max_element(share.begin(), share.end());
  double sum = 0;
  for (double& s : share) s = sum += std::exp(s - highest);
  for (double& s : share) s /= sum;
  return share;
}

void FillUp(int64_t min_rows, Rng& rng, Partition& partition) {
  // Largest part first, of equal ones the first.
  using Entry = std::pair<int64_t, int64_t>;  // (rows, −part)
  std::priority_queue<Entry> largest;
  const int64_t parts = static_cast<int64_t>(partition.size());
  for (int64_t i = 0; i < parts; ++i) {
    largest.emplace(partition[i].size(), -i);
  }
  for (int64_t i = 0; i < parts; ++i) {
    // A part below min_rows is never the largest: the rows suffice for all.
    while (static_cast<int64_t>(partition[i].size()) < min_rows) {
      const int64_t from = -largest.top().second;
      largest.pop();
      std::vector<int64_t>& donor = partition[from];
      std::swap(donor[rng.Below(donor.size())], donor.back());
      partition[i].push_back(donor.back());
      donor.pop_back();
      largest.emplace(donor.size(), -from);
    }
  }
}

absl::StatusOr<Partition> Make(const DirichletPartition& options, int64_t parts,
                               absl::Span<const double> targets, Rng& rng) {
  if (!(options.alpha >= 1e-6 && options.alpha <= 1e9)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dirichlet.alpha is ", options.alpha, "; allowed: 1e-6 to 1e9"));
  }
  const int64_t rows = static_cast<int64_t>(targets.size());
  if (options.min_rows < 1 || options.min_rows > rows / parts) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dirichlet.min_rows is ", options.min_rows, "; with ", rows,
        " rows for ", parts, " parts, allowed: 1 to ", rows / parts));
  }
  std::map<double, std::vector<int64_t>> by_label;
  for (int64_t row = 0; row < rows; ++row) {
    if (targets[row] != std::floor(targets[row])) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a Dirichlet partition needs class labels, but the target of row ",
          row, " (from 0) is ", targets[row]));
    }
    by_label[targets[row]].push_back(row);
  }
  Partition partition(parts);
  for (auto& [label, members] : by_label) {
    rng.Shuffle(absl::MakeSpan(members));
    const std::vector<double> share =
        CumulativeDirichlet(options.alpha, parts, rng);
    const auto n = static_cast<double>(members.size());
    auto begin = members.begin();
    for (int64_t i = 0; i < parts; ++i) {
      const auto end = i + 1 == parts
                           ? members.end()
                           : members.begin() + std::llround(share[i] * n);
      partition[i].insert(partition[i].end(), begin, end);
      begin = end;
    }
  }
  FillUp(options.min_rows, rng, partition);
  return partition;
}

absl::StatusOr<Partition> Make(const ShardPartition& options, int64_t parts,
                               absl::Span<const double> targets, Rng& rng) {
  const int64_t rows = static_cast<int64_t>(targets.size());
  if (options.per_part < 1 || options.per_part > rows / parts) {
    return absl::InvalidArgumentError(absl::StrCat(
        "shards.per_part is ", options.per_part, "; with ", rows, " rows for ",
        parts, " parts, allowed: 1 to ", rows / parts));
  }
  std::vector<int64_t> order = Shuffled(rows, rng);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return targets[a] < targets[b];
  });
  const int64_t shards = parts * options.per_part;
  const std::vector<int64_t> dealt = Shuffled(shards, rng);
  Partition partition(parts);
  for (int64_t i = 0; i < shards; ++i) {
    std::vector<int64_t>& part = partition[i / options.per_part];
    part.insert(part.end(), order.begin() + Cut(rows, shards, dealt[i]),
                order.begin() + Cut(rows, shards, dealt[i] + 1));
  }
  return partition;
}

// parts <= rows sizes that sum up to `rows`; see PowerLawPartition.
std::vector<int64_t> PowerLawSizes(double exponent, int64_t parts,
                                   int64_t rows) {
  std::vector<double> weight(parts);
  std::vector<double> sum(parts);  // of weight[0..i]
  for (int64_t i = 0; i < parts; ++i) {
    weight[i] = std::pow(i + 1, -exponent);
    sum[i] = weight[i] + (i == 0 ? 0 : sum[i - 1]);
  }
  // The last parts would get less than a row: one row each, and the first
  // `large` parts share the others.
  int64_t large = parts;
  const auto ideal = [&](int64_t i) {
    return weight[i] / sum[large - 1] *
           static_cast<double>(rows - (parts - large));
  };
  while (large > 1 && ideal(large - 1) < 1) --large;
  std::vector<int64_t> sizes(parts, 1);
  int64_t left = rows - (parts - large);
  std::vector<std::pair<double, int64_t>> remainders;  // (−remainder, part)
  for (int64_t i = 0; i < large; ++i) {
    sizes[i] = std::clamp(static_cast<int64_t>(ideal(i)), int64_t{1},
                          left - (large - 1 - i));
    left -= sizes[i];
    remainders.emplace_back(static_cast<double>(sizes[i]) - ideal(i), i);
  }
  std::sort(remainders.begin(), remainders.end());
  for (int64_t i = 0; left > 0; ++i, --left) {
    ++sizes[remainders[i % large].second];
  }
  return sizes;
}

absl::StatusOr<Partition> Make(const PowerLawPartition& options, int64_t parts,
                               absl::Span<const double> targets, Rng& rng) {
  if (!(options.exponent >= 0 && options.exponent <= 1000)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "power_law.exponent is ", options.exponent, "; allowed: 0 to 1000"));
  }
  const int64_t rows = static_cast<int64_t>(targets.size());
  return Deal(Shuffled(rows, rng),
              PowerLawSizes(options.exponent, parts, rows));
}

absl::Status CheckNoneEmpty(absl::string_view where,
                            const Partition& partition) {
  for (size_t i = 0; i < partition.size(); ++i) {
    if (partition[i].empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, ": part ", i, " has no row, though there is a part ",
          partition.size() - 1));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Partition> Make(const IndexFilePartition& options, int64_t,
                               absl::Span<const double> targets, Rng&) {
  const int64_t rows = static_cast<int64_t>(targets.size());
  const std::string& path = options.path;
  PARLEY_ASSIGN_OR_RETURN(LineReader reader, LineReader::Open(path));
  Partition partition;
  int64_t row = 0;
  while (true) {
    PARLEY_ASSIGN_OR_RETURN(const bool more, reader.Next());
    if (!more) break;
    const absl::string_view line = reader.line();
    int64_t part = -1;
    const char* const end = line.data() + line.size();
    const auto parsed = std::from_chars(line.data(), end, part);
    if (parsed.ec != std::errc() || parsed.ptr != end || part < 0) {
      return reader.Error(absl::StrCat("'", line.substr(0, 40),
                                       "' is no part number from 0 on"));
    }
    if (part >= std::min(rows, kMaxParts)) {
      return reader.Error(
          absl::StrCat("part ", part, " cannot be: at most ", kMaxParts,
                       " parts are allowed, none may be empty, and there are ",
                       rows, " rows"));
    }
    if (row == rows) {
      return reader.Error(
          absl::StrCat("more lines than the ", rows, " rows of the data"));
    }
    if (part >= static_cast<int64_t>(partition.size())) {
      partition.resize(part + 1);
    }
    partition[part].push_back(row++);
  }
  if (row < rows) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": has ", row, " lines for the ", rows, " rows of the data"));
  }
  PARLEY_RETURN_IF_ERROR(CheckNoneEmpty(path, partition));
  return partition;
}

// Ranks in 0..1 of numbers, of equal ones by their order.
std::vector<double> Ranks(absl::Span<const double> x) {
  std::vector<int64_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return x[a] < x[b]; });
  std::vector<double> ranks(x.size());
  for (size_t i = 1; i < order.size(); ++i) {
    ranks[order[i]] =
        static_cast<double>(i) / static_cast<double>(order.size() - 1);
  }
  return ranks;
}

absl::StatusOr<Partition> Make(const FeatureShiftPartition& options,
                               int64_t parts, absl::Span<const double> targets,
                               Rng& rng) {
  if (!(options.strength >= 0 && options.strength <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "feature_shift.strength is ", options.strength, "; allowed: 0 to 1"));
  }
  PARLEY_CHECK(options.places.size() == targets.size());
  const int64_t rows = static_cast<int64_t>(targets.size());
  // In random order first, so that rows in one place are dealt at random.
  std::vector<int64_t> order = Shuffled(rows, rng);
  std::vector<double> key(rows);
  for (int64_t i = 0; i < rows; ++i) key[i] = options.places[order[i]];
  key = Ranks(key);
  for (int64_t i = 0; i < rows; ++i) {
    const double at_random =
        static_cast<double>(i) /
        static_cast<double>(std::max<int64_t>(rows - 1, 1));
    key[i] = options.strength * key[i] + (1 - options.strength) * at_random;
  }
  std::vector<int64_t> by_key(rows);
  std::iota(by_key.begin(), by_key.end(), 0);
  std::stable_sort(by_key.begin(), by_key.end(),
                   [&](int64_t a, int64_t b) { return key[a] < key[b]; });
  std::vector<int64_t> dealt(rows);
  for (int64_t i = 0; i < rows; ++i) dealt[i] = order[by_key[i]];
  return Deal(dealt, EqualSizes(rows, parts));
}

absl::StatusOr<Partition> Make(const GroupPartition& options, int64_t,
                               absl::Span<const double> targets, Rng&) {
  const std::vector<int64_t>& groups = options.groups;
  if (groups.size() != targets.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        groups.size(), " rows are told their part, of ", targets.size()));
  }
  const int64_t highest = *std::max_element(groups.begin(), groups.end());
  if (highest >= kMaxParts) {
    return absl::InvalidArgumentError(
        absl::StrCat("the rows are told ", highest + 1, " parts; at most ",
                     kMaxParts, " are allowed"));
  }
  Partition partition(highest + 1);
  for (size_t row = 0; row < groups.size(); ++row) {
    PARLEY_CHECK(groups[row] >= 0);
    partition[groups[row]].push_back(static_cast<int64_t>(row));
  }
  PARLEY_RETURN_IF_ERROR(CheckNoneEmpty("the rows' groups", partition));
  return partition;
}

}  // namespace

absl::StatusOr<Partition> MakePartition(const PartitionOptions& options,
                                        absl::Span<const double> targets,
                                        uint64_t seed) {
  const int64_t rows = static_cast<int64_t>(targets.size());
  if (rows == 0) return absl::InvalidArgumentError("there are no rows");
  const int64_t most = std::min(rows, kMaxParts);
  const bool told = std::holds_alternative<IndexFilePartition>(options.kind) ||
                    std::holds_alternative<GroupPartition>(options.kind);
  if (!told && (options.parts < 1 || options.parts > most)) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.partition.parts is ", options.parts, "; with ", rows,
                     " rows, allowed: 1 to ", most));
  }
  Rng rng(seed, "partition");
  PARLEY_ASSIGN_OR_RETURN(Partition partition,
                          std::visit(
                              [&](const auto& kind) {
                                return Make(kind, options.parts, targets, rng);
                              },
                              options.kind));
  for (std::vector<int64_t>& part : partition) {
    std::sort(part.begin(), part.end());
  }
  return partition;
}

// Plain loops, without kernels, which differ from machine to machine.
std::vector<double> PlacesOf(const Batch<double>& rows, uint64_t seed) {
  Rng rng(seed, "feature shift");
  std::vector<double> direction(rows.features);
  for (double& x : direction) x = rng.Normal();
  std::vector<double> places(rows.rows);
  for (int64_t n = 0; n < rows.rows; ++n) {
    double sum = 0;
    if (rows.sparse()) {
      for (int64_t i = rows.row_begin[n]; i < rows.row_begin[n + 1]; ++i) {
        sum += rows.value[i] * direction[rows.column[i]];
      }
    } else {
      for (int64_t j = 0; j < rows.features; ++j) {
        sum += rows.dense[n * rows.features + j] * direction[j];
      }
    }
    places[n] = sum;
  }
  return places;
}

std::pair<std::vector<int64_t>, std::vector<int64_t>> SplitHeldOut(
    absl::Span<const int64_t> rows, double share, uint64_t seed, int64_t part) {
  std::pair<std::vector<int64_t>, std::vector<int64_t>> split;
  auto& [train, held_out] = split;
  if (rows.empty()) return split;
  const auto n = static_cast<int64_t>(rows.size());
  const int64_t count =
      std::min<int64_t>(std::llround(share * static_cast<double>(n)), n - 1);
  std::vector<bool> drawn(n);
  Rng rng(seed, "", part, "held out");
  for (const int64_t i : rng.Sample(n, count)) drawn[i] = true;
  for (int64_t i = 0; i < n; ++i) {
    (drawn[i] ? held_out : train).push_back(rows[i]);
  }
  return split;
}

LabelHistogram CountLabels(const Partition& partition,
                           absl::Span<const double> targets) {
  LabelHistogram histogram;
  std::map<double, size_t> index;
  for (const double y : targets) {
    index.emplace(y, 0);
    if (index.size() > kMaxHistogramLabels) return histogram;
  }
  for (auto& [label, i] : index) {
    i = histogram.labels.size();
    histogram.labels.push_back(label);
  }
  for (const std::vector<int64_t>& part : partition) {
    std::vector<int64_t>& counts =
        histogram.counts.emplace_back(histogram.labels.size());
    for (const int64_t row : part) ++counts[index[targets[row]]];
  }
  return histogram;
}

}  // namespace parley
