// What most sources include, compiled once. A source still includes what it
// uses: the clang preset builds without precompiled headers, and would tell.
#ifndef PARLEY_COMMON_PRECOMPILED_COMMON_H_
#define PARLEY_COMMON_PRECOMPILED_COMMON_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#endif  // PARLEY_COMMON_PRECOMPILED_COMMON_H_
