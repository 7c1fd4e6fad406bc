#include "common/config/suggest.h"

#include <vector>

#include "absl/strings/strip.h"
#include "common/base/nearest.h"

namespace parley {
namespace {

template <typename D>
std::string ShortName(const D& descriptor) {
  return std::string(absl::StripPrefix(descriptor.full_name(),
                                       descriptor.file()->package() + "."));
}

}  // namespace

std::string NoSuchField(const google::protobuf::Descriptor& message,
                        const std::string& name) {
  std::vector<std::string> known;
  for (int i = 0; i < message.field_count(); ++i) {
    known.push_back(message.field(i)->name());
  }
  return NoSuch(ShortName(message), "field", name, known);
}

std::string NoSuchValue(const google::protobuf::EnumDescriptor& type,
                        const std::string& name) {
  std::vector<std::string> known;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) known.push_back(type.value(i)->name());
  }
  return NoSuch(ShortName(type), "value", name, known);
}

}  // namespace parley
