#include <cstdio>
#include <optional>

#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/base/json.h"
#include "common/wire/protocol.h"
#include "tools/cli/command.h"

namespace parley {

int VersionCommand(int argc, const char* const* argv) {
  bool json = false;
  Flags flags({"parley version", "", "Prints the version.\n", ""});
  flags.Add("json", &json, "", "Print one JSON object.");
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  if (json) {
    Json object = Json::Object();
    object.Set("version", kVersion).Set("protocol", kProtocolVersion);
    absl::PrintF("%s\n", object.ToString());
  } else {
    absl::PrintF("parley %s (protocol %d)\n", kVersion, kProtocolVersion);
  }
  return kExitOk;
}

}  // namespace parley
