// Files in protobuf text format: reading them, and what is wrong with them.
#ifndef PARLEY_COMMON_CONFIG_CONFIG_ERRORS_H_
#define PARLEY_COMMON_CONFIG_CONFIG_ERRORS_H_

#include <google/protobuf/message.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/config/config_text.h"
#include "common/config/validate.h"

namespace parley {

// NotFound and others: it cannot be read. Of one that is too long the beginning
// is returned, which CheckConfigText refuses.
absl::StatusOr<std::string> ReadConfigFile(const std::string& path);

// InvalidArgument: too long, or no text. `path` names it in errors.
absl::Status CheckConfigText(absl::string_view text, const std::string& path);

// Gathers what is wrong, each with its place: first what the parser says.
// Thread-compatible.
class ConfigErrors {
 public:
  // `text` is borrowed.
  ConfigErrors(const std::string& file, const ConfigText& text);

  // Applies them (overrides.h), one after another; what is wrong with a field
  // is put down to the last that touched it.
  void Apply(absl::Span<const std::string> overrides,
             google::protobuf::Message* message);

  // With a broken file, what is missing or does not go together may be so for
  // that alone: it is left out then. What is there already is not said again.
  void AddProblem(const Problem& problem);

  // InvalidArgument: all of it, one a line, by line of the file.
  absl::Status ToStatus();

 private:
  std::string InFile(int line) const;
  void AddOverrideError(const std::string& override, absl::string_view text);
  void Add(int order, const std::string& place, absl::string_view text);

  const std::string file_;
  const ConfigText& text_;
  std::vector<std::pair<std::string, std::string>> overrides_;  // path, text
  std::vector<std::pair<int, std::string>> lines_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_CONFIG_ERRORS_H_
