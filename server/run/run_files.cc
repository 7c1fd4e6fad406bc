#include "server/run/run_files.h"

#include <cstdint>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/json.h"
#include "common/base/status_macros.h"
#include "common/report/html_report.h"
#include "common/report/report_run.h"

namespace parley {

std::string StatusJson(const v1::RunStatus& status) {
  const auto optional = [](bool has, double value) {
    return has ? Json(value) : Json();
  };
  Json json = Json::Object();
  json.Set("run", status.run())
      .Set("state", absl::AsciiStrToLower(v1::RunState_Name(status.state())))
      .Set("reason", status.detail())
      .Set("round", status.round())
      .Set("rounds", status.rounds())
      .Set("loss", optional(status.has_loss(), status.loss()))
      .Set("accuracy", optional(status.has_accuracy(), status.accuracy()))
      .Set("seconds", status.seconds())
      .Set("bytes_up", status.bytes_up())
      .Set("bytes_down", status.bytes_down());
  return absl::StrCat(json.ToString(), "\n");
}

absl::Status WriteReport(const v1::RunConfig& config,
                         const v1::RunStatus& status,
                         const std::string& folder) {
  PARLEY_ASSIGN_OR_RETURN(ReportRun run, ReadReportRun(folder, config));
  run.state = absl::AsciiStrToLower(v1::RunState_Name(status.state()));
  run.reason = status.detail();
  return WriteHtmlReport({run}, absl::StrCat(folder, "/", kReportFile));
}

absl::StatusOr<v1::RunStatus> ReadStatusJson(const std::string& text) {
  PARLEY_ASSIGN_OR_RETURN(
      const Json json, Json::Parse(absl::StripTrailingAsciiWhitespace(text)));
  const auto string = [&json](const char* key) -> std::string {
    const Json* const value = json.Find(key);
    const bool there = value != nullptr && value->AsString() != nullptr;
    return there ? *value->AsString() : "";
  };
  const auto number = [&json](const char* key) -> std::optional<double> {
    const Json* const value = json.Find(key);
    return value == nullptr ? std::nullopt : value->AsDouble();
  };
  const auto whole = [&json](const char* key) -> int64_t {
    const Json* const value = json.Find(key);
    return value == nullptr ? 0 : value->AsInt64().value_or(0);
  };
  v1::RunStatus status;
  v1::RunState state;
  if (!v1::RunState_Parse(absl::AsciiStrToUpper(string("state")), &state)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", string("state"), "\" is no state of a run"));
  }
  status.set_run(string("run"));
  status.set_state(state);
  status.set_detail(string("reason"));
  status.set_round(whole("round"));
  status.set_rounds(whole("rounds"));
  if (const auto loss = number("loss")) status.set_loss(*loss);
  if (const auto accuracy = number("accuracy")) status.set_accuracy(*accuracy);
  status.set_seconds(number("seconds").value_or(0));
  status.set_bytes_up(static_cast<uint64_t>(whole("bytes_up")));
  status.set_bytes_down(static_cast<uint64_t>(whole("bytes_down")));
  return status;
}

}  // namespace parley
