#include "tools/sim/client_name.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace parley {

std::string ClientNameOf(int64_t index, int64_t clients) {
  const int digits =
      std::max(4, static_cast<int>(absl::StrCat(clients).size()));
  return absl::StrFormat("client-%0*d", digits, index + 1);
}

}  // namespace parley
