#include "common/base/flags.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/log.h"
#include "common/base/nearest.h"

namespace parley {
namespace {

// Each reads `text` into its target and returns null, or what it expects.
const char* Read(absl::string_view text, bool* out) {
  return absl::SimpleAtob(text, out) ? nullptr : "true or false";
}
const char* Read(absl::string_view text, std::string* out) {
  *out = std::string(text);
  return nullptr;
}
const char* Read(absl::string_view text, int64_t* out) {
  return absl::SimpleAtoi(text, out) ? nullptr : "a whole number";
}
const char* Read(absl::string_view text, double* out) {
  return absl::SimpleAtod(text, out) ? nullptr : "a number";
}
template <typename T>
const char* Read(absl::string_view text, std::optional<T>* out) {
  return Read(text, &out->emplace());
}
const char* Read(absl::string_view text, std::vector<std::string>* out) {
  out->emplace_back(text);
  return nullptr;
}

}  // namespace

void Flags::Add(absl::string_view name, Target target, absl::string_view value,
                absl::string_view help) {
  PARLEY_CHECK(Find(name) == nullptr);
  flags_.push_back(
      {std::string(name), std::string(value), std::string(help), target});
}

Flags::Flag* Flags::Find(absl::string_view name) {
  for (Flag& flag : flags_) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

absl::Status Flags::Unknown(absl::string_view name) const {
  std::vector<std::string> names = {"help", "version"};
  for (const Flag& flag : flags_) names.push_back(flag.name);
  const std::string nearest = Nearest(name, names);
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown flag --", name,
      nearest.empty() ? "" : absl::StrCat("; did you mean --", nearest, "?")));
}

absl::Status Flags::Parse(absl::Span<const absl::string_view> args) {
  bool only_arguments = false;
  for (size_t i = 0; i < args.size(); ++i) {
    const absl::string_view arg = args[i];
    // A lone "-" is an argument: standard input or output by custom.
    if (only_arguments || arg.size() < 2 || arg[0] != '-') {
      arguments_.emplace_back(arg);
      continue;
    }
    if (arg == "--") {
      only_arguments = true;
      continue;
    }
    if (arg == "--help" || arg == "-h") {
      help_ = true;
      return absl::OkStatus();
    }
    if (arg == "--version") {
      version_ = true;
      return absl::OkStatus();
    }
    const size_t equals = arg.find('=');
    const absl::string_view dashed = arg.substr(0, equals);
    if (dashed.substr(0, 2) != "--") {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown flag ", arg, "; flags start with two dashes"));
    }
    Flag* const flag = Find(dashed.substr(2));
    if (flag == nullptr) return Unknown(dashed.substr(2));
    const bool repeated =
        std::holds_alternative<std::vector<std::string>*>(flag->target);
    if (std::exchange(flag->given, true) && !repeated) {
      return absl::InvalidArgumentError(absl::StrCat(dashed, " given twice"));
    }
    absl::string_view text = "true";
    if (equals != absl::string_view::npos) {
      text = arg.substr(equals + 1);
    } else if (!std::holds_alternative<bool*>(flag->target)) {
      if (i + 1 == args.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat(dashed, " needs a value: ", dashed, " ", flag->value));
      }
      text = args[++i];
    }
    const char* const expected = std::visit(
        [text](auto* target) { return Read(text, target); }, flag->target);
    if (expected != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(dashed, ": \"", text, "\" is not ", expected));
    }
  }
  const int count = static_cast<int>(arguments_.size());
  if (count > text_.max_arguments) {
    return absl::InvalidArgumentError(absl::StrCat(
        "unexpected argument \"", arguments_[text_.max_arguments], "\""));
  }
  if (count < text_.min_arguments) {
    return absl::InvalidArgumentError(
        absl::StrCat("missing argument: ", text_.arguments));
  }
  return absl::OkStatus();
}

std::optional<int> Flags::ParseMain(int argc, const char* const* argv) {
  const std::vector<absl::string_view> args(argv + std::min(argc, 1),
                                            argv + argc);
  if (absl::Status status = Parse(args); !status.ok()) {
    return UsageError(status);
  }
  if (help_) {
    std::fputs(Help().c_str(), stdout);
    return 0;
  }
  if (version_) {
    std::printf("%s %s\n", text_.program.c_str(), kVersion);
    return 0;
  }
  return std::nullopt;
}

int Flags::UsageError(const absl::Status& why) const {
  std::fprintf(stderr, "%s: %s\nSee %s --help.\n", text_.program.c_str(),
               std::string(why.message()).c_str(), text_.program.c_str());
  return kExitUsage;
}

std::string Flags::Help() const {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Flag& flag : flags_) {
    rows.emplace_back(absl::StrCat("--", flag.name,
                                   flag.value.empty() ? "" : " ", flag.value),
                      flag.help);
  }
  rows.emplace_back("--help", "Print this page.");
  rows.emplace_back("--version", "Print the version.");
  size_t width = 0;
  for (const auto& [left, help] : rows) width = std::max(width, left.size());

  std::string page =
      absl::StrCat("Usage: ", text_.program, text_.arguments.empty() ? "" : " ",
                   text_.arguments, " [flags]\n\n", text_.about, "\nFlags:\n");
  for (const auto& [left, help] : rows) {
    std::string margin =
        absl::StrCat("  ", left, std::string(width - left.size() + 2, ' '));
    for (absl::string_view line : absl::StrSplit(help, '\n')) {
      absl::StrAppend(&page, margin, line, "\n");
      margin.assign(width + 4, ' ');
    }
  }
  if (!text_.notes.empty()) absl::StrAppend(&page, "\n", text_.notes);
  return page;
}

}  // namespace parley
