// What diagnostics.direction_gap knows of a run before its first round:
// direction.json in the run's folder.
#ifndef PARLEY_COMMON_REPORT_DIRECTION_FACTS_H_
#define PARLEY_COMMON_REPORT_DIRECTION_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/json.h"

namespace parley {

inline constexpr char kDirectionFile[] = "direction.json";

struct DirectionFacts {
  int64_t rows = 0, features = 0, clients = 0;  // of all parts
  // How centralized training weighs rows, as the strategy weighs clients:
  // every row alike, or every client, and its rows alike.
  bool clients_alike = false;

  std::string verdict;  // whether the rows are separable, in words
  // What the gap is to: "max-margin", "minimum", or "none".
  std::string reference;
  std::string without;           // why there is none
  std::optional<double> margin;  // γ, the largest there is
  double margin_bound = 0;       // no hyperplane has more
  std::optional<double> least_loss;

  // Gaps between the clients' own max-margin directions and that of all rows.
  // Absent where there is none of all rows, or of no client.
  std::optional<double> heterogeneity_mean, heterogeneity_max;
  int64_t clients_separable = 0;
  int64_t clients_not_separable = 0;  // left out
  int64_t clients_undecided = 0;      // left out

  bool centralized = false;
  int64_t local_steps = 0;  // of a client in a round; where centralized
  uint64_t start_hash = 0;  // ParameterVector::Hash() of the start

  bool operator==(const DirectionFacts&) const = default;
};

// How far the direction of the largest margin that is measured against may be
// from the true one.
double ReferenceError(const DirectionFacts& facts);

// One JSON object; "words" in it are SentencesOf.
std::string ToJsonText(const DirectionFacts& facts);
// InvalidArgument: it is not what ToJsonText writes.
absl::StatusOr<DirectionFacts> DirectionFactsFromJson(const std::string& text);

// Of a file. NotFound: there is none; others as DirectionFactsFromJson.
absl::StatusOr<DirectionFacts> ReadDirection(const std::string& path);

// The facts, for people.
std::vector<std::string> SentencesOf(const DirectionFacts& facts);
// Of the run in `folder`; none where they were not found out yet.
// InvalidArgument: direction.json is damaged.
absl::StatusOr<std::vector<std::string>> ReadDirectionWords(
    const std::string& folder);
Json Sentences(const std::vector<std::string>& words);  // a list

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_DIRECTION_FACTS_H_
