#include "common/report/run_history.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "common/base/json.h"

namespace parley {
namespace {

// Of a cell, beside 0: evaluated only. page/data.js knows them too.
constexpr uint32_t kCounted = 1;
constexpr uint32_t kUnheard = 2;  // asked, and nothing came of it
constexpr uint32_t kRefused = 3;

constexpr size_t kClientsOfReason = 3;
constexpr char kOtherReasons[] = "(other reasons)";

// The columns that every round has. The last five are the spread of accuracy,
// or else of loss, over the clients: least, 10 %, half, 90 %, most.
constexpr const char* kColumns[] = {"elapsed",        "bytes_up",
                                    "bytes_down",     "train_loss",
                                    "central_loss",   "central_accuracy",
                                    "federated_loss", "federated_accuracy",
                                    "connected",      "asked",
                                    "counted",        "spread_0",
                                    "spread_10",      "spread_50",
                                    "spread_90",      "spread_100"};
constexpr size_t kColumnCount = std::size(kColumns);
constexpr size_t kSpreadBegin = kColumnCount - 5;

// At most 7 significant digits: a screen has no use for more.
void AppendNumber(double value, std::string* out) {
  if (std::isfinite(value)) {
    absl::StrAppendFormat(out, "%.7g", value);
  } else {
    out->append("null");
  }
}

template <typename List, typename Append>
void AppendList(const List& items, Append append, std::string* out) {
  out->push_back('[');
  const char* separator = "";
  for (const auto& item : items) {
    out->append(std::exchange(separator, ","));
    append(item);
  }
  out->push_back(']');
}

Json NameList(const std::vector<std::string>& names) {
  Json list = Json::Array();
  for (const std::string& name : names) list.Add(name);
  return list;
}

}  // namespace

size_t RunHistory::Names::Find(const std::string& name, size_t limit) {
  const auto it = std::find(list.begin(), list.end(), name);
  const size_t index = it - list.begin();
  if (it != list.end()) return index;
  if (index < limit) {
    list.push_back(name);
  } else {
    left_out = true;
  }
  return index;
}

void RunHistory::Add(const RoundReport& report) {
  bytes_up_ += report.bytes_up;
  bytes_down_ += report.bytes_down;
  if (report.elapsed_seconds < last_elapsed_) seconds_before_ += last_elapsed_;
  last_elapsed_ = report.elapsed_seconds;

  Round round;
  round.ordinal = added_++;
  round.number = report.round;
  AddCells(report, &round);
  std::vector<double> qualities;
  for (const ClientEvaluation& evaluation : report.evaluations) {
    qualities.push_back(
        (accuracy_known_ ? evaluation.accuracy : evaluation.loss)
            .value_or(kNone));
    if (!std::isfinite(qualities.back())) qualities.pop_back();
  }
  std::sort(qualities.begin(), qualities.end());
  const auto quantile = [&](double q) {
    if (qualities.empty()) return kNone;
    return qualities[std::lround(q *
                                 static_cast<double>(qualities.size() - 1))];
  };
  round.values = {seconds_before_ + report.elapsed_seconds,
                  static_cast<double>(bytes_up_),
                  static_cast<double>(bytes_down_),
                  report.train_loss.value_or(kNone),
                  report.central.loss.value_or(kNone),
                  report.central.accuracy.value_or(kNone),
                  report.federated.loss.value_or(kNone),
                  report.federated.accuracy.value_or(kNone),
                  static_cast<double>(report.clients),
                  static_cast<double>(report.asked.size()),
                  static_cast<double>(report.counted.size()),
                  quantile(0),
                  quantile(0.1),
                  quantile(0.5),
                  quantile(0.9),
                  quantile(1)};
  static_assert(std::tuple_size_v<decltype(round.values)> == kColumnCount);
  const auto put = [this](Names& names, const std::string& name, double value,
                          std::vector<double>& values) {
    const size_t index = names.Find(name, limits_.names);
    if (index >= limits_.names) return;
    if (values.size() <= index) values.resize(index + 1, kNone);
    values[index] = value;
  };
  for (const auto& [name, value] : report.seconds) {
    put(phases_, name, value, round.seconds);
  }
  for (const auto& [name, value] : report.metrics) {
    put(metrics_, name, value, round.metrics);
  }

  for (const EdgeTraffic& edge : report.edges) {
    const std::pair ends(edge.from, edge.to);
    if (traffic_.size() < limits_.edges || traffic_.contains(ends)) {
      traffic_[ends] += edge.bytes;
    }
  }
  if (!report.direction.empty()) {
    measured_.push_back({report.round, round.values[0], round.values[1],
                         round.values[2], report.direction});
    if (measured_.size() > limits_.measured) {
      for (size_t i = 1; i < measured_.size() / 2; ++i) {
        std::swap(measured_[i], measured_[2 * i]);
      }
      std::swap(measured_[measured_.size() / 2], measured_.back());
      measured_.resize(measured_.size() / 2 + 1);
    }
  }
  // One that stood there only as the latest.
  if (!rounds_.empty() && rounds_.back().ordinal % stride_ != 0) {
    cells_ -= rounds_.back().cells.size();
    rounds_.pop_back();
  }
  cells_ += round.cells.size();
  rounds_.push_back(std::move(round));
  while (rounds_.size() > 2 &&
         (rounds_.size() > limits_.rounds || cells_ > limits_.cells)) {
    Thin();
  }
}

void RunHistory::Thin() {
  stride_ *= 2;
  const int64_t latest = rounds_.back().ordinal;
  rounds_.erase(std::remove_if(rounds_.begin(), rounds_.end(),
                               [&](const Round& round) {
                                 return round.ordinal % stride_ != 0 &&
                                        round.ordinal != latest;
                               }),
                rounds_.end());
  cells_ = 0;
  for (const Round& round : rounds_) cells_ += round.cells.size();
}

int RunHistory::FindClient(const std::string& name) {
  const auto it = client_index_.find(name);
  if (it != client_index_.end()) return it->second;
  if (clients_.size() >= limits_.clients) {
    more_clients_ = true;
    return -1;
  }
  const int index = static_cast<int>(clients_.size());
  client_index_[name] = index;
  clients_.push_back({.name = name});
  return index;
}

uint32_t RunHistory::CountRefusal(const Refusal& refusal, int64_t round) {
  auto it = reason_index_.find(refusal.reason);
  if (it == reason_index_.end()) {
    const bool room = reasons_.size() + 1 < limits_.reasons;
    const std::string& text = room ? refusal.reason : kOtherReasons;
    it = reason_index_.find(text);
    if (it == reason_index_.end()) {
      it = reason_index_.emplace(text, reasons_.size()).first;
      Reason& reason = reasons_.emplace_back();
      reason.text = text;
      reason.first = round;
    }
  }
  Reason& reason = reasons_[it->second];
  ++reason.times;
  reason.last = round;
  std::vector<std::string>& clients = reason.clients;
  if (std::find(clients.begin(), clients.end(), refusal.client) ==
      clients.end()) {
    if (clients.size() < kClientsOfReason) {
      clients.push_back(refusal.client);
    } else {
      reason.more_clients = true;
    }
  }
  return kRefused + static_cast<uint32_t>(it->second);
}

void RunHistory::AddCells(const RoundReport& report, Round* round) {
  // By client: where in round->cells.
  absl::flat_hash_map<int, size_t> where;
  const auto cell = [&](const std::string& name) -> Cell* {
    const int client = FindClient(name);
    if (client < 0) return nullptr;
    const auto [it, is_new] = where.emplace(client, round->cells.size());
    if (is_new) {
      round->cells.push_back({.client = static_cast<uint32_t>(client)});
    }
    return &round->cells[it->second];
  };
  for (const std::string& name : report.asked) {
    Cell* const asked = cell(name);
    if (asked == nullptr) continue;
    asked->state = kUnheard;
    ++clients_[asked->client].asked;
  }
  for (const std::string& name : report.counted) {
    Cell* const counted = cell(name);
    if (counted == nullptr) continue;
    counted->state = kCounted;
    ++clients_[counted->client].counted;
  }
  for (const Refusal& refusal : report.refused) {
    const uint32_t state = CountRefusal(refusal, report.round);
    Cell* const refused = cell(refusal.client);
    // Counting outweighs what went wrong in the round's evaluation.
    if (refused != nullptr && refused->state != kCounted) {
      refused->state = state;
    }
  }
  for (const ClientEvaluation& evaluation : report.evaluations) {
    if (evaluation.accuracy.has_value()) accuracy_known_ = true;
  }
  for (const ClientEvaluation& evaluation : report.evaluations) {
    Cell* const evaluated = cell(evaluation.client);
    if (evaluated == nullptr) continue;
    evaluated->quality =
        (accuracy_known_ ? evaluation.accuracy : evaluation.loss)
            .value_or(kNone);
  }
}

template <typename Append>
void RunHistory::AppendRounds(size_t from, Append append,
                              std::string* out) const {
  AppendList(absl::MakeConstSpan(rounds_).subspan(from), append, out);
}

template <typename Get>
void RunHistory::AppendColumn(const char* name, size_t from, Get get,
                              std::string* out) const {
  absl::StrAppend(out, ",", Json(name).ToString(), ":");
  AppendRounds(
      from, [&](const Round& round) { AppendNumber(get(round), out); }, out);
}

void RunHistory::AppendCells(size_t from, std::string* out) const {
  const auto row = [&](const Round& round) {
    const char* separator = "[[";
    const auto column = [&](auto append) {
      for (const Cell& cell : round.cells) {
        out->append(std::exchange(separator, ","));
        append(cell);
      }
      separator = "],[";
    };
    if (round.cells.empty()) return out->append("[[],[],[]]"), void();
    column([&](const Cell& cell) { absl::StrAppend(out, cell.client); });
    column([&](const Cell& cell) { absl::StrAppend(out, cell.state); });
    column([&](const Cell& cell) {
      if (std::isfinite(cell.quality)) {
        absl::StrAppendFormat(out, "%.4g", cell.quality);
      } else {
        out->append("null");
      }
    });
    out->append("]]");
  };
  AppendRounds(from, row, out);
}

void RunHistory::AppendMeasured(std::string* out) const {
  const auto column = [&](auto get) {
    AppendList(
        measured_,
        [&](const Measured& round) { AppendNumber(get(round), out); }, out);
  };
  *out += ",\"measured\":{\"round\":";
  AppendList(
      measured_,
      [&](const Measured& round) { absl::StrAppend(out, round.number); }, out);
  *out += ",\"elapsed\":";
  column([](const Measured& round) { return round.elapsed; });
  *out += ",\"bytes_up\":";
  column([](const Measured& round) { return round.bytes_up; });
  *out += ",\"bytes_down\":";
  column([](const Measured& round) { return round.bytes_down; });
  *out += ",\"numbers\":{";
  std::set<std::string> names;
  for (const Measured& round : measured_) {
    for (const auto& [name, value] : round.direction) names.insert(name);
  }
  const char* separator = "";
  for (const std::string& name : names) {
    absl::StrAppend(out, std::exchange(separator, ","), Json(name).ToString(),
                    ":");
    column([&](const Measured& round) {
      const auto it = round.direction.find(name);
      return it == round.direction.end() ? kNone : it->second;
    });
  }
  *out += "}}";
}

void RunHistory::AppendTraffic(std::string* out) const {
  *out += ",\"traffic\":";
  AppendList(
      traffic_,
      [&](const auto& edge) {
        absl::StrAppend(out, "[", edge.first.first, ",", edge.first.second, ",",
                        edge.second, "]");
      },
      out);
}

std::string RunHistory::ToJsonMembers(Seen since) const {
  // Those that stand for good; the latest may have been there for now only.
  const size_t from = since.stride == stride_
                          ? (since.rounds + stride_ - 1) / stride_
                          : size_t{0};
  std::string out =
      absl::StrCat("\"rounds_run\":", added_, ",\"stride\":", stride_,
                   ",\"from\":", from, ",\"round\":");
  AppendRounds(
      from, [&](const Round& round) { absl::StrAppend(&out, round.number); },
      &out);
  for (size_t i = 0; i < kColumnCount; ++i) {
    AppendColumn(
        kColumns[i], from, [i](const Round& round) { return round.values[i]; },
        &out);
  }
  const auto named = [&](const char* key, const Names& names,
                         std::vector<double> Round::*values) {
    std::string columns;
    for (size_t i = 0; i < names.list.size(); ++i) {
      AppendColumn(
          names.list[i].c_str(), from,
          [=](const Round& round) {
            return i < (round.*values).size() ? (round.*values)[i] : kNone;
          },
          &columns);
    }
    absl::StrAppend(&out, ",\"", key, "\":{",
                    columns.empty() ? columns : columns.substr(1), "}");
  };
  named("seconds", phases_, &Round::seconds);
  named("metrics", metrics_, &Round::metrics);
  absl::StrAppend(&out, ",\"metrics_left_out\":",
                  Json(metrics_.left_out || phases_.left_out).ToString());

  absl::StrAppend(
      &out, ",\"quality\":", accuracy_known_ ? "\"accuracy\"" : "\"loss\"",
      ",\"more_clients\":", Json(more_clients_).ToString(), ",\"clients\":");
  AppendList(
      clients_,
      [&](const Client& client) {
        Json json = Json::Object();
        json.Set("name", client.name)
            .Set("asked", client.asked)
            .Set("counted", client.counted);
        out += json.ToString();
      },
      &out);
  AppendMeasured(&out);
  AppendTraffic(&out);
  out += ",\"cells\":";
  AppendCells(from, &out);
  out += ",\"refusals\":";
  AppendList(
      reasons_,
      [&](const Reason& reason) {
        Json json = Json::Object();
        json.Set("reason", reason.text)
            .Set("times", reason.times)
            .Set("first", reason.first)
            .Set("last", reason.last)
            .Set("clients", NameList(reason.clients))
            .Set("more_clients", reason.more_clients);
        out += json.ToString();
      },
      &out);
  return out;
}

}  // namespace parley
