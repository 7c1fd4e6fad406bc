// Goes through every number that a run file can hold, so that a field that is
// added without a range fails here.
#include "common/config/ranges.h"

#include <limits>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/config/defaults.h"
#include "common/config/validate.h"
#include "parley/v1/run.pb.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

// Numbers whose sign is the user's business, as run.proto says.
const std::set<std::string>& MayBeNegative() {
  static const auto& names = *new std::set<std::string>{
      "local.exact_prox.log_lambda", "stop.loss",
      "round_values[0].initial", "round_values[0].factor"};
  return names;
}

using Path = std::vector<const FieldDescriptor*>;

// All paths from `message` to a number.
void Collect(const Descriptor* message, Path* path, std::vector<Path>* out) {
  for (int i = 0; i < message->field_count(); ++i) {
    const FieldDescriptor* field = message->field(i);
    if (field->is_map()) continue;
    path->push_back(field);
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        Collect(field->message_type(), path, out);
        break;
      case FieldDescriptor::CPPTYPE_STRING:
      case FieldDescriptor::CPPTYPE_BOOL:
      case FieldDescriptor::CPPTYPE_ENUM:
        break;
      default:
        out->push_back(*path);
    }
    path->pop_back();
  }
}

std::vector<Path> AllNumbers() {
  std::vector<Path> paths;
  Path path;
  Collect(v1::RunConfig::descriptor(), &path, &paths);
  return paths;
}

std::string NameOf(const Path& path) {
  std::string name;
  for (const FieldDescriptor* field : path) {
    absl::StrAppend(&name, name.empty() ? "" : ".", field->name(),
                    field->is_repeated() ? "[0]" : "");
  }
  return name;
}

// A configuration with nothing but this number.
v1::RunConfig With(const Path& path, double x) {
  v1::RunConfig config;
  Message* message = &config;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    const Reflection& r = *message->GetReflection();
    message = path[i]->is_repeated() ? r.AddMessage(message, path[i])
                                     : r.MutableMessage(message, path[i]);
  }
  const Reflection& r = *message->GetReflection();
  const FieldDescriptor* field = path.back();
  const bool list = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      list ? r.AddInt32(message, field, static_cast<int32_t>(x))
           : r.SetInt32(message, field, static_cast<int32_t>(x));
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      list ? r.AddInt64(message, field, static_cast<int64_t>(x))
           : r.SetInt64(message, field, static_cast<int64_t>(x));
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      r.SetUInt64(message, field, static_cast<uint64_t>(x));
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      list ? r.AddDouble(message, field, x) : r.SetDouble(message, field, x);
      break;
    default:
      ADD_FAILURE() << "teach this test the type of " << field->full_name();
  }
  FillDefaults(&config);
  return config;
}

// Whether the number itself, not what is missing around it, is refused.
bool Refused(const Path& path, double x) {
  for (const Problem& problem : ValidateRun(With(path, x))) {
    if (problem.kind == Problem::Kind::kValue && problem.path == NameOf(path)) {
      return true;
    }
  }
  return false;
}

TEST(RangesTest, EveryNumberHasARange) {
  const std::vector<Path> numbers = AllNumbers();
  EXPECT_GT(numbers.size(), 60u);
  for (const Path& path : numbers) {
    EXPECT_NE(FindRange(*path.back()), nullptr)
        << NameOf(path) << ": add its range to common/config/ranges.cc";
  }
}

TEST(RangesTest, NaNAndInfinityAreRefused) {
  for (const Path& path : AllNumbers()) {
    if (path.back()->cpp_type() != FieldDescriptor::CPPTYPE_DOUBLE) continue;
    const double infinity = std::numeric_limits<double>::infinity();
    EXPECT_TRUE(Refused(path, std::numeric_limits<double>::quiet_NaN()))
        << NameOf(path);
    EXPECT_TRUE(Refused(path, infinity)) << NameOf(path);
    EXPECT_TRUE(Refused(path, -infinity)) << NameOf(path);
  }
}

TEST(RangesTest, NegativeNumbersAreRefused) {
  for (const Path& path : AllNumbers()) {
    if (path.back()->cpp_type() == FieldDescriptor::CPPTYPE_UINT64) continue;
    const bool allowed = MayBeNegative().count(NameOf(path)) > 0;
    EXPECT_EQ(Refused(path, -1), !allowed) << NameOf(path);
    EXPECT_EQ(Refused(path, -2e9), !allowed) << NameOf(path);
  }
}

TEST(RangesTest, AbsurdWholeNumbersAreRefused) {
  for (const Path& path : AllNumbers()) {
    const bool wide = path.back()->cpp_type() == FieldDescriptor::CPPTYPE_INT64;
    if (wide) {
      EXPECT_TRUE(Refused(path, 9e18)) << NameOf(path);
    }
  }
}

TEST(RangesTest, TheEndsOfARange) {
  const Range closed = {"x", 1, 2};
  EXPECT_TRUE(closed.Holds(1));
  EXPECT_TRUE(closed.Holds(2));
  EXPECT_FALSE(closed.Holds(0.999));
  EXPECT_FALSE(closed.Holds(2.001));
  EXPECT_EQ(closed.ToString(), "must be >= 1 and <= 2");
  const Range open = {"x", 0, 1, true, true};
  EXPECT_FALSE(open.Holds(0));
  EXPECT_FALSE(open.Holds(1));
  EXPECT_TRUE(open.Holds(0.5));
  EXPECT_EQ(open.ToString(), "must be > 0 and < 1");
}

}  // namespace
}  // namespace parley
