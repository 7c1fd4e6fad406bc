#include "common/report/direction_facts.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

std::string Count(int64_t n, const char* what) {
  return absl::StrCat(n, " ", what, n == 1 ? "" : "s");
}

std::string Spread(const DirectionFacts& facts) {
  std::string text;
  if (facts.heterogeneity_mean.has_value()) {
    text = absl::StrFormat(
        "The clients' own max-margin directions are %.3g from that of all rows "
        "on average, %.3g at most (2 would be opposite).",
        *facts.heterogeneity_mean, *facts.heterogeneity_max);
  }
  std::vector<std::string> left_out;
  if (facts.clients_not_separable > 0) {
    left_out.push_back(
        absl::StrCat(Count(facts.clients_not_separable, "client"),
                     " whose own rows are not separable"));
  }
  if (facts.clients_undecided > 0) {
    left_out.push_back(absl::StrCat(Count(facts.clients_undecided, "client"),
                                    " of which that was not found out"));
  }
  if (left_out.empty()) return text;
  return absl::StrCat(text, text.empty() ? "" : " ",
                      "Left out: ", absl::StrJoin(left_out, ", "), ".");
}

}  // namespace

// With a margin of (1 − ε)γ at least, w scaled to min z·w = 1 has w·ŵ >= ‖ŵ‖²
// (ŵ is a projection), so that cos(w, ŵ) >= 1 − ε and the gap is <= √(2ε).
// Never less than what rounding of a margin brings.
double ReferenceError(const DirectionFacts& facts) {
  const double epsilon =
      1 - facts.margin.value_or(0) / std::max(facts.margin_bound, 1e-300);
  return std::sqrt(2 * std::max(epsilon, 1e-16));
}

std::vector<std::string> SentencesOf(const DirectionFacts& facts) {
  std::vector<std::string> words;
  words.push_back(absl::StrCat(
      Count(facts.rows, "row"), " × ", Count(facts.features, "feature"), " of ",
      Count(facts.clients, "client"), " are ", facts.verdict, "."));
  if (facts.reference == "max-margin") {
    words.push_back(absl::StrFormat(
        "The gap is to the direction of the largest margin, where centralized "
        "gradient descent goes too (hard-margin SVM without bias). It is known "
        "to within %.1e.",
        ReferenceError(facts)));
  } else if (facts.reference == "minimum") {
    words.push_back("The gap is to the direction of the minimum of the loss.");
  } else {
    words.push_back(absl::StrCat(
        "There is no reference to measure against: ", facts.without,
        "; numbers that need one are left out."));
  }
  if (std::string spread = Spread(facts); !spread.empty()) {
    words.push_back(std::move(spread));
  }
  if (facts.centralized) {
    words.push_back(
        absl::StrCat("Beside it runs centralized descent on all rows, ",
                     facts.clients_alike ? "each client weighing the same"
                                         : "each row weighing the same",
                     ", with the step sizes of the run: one step a round, and ",
                     facts.local_steps, " as each client."));
  }
  return words;
}

Json Sentences(const std::vector<std::string>& words) {
  Json list = Json::Array();
  for (const std::string& sentence : words) list.Add(sentence);
  return list;
}

std::string ToJsonText(const DirectionFacts& facts) {
  Json json = Json::Object();
  json.Set("rows", facts.rows)
      .Set("features", facts.features)
      .Set("clients", facts.clients)
      .Set("clients_alike", facts.clients_alike)
      .Set("verdict", facts.verdict)
      .Set("reference", facts.reference)
      .Set("without", facts.without)
      .Set("margin", facts.margin)
      .Set("margin_bound", facts.margin_bound)
      .Set("least_loss", facts.least_loss)
      .Set("heterogeneity_mean", facts.heterogeneity_mean)
      .Set("heterogeneity_max", facts.heterogeneity_max)
      .Set("clients_separable", facts.clients_separable)
      .Set("clients_not_separable", facts.clients_not_separable)
      .Set("clients_undecided", facts.clients_undecided)
      .Set("centralized", facts.centralized)
      .Set("local_steps", facts.local_steps)
      .Set("start_hash", absl::StrFormat("%016x", facts.start_hash))
      .Set("words", Sentences(SentencesOf(facts)));
  return json.ToString() + "\n";
}

absl::StatusOr<DirectionFacts> DirectionFactsFromJson(const std::string& text) {
  PARLEY_ASSIGN_OR_RETURN(
      const Json json, Json::Parse(absl::StripTrailingAsciiWhitespace(text)));
  DirectionFacts facts;
  const char* wrong = nullptr;
  const auto find = [&](const char* key) {
    const Json* const value = json.Find(key);
    if (value == nullptr) wrong = key;
    return value;
  };
  const auto whole = [&](const char* key, int64_t* out) {
    const Json* const value = find(key);
    const auto number = value == nullptr ? std::nullopt : value->AsInt64();
    number.has_value() ? void(*out = *number) : void(wrong = key);
  };
  const auto flag = [&](const char* key, bool* out) {
    const Json* const value = find(key);
    const auto is = value == nullptr ? std::nullopt : value->AsBool();
    is.has_value() ? void(*out = *is) : void(wrong = key);
  };
  const auto string = [&](const char* key, std::string* out) {
    const Json* const value = find(key);
    const bool is = value != nullptr && value->AsString() != nullptr;
    is ? void(*out = *value->AsString()) : void(wrong = key);
  };
  const auto number = [&](const char* key, std::optional<double>* out) {
    const Json* const value = find(key);
    if (value == nullptr || value->is_null()) return;
    if (*out = value->AsDouble(); !out->has_value()) wrong = key;
  };
  whole("rows", &facts.rows);
  whole("features", &facts.features);
  whole("clients", &facts.clients);
  flag("clients_alike", &facts.clients_alike);
  string("verdict", &facts.verdict);
  string("reference", &facts.reference);
  string("without", &facts.without);
  number("margin", &facts.margin);
  std::optional<double> bound;
  number("margin_bound", &bound);
  bound.has_value() ? void(facts.margin_bound = *bound)
                    : void(wrong = "margin_bound");
  number("least_loss", &facts.least_loss);
  number("heterogeneity_mean", &facts.heterogeneity_mean);
  number("heterogeneity_max", &facts.heterogeneity_max);
  whole("clients_separable", &facts.clients_separable);
  whole("clients_not_separable", &facts.clients_not_separable);
  whole("clients_undecided", &facts.clients_undecided);
  flag("centralized", &facts.centralized);
  whole("local_steps", &facts.local_steps);
  std::string hash;
  string("start_hash", &hash);
  if (hash.size() != 16 || !absl::SimpleHexAtoi(hash, &facts.start_hash)) {
    wrong = "start_hash";
  }
  if (wrong != nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        kDirectionFile, " is damaged: \"", wrong, "\" is missing or wrong"));
  }
  return facts;
}

absl::StatusOr<DirectionFacts> ReadDirection(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("there is no ", path));
  std::stringstream text;
  text << file.rdbuf();
  return DirectionFactsFromJson(text.str());
}

absl::StatusOr<std::vector<std::string>> ReadDirectionWords(
    const std::string& folder) {
  const absl::StatusOr<DirectionFacts> facts =
      ReadDirection(absl::StrCat(folder, "/", kDirectionFile));
  if (absl::IsNotFound(facts.status())) return std::vector<std::string>();
  PARLEY_RETURN_IF_ERROR(facts.status());
  return SentencesOf(*facts);
}

}  // namespace parley
