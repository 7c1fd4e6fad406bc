// Parses the text of a run file, or of another configuration, and remembers
// what stands in which line.
#ifndef PARLEY_COMMON_CONFIG_CONFIG_TEXT_H_
#define PARLEY_COMMON_CONFIG_CONFIG_TEXT_H_

#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace parley {

// Made by Parse(), constant from then on. Movable; thread-compatible.
class ConfigText {
 public:
  struct Error {
    int line;  // from 1; 0: none
    std::string text;
  };
  // Of a field of the file, as far as it is there.
  struct Place {
    int line;    // of the field or else of the message around it; 0: neither
    bool exact;  // the field itself is there
  };

  // Into a message of the kind of `kind`. Goes on after an error where it can:
  // past unknown fields, and past a broken line that opens and closes the same
  // brackets.
  static ConfigText Parse(absl::string_view text,
                          const google::protobuf::Message& kind);

  // Of that kind. Without the parts that errors() tells of.
  const google::protobuf::Message& message() const { return *message_; }
  // By line.
  const std::vector<Error>& errors() const { return errors_; }
  // `path` as in "data.train" or "round_values[1].name".
  Place Find(absl::string_view path) const;

 private:
  explicit ConfigText(const google::protobuf::Message& kind)
      : message_(kind.New()) {}
  // Returns the line of what stopped the parser, from 0, or -1.
  int ParseOnce(const std::vector<std::string>& lines);
  void AddError(int line, std::string text);

  std::unique_ptr<google::protobuf::Message> message_;
  std::unique_ptr<google::protobuf::TextFormat::ParseInfoTree> tree_;
  std::vector<Error> errors_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_CONFIG_TEXT_H_
