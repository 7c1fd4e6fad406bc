#include "common/report/metrics_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <limits>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/json.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

Json Names(const std::vector<std::string>& names) {
  Json list = Json::Array();
  for (const std::string& name : names) list.Add(name);
  return list;
}

Json Evaluation(const EvaluationReport& report) {
  Json json = Json::Object();
  json.Set("loss", report.loss).Set("accuracy", report.accuracy);
  return json;
}

Json Evaluations(const std::vector<ClientEvaluation>& evaluations) {
  Json list = Json::Array();
  for (const ClientEvaluation& evaluation : evaluations) {
    Json one = Json::Object();
    one.Set("client", evaluation.client)
        .Set("examples", evaluation.examples)
        .Set("loss", evaluation.loss)
        .Set("accuracy", evaluation.accuracy);
    list.Add(std::move(one));
  }
  return list;
}

Json Edges(const std::vector<EdgeTraffic>& edges) {
  Json list = Json::Array();
  for (const EdgeTraffic& edge : edges) {
    Json one = Json::Array();
    one.Add(edge.from);
    one.Add(edge.to);
    one.Add(edge.bytes);
    list.Add(std::move(one));
  }
  return list;
}

Json Flows(const std::vector<EdgeFlow>& flows) {
  Json list = Json::Array();
  for (const EdgeFlow& flow : flows) {
    Json one = Json::Array();
    one.Add(flow.peer);
    one.Add(flow.sum);
    one.Add(flow.omega);
    if (flow.in_doubt) {
      one.Add(flow.doubt);
      one.Add(flow.doubt_omega);
    }
    list.Add(std::move(one));
  }
  return list;
}

// Takes the members of one object, and remembers the first that is missing or
// of another kind.
class ObjectReader {
 public:
  ObjectReader(const Json& object, absl::Status* status)
      : object_(object), status_(status) {}

  template <typename T>
  void Integer(const char* key, T* out) {
    const Json* value = Get(key);
    if (value == nullptr) return;
    const std::optional<int64_t> number = value->AsInt64();
    if (!number.has_value() || !std::in_range<T>(*number)) {
      return Wrong(key, "a whole number in range");
    }
    *out = static_cast<T>(*number);
  }
  // A number that was none is written as null.
  void Number(const char* key, double* out) {
    const Json* value = Get(key);
    if (value != nullptr && !ToDouble(*value, out)) Wrong(key, "a number");
  }
  void Number(const char* key, std::optional<double>* out) {
    const Json* value = Get(key);
    if (value == nullptr || value->is_null()) return;
    if (*out = value->AsDouble(); !out->has_value()) Wrong(key, "a number");
  }
  void Text(const char* key, std::string* out) {
    const Json* value = Get(key);
    if (value == nullptr) return;
    if (value->AsString() == nullptr) return Wrong(key, "text");
    *out = *value->AsString();
  }
  void Names(const char* key, std::vector<std::string>* out) {
    const Json* value = Get(key);
    if (value == nullptr) return;
    if (!value->is_array()) return Wrong(key, "a list");
    for (const Json& item : value->items()) {
      if (item.AsString() == nullptr) return Wrong(key, "a list of names");
      out->push_back(*item.AsString());
    }
  }
  // Calls add(name, number) for each member of the object.
  template <typename F>
  void Numbers(const char* key, F add) {
    const Json* value = Get(key);
    if (value == nullptr) return;
    if (!value->is_object()) return Wrong(key, "an object");
    for (const auto& [name, member] : value->members()) {
      double number;
      if (!ToDouble(member, &number)) return Wrong(key, "numbers only");
      add(name, number);
    }
  }
  const Json* Get(const char* key) {
    const Json* value = object_.Find(key);
    if (value == nullptr) Wrong(key, "there");
    return value;
  }
  void Wrong(const char* key, const char* expected) {
    if (status_->ok()) {
      *status_ = absl::InvalidArgumentError(
          absl::StrCat("\"", key, "\" is not ", expected));
    }
  }

 private:
  static bool ToDouble(const Json& value, double* out) {
    const std::optional<double> number =
        value.is_null() ? std::numeric_limits<double>::quiet_NaN()
                        : value.AsDouble();
    if (number.has_value()) *out = *number;
    return number.has_value();
  }

  const Json& object_;
  absl::Status* const status_;
};

void ReadEvaluation(ObjectReader& reader, const char* key, absl::Status* status,
                    EvaluationReport* out) {
  const Json* value = reader.Get(key);
  if (value == nullptr) return;
  ObjectReader inner(*value, status);
  inner.Number("loss", &out->loss);
  inner.Number("accuracy", &out->accuracy);
}

void ReadFlow(const Json& json, ObjectReader& reader,
              std::vector<EdgeFlow>* flows) {
  std::vector<double> numbers;
  for (const Json& item : json.items()) {
    numbers.push_back(
        item.AsDouble().value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  if ((numbers.size() != 3 && numbers.size() != 5) ||
      !(numbers[0] >= 0 && numbers[0] <= std::numeric_limits<int>::max())) {
    return reader.Wrong("flows", "a list of [peer, sum, omega] and doubts");
  }
  EdgeFlow& flow = flows->emplace_back(
      EdgeFlow{static_cast<int>(numbers[0]), numbers[1], numbers[2]});
  flow.in_doubt = numbers.size() == 5;
  if (!flow.in_doubt) return;
  flow.doubt = numbers[3];
  flow.doubt_omega = numbers[4];
}

absl::Status FileError(const char* what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

// Where the last whole line of the file ends.
absl::StatusOr<off_t> EndOfLastLine(int fd, const std::string& path) {
  struct stat info;
  if (fstat(fd, &info) != 0) return FileError("read", path);
  char block[4096];
  for (off_t end = info.st_size; end > 0;) {
    const off_t begin = std::max<off_t>(0, end - off_t{sizeof(block)});
    if (pread(fd, block, end - begin, begin) != end - begin) {
      return FileError("read", path);
    }
    for (off_t i = end; i > begin; --i) {
      if (block[i - 1 - begin] == '\n') return i;
    }
    end = begin;
  }
  return 0;
}

}  // namespace

std::string ToJsonLine(const RoundReport& report) {
  Json refused = Json::Array();
  for (const Refusal& refusal : report.refused) {
    Json one = Json::Object();
    one.Set("client", refusal.client).Set("reason", refusal.reason);
    refused.Add(std::move(one));
  }
  Json metrics = Json::Object();
  for (const auto& [name, value] : report.metrics) metrics.Set(name, value);
  Json seconds = Json::Object();
  for (const auto& [name, value] : report.seconds) seconds.Set(name, value);

  Json line = Json::Object();
  line.Set("round", report.round)
      .Set("elapsed_seconds", report.elapsed_seconds)
      .Set("train_loss", report.train_loss)
      .Set("central", Evaluation(report.central))
      .Set("federated", Evaluation(report.federated))
      .Set("metrics", std::move(metrics))
      .Set("clients", report.clients)
      .Set("asked", Names(report.asked))
      .Set("counted", Names(report.counted))
      .Set("refused", std::move(refused))
      .Set("evaluations", Evaluations(report.evaluations));
  if (!report.direction.empty()) {
    Json direction = Json::Object();
    for (const auto& [name, value] : report.direction) {
      direction.Set(name, value);
    }
    line.Set("direction", std::move(direction));
  }
  line.Set("bytes_up", report.bytes_up)
      .Set("bytes_down", report.bytes_down)
      .Set("seconds", std::move(seconds))
      // As text: programs that read numbers as doubles would round it.
      .Set("model_hash", absl::StrFormat("%016x", report.model_hash));
  // Of gossip runs alone: [from, to, bytes] each.
  if (!report.edges.empty()) line.Set("edges", Edges(report.edges));
  // Of one peer: [peer, sum, omega] each, in doubt [.., doubt, doubt_omega].
  if (!report.flows.empty()) line.Set("flows", Flows(report.flows));
  return line.ToString();
}

absl::StatusOr<RoundReport> FromJsonLine(const std::string& line) {
  PARLEY_ASSIGN_OR_RETURN(const Json json, Json::Parse(line));
  absl::Status status;
  RoundReport report;
  ObjectReader reader(json, &status);
  reader.Integer("round", &report.round);
  reader.Number("elapsed_seconds", &report.elapsed_seconds);
  reader.Number("train_loss", &report.train_loss);
  ReadEvaluation(reader, "central", &status, &report.central);
  ReadEvaluation(reader, "federated", &status, &report.federated);
  reader.Numbers("metrics", [&](const std::string& name, double value) {
    report.metrics[name] = value;
  });
  reader.Integer("clients", &report.clients);
  reader.Names("asked", &report.asked);
  reader.Names("counted", &report.counted);
  if (const Json* refused = reader.Get("refused"); refused != nullptr) {
    for (const Json& item : refused->items()) {
      ObjectReader inner(item, &status);
      Refusal& refusal = report.refused.emplace_back();
      inner.Text("client", &refusal.client);
      inner.Text("reason", &refusal.reason);
    }
  }
  if (const Json* all = reader.Get("evaluations"); all != nullptr) {
    for (const Json& item : all->items()) {
      ObjectReader inner(item, &status);
      ClientEvaluation& one = report.evaluations.emplace_back();
      inner.Text("client", &one.client);
      inner.Number("examples", &one.examples);
      inner.Number("loss", &one.loss);
      inner.Number("accuracy", &one.accuracy);
    }
  }
  if (json.Find("direction") != nullptr) {
    reader.Numbers("direction", [&](const std::string& name, double value) {
      report.direction[name] = value;
    });
  }
  reader.Integer("bytes_up", &report.bytes_up);
  reader.Integer("bytes_down", &report.bytes_down);
  reader.Numbers("seconds", [&](const std::string& name, double value) {
    report.seconds.emplace_back(name, value);
  });
  if (const Json* flows = json.Find("flows"); flows != nullptr) {
    for (const Json& flow : flows->items()) {
      ReadFlow(flow, reader, &report.flows);
    }
  }
  if (const Json* edges = json.Find("edges"); edges != nullptr) {
    for (const Json& edge : edges->items()) {
      int64_t numbers[3] = {-1, -1, -1};
      const bool is = edge.is_array() && edge.items().size() == 3;
      for (size_t i = 0; is && i < 3; ++i) {
        numbers[i] = edge.items()[i].AsInt64().value_or(-1);
      }
      if (numbers[0] < 0 || numbers[1] < 0 || numbers[2] < 0 ||
          !std::in_range<int>(numbers[0]) || !std::in_range<int>(numbers[1])) {
        reader.Wrong("edges", "a list of [from, to, bytes]");
        break;
      }
      report.edges.push_back({static_cast<int>(numbers[0]),
                              static_cast<int>(numbers[1]),
                              static_cast<uint64_t>(numbers[2])});
    }
  }
  std::string hash;
  reader.Text("model_hash", &hash);
  if (hash.size() != 16 || !absl::SimpleHexAtoi(hash, &report.model_hash)) {
    reader.Wrong("model_hash", "16 hexadecimal digits");
  }
  if (!status.ok()) return status;
  return report;
}

absl::StatusOr<std::unique_ptr<MetricsLog>> MetricsLog::Open(
    const std::string& path) {
  const int fd =
      open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return FileError("write", path);
  auto log = absl::WrapUnique(new MetricsLog(path, fd));
  PARLEY_ASSIGN_OR_RETURN(const off_t end, EndOfLastLine(fd, path));
  if (ftruncate(fd, end) != 0) return FileError("write", path);
  return log;
}

MetricsLog::MetricsLog(std::string path, int fd)
    : path_(std::move(path)), fd_(fd) {}

MetricsLog::~MetricsLog() { close(fd_); }

absl::Status MetricsLog::Append(const RoundReport& report) {
  const std::string line = ToJsonLine(report) + "\n";
  absl::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("write", path_);
    rest.remove_prefix(written);
  }
  return absl::OkStatus();
}

absl::Status ForEachRound(const std::string& path,
                          const std::function<void(RoundReport)>& take) {
  MetricsPosition position;
  return ForEachNewRound(path, &position, [&](RoundReport report, int64_t) {
    take(std::move(report));
  });
}

absl::Status ForEachNewRound(
    const std::string& path, MetricsPosition* position,
    const std::function<void(RoundReport, int64_t begin)>& take) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return FileError("read", path);
  file.seekg(position->bytes);
  std::string line;
  while (std::getline(file, line) && !file.eof()) {
    absl::StatusOr<RoundReport> report = FromJsonLine(line);
    if (!report.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ", line ", position->lines + 1, ": ",
                       report.status().message()));
    }
    const int64_t begin = position->bytes;
    position->bytes += static_cast<int64_t>(line.size()) + 1;
    ++position->lines;
    take(*std::move(report), begin);
  }
  if (file.bad()) return FileError("read", path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RoundReport>> ReadMetrics(const std::string& path) {
  std::vector<RoundReport> reports;
  PARLEY_RETURN_IF_ERROR(ForEachRound(
      path, [&](RoundReport report) { reports.push_back(std::move(report)); }));
  return reports;
}

}  // namespace parley
