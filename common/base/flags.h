// Command-line flags: a table of a program's flags with their help texts, which
// parses `--name value` and `--name=value` and writes the help page.
#ifndef PARLEY_COMMON_BASE_FLAGS_H_
#define PARLEY_COMMON_BASE_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace parley {

// The version of the programs, as --version and handshakes tell it.
inline constexpr char kVersion[] = "0.1.0";

inline constexpr int kExitUsage = 2;  // the command line was wrong

// What the help page says around the table of flags.
struct FlagsText {
  std::string program;    // "parley run"
  std::string arguments;  // "FILE", for the usage line; empty: none
  std::string about;      // what the program does, whole lines
  std::string notes;      // examples, exit codes; whole lines
  int min_arguments = 0;  // that are no flags
  int max_arguments = 0;
};

// Fill the table with Add, then Parse once. The targets are borrowed and keep
// their value, the default, where the flag is not given. --help and --version
// are always there. Thread-compatible.
class Flags {
 public:
  explicit Flags(FlagsText text) : text_(std::move(text)) {}

  // `name` without dashes; `value` names the value in the help ("FILE"). A
  // vector collects the values of a repeated flag; the others may be given
  // once. A bool is a switch: --name, --name=true, --name=false.
  using Target = std::variant<bool*, std::string*, int64_t*, double*,
                              std::optional<int64_t>*, std::optional<double>*,
                              std::vector<std::string>*>;
  void Add(absl::string_view name, Target target, absl::string_view value,
           absl::string_view help);

  // `args` without the program's name. What is no flag, and all after "--",
  // goes to arguments(). InvalidArgument: a flag unknown (the nearest one is
  // suggested), without a value, twice, or whose value cannot be read; too few
  // or too many arguments.
  absl::Status Parse(absl::Span<const absl::string_view> args);

  // Parse for a main(): nullopt to go on, else the code to exit with, once the
  // help, the version or the error is printed. Skips argv[0].
  std::optional<int> ParseMain(int argc, const char* const* argv);

  // Prints why the command line is wrong, for what Parse cannot know. Returns
  // kExitUsage.
  int UsageError(const absl::Status& why) const;

  const std::vector<std::string>& arguments() const { return arguments_; }
  bool help_asked() const { return help_; }
  bool version_asked() const { return version_; }
  std::string Help() const;

 private:
  struct Flag {
    std::string name, value, help;
    Target target;
    bool given = false;
  };
  Flag* Find(absl::string_view name);
  absl::Status Unknown(absl::string_view name) const;

  const FlagsText text_;
  std::vector<Flag> flags_;
  std::vector<std::string> arguments_;
  bool help_ = false;
  bool version_ = false;
};

}  // namespace parley

#endif  // PARLEY_COMMON_BASE_FLAGS_H_
