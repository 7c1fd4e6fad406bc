#include "common/base/json.h"

#include <charconv>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace parley {
namespace {

constexpr int kMaxDepth = 64;
constexpr char kReplacement[] = "\xEF\xBF\xBD";  // U+FFFD

// The length of the UTF-8 character that `text` begins with (RFC 3629); 0 where
// it begins with none.
size_t Utf8Length(absl::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return text.empty() ? 0 : 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (first == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
    if (first == 0xED && byte(1) > 0x9F) return 0;  // a surrogate
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (first == 0xF0 && byte(1) < 0x90) return 0;  // overlong
    if (first == 0xF4 && byte(1) > 0x8F) return 0;  // beyond U+10FFFF
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

void AppendQuoted(absl::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const char c = text[0];
    if (length == 0) {
      out += kReplacement;
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", c);
    } else {
      out.append(text.data(), length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

void AppendUtf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

// All of `text` as a T.
template <typename T>
std::optional<T> ToNumber(const std::string& text) {
  T value;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

}  // namespace

// Recursive descent over one text.
class JsonParser {
 public:
  explicit JsonParser(absl::string_view text) : text_(text) {}

  absl::StatusOr<Json> Document() {
    Json value;
    if (Value(value, 0)) {
      SkipBlanks();
      if (at_ == text_.size()) return value;
      Fail("something follows the value");
    }
    return absl::InvalidArgumentError(
        absl::StrCat("not JSON at byte ", at_, ": ", error_));
  }

 private:
  bool Fail(const char* error) {
    error_ = error;
    return false;
  }

  void SkipBlanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' ||
                                  text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool Take(char c) {
    if (Peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  bool Word(absl::string_view word, Json::Kind kind, Json& value) {
    if (text_.substr(at_, word.size()) != word) return Fail("unknown word");
    at_ += word.size();
    value.kind_ = kind;
    return true;
  }

  bool Value(Json& value, int depth) {
    if (depth > kMaxDepth) return Fail("too many levels");
    SkipBlanks();
    switch (Peek()) {
      case 'n':
        return Word("null", Json::kNull, value);
      case 't':
        return Word("true", Json::kTrue, value);
      case 'f':
        return Word("false", Json::kFalse, value);
      case '"':
        value.kind_ = Json::kString;
        return String(value.text_);
      case '[':
        return Array(value, depth);
      case '{':
        return Object(value, depth);
      default:
        value.kind_ = Json::kNumber;
        return Number(value.text_);
    }
  }

  bool Array(Json& value, int depth) {
    value.kind_ = Json::kArray;
    Take('[');
    SkipBlanks();
    if (Take(']')) return true;
    while (true) {
      value.items_.emplace_back();
      if (!Value(value.items_.back(), depth + 1)) return false;
      SkipBlanks();
      if (Take(']')) return true;
      if (!Take(',')) return Fail("expected , or ]");
    }
  }

  bool Object(Json& value, int depth) {
    value.kind_ = Json::kObject;
    std::set<std::string> keys;
    Take('{');
    SkipBlanks();
    if (Take('}')) return true;
    while (true) {
      SkipBlanks();
      if (Peek() != '"') return Fail("expected a key in quotes");
      value.members_.emplace_back();
      std::string& key = value.members_.back().first;
      if (!String(key)) return false;
      if (!keys.insert(key).second) return Fail("the key stands there twice");
      SkipBlanks();
      if (!Take(':')) return Fail("expected :");
      if (!Value(value.members_.back().second, depth + 1)) return false;
      SkipBlanks();
      if (Take('}')) return true;
      if (!Take(',')) return Fail("expected , or }");
    }
  }

  bool Digits(std::string& out) {
    const size_t start = at_;
    while (Peek() >= '0' && Peek() <= '9') out += text_[at_++];
    return at_ > start;
  }

  bool Number(std::string& out) {
    if (Take('-')) out += '-';
    const bool zero = Peek() == '0';
    const size_t start = at_;
    if (!Digits(out)) return Fail("expected a value");
    if (zero && at_ - start > 1) return Fail("a number begins with 0");
    if (Take('.')) {
      out += '.';
      if (!Digits(out)) return Fail("expected a digit");
    }
    if (Peek() == 'e' || Peek() == 'E') {
      out += 'e';
      ++at_;
      if (Peek() == '-' || Peek() == '+') {
        if (Peek() == '-') out += '-';
        ++at_;
      }
      if (!Digits(out)) return Fail("expected a digit");
    }
    return true;
  }

  bool Hex4(uint32_t& code) {
    code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = Peek();
      code <<= 4;
      if (c >= '0' && c <= '9') {
        code |= c - '0';
      } else if (c >= 'a' && c <= 'f') {
        code |= c - 'a' + 10;
      } else if (c >= 'A' && c <= 'F') {
        code |= c - 'A' + 10;
      } else {
        return Fail("expected four hexadecimal digits");
      }
    }
    return true;
  }

  bool Escape(std::string& out) {
    constexpr absl::string_view kShort = "\"\\/bfnrt";
    constexpr absl::string_view kMeaning = "\"\\/\b\f\n\r\t";
    if (const size_t i = kShort.find(Peek());
        at_ < text_.size() && i != absl::string_view::npos) {
      out += kMeaning[i];
      ++at_;
      return true;
    }
    uint32_t code;
    if (!Take('u')) return Fail("unknown escape");
    if (!Hex4(code)) return false;
    if (code >= 0xDC00 && code <= 0xDFFF) return Fail("half a surrogate pair");
    if (code >= 0xD800 && code <= 0xDBFF) {
      uint32_t low;
      if (!Take('\\') || !Take('u')) return Fail("half a surrogate pair");
      if (!Hex4(low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return Fail("half a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendUtf8(code, out);
    return true;
  }

  bool String(std::string& out) {
    Take('"');
    while (at_ < text_.size()) {
      if (Take('"')) return true;
      if (Take('\\')) {
        if (!Escape(out)) return false;
        continue;
      }
      if (static_cast<unsigned char>(text_[at_]) < 0x20) {
        return Fail("a control character in a string");
      }
      const size_t length = Utf8Length(text_.substr(at_, 4));
      if (length == 0) return Fail("not UTF-8");
      out.append(text_.data() + at_, length);
      at_ += length;
    }
    return Fail("a string does not end");
  }

  const absl::string_view text_;
  size_t at_ = 0;
  const char* error_ = "";
};

Json::Json(double value) {
  if (!std::isfinite(value)) return;
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  kind_ = kNumber;
  text_.assign(buffer, result.ptr);
}

Json::Json(absl::string_view value) : kind_(kString), text_(value) {}

Json Json::Array() {
  Json json;
  json.kind_ = kArray;
  return json;
}

Json Json::Object() {
  Json json;
  json.kind_ = kObject;
  return json;
}

absl::StatusOr<Json> Json::Parse(absl::string_view text) {
  return JsonParser(text).Document();
}

std::string Json::ToString() const {
  std::string out;
  AppendTo(out);
  return out;
}

void Json::AppendTo(std::string& out) const {
  const char* separator = "";
  switch (kind_) {
    case kNull:
      out += "null";
      break;
    case kFalse:
      out += "false";
      break;
    case kTrue:
      out += "true";
      break;
    case kNumber:
      out += text_;
      break;
    case kString:
      AppendQuoted(text_, out);
      break;
    case kArray:
      out += '[';
      for (const Json& item : items_) {
        out += separator;
        item.AppendTo(out);
        separator = ",";
      }
      out += ']';
      break;
    case kObject:
      out += '{';
      for (const auto& [key, value] : members_) {
        out += separator;
        AppendQuoted(key, out);
        out += ':';
        value.AppendTo(out);
        separator = ",";
      }
      out += '}';
      break;
  }
}

Json& Json::Add(Json value) {
  items_.push_back(std::move(value));
  return *this;
}

Json& Json::Set(absl::string_view key, Json value) {
  members_.emplace_back(std::string(key), std::move(value));
  return *this;
}

std::optional<bool> Json::AsBool() const {
  if (kind_ != kTrue && kind_ != kFalse) return std::nullopt;
  return kind_ == kTrue;
}

std::optional<double> Json::AsDouble() const {
  return kind_ == kNumber ? ToNumber<double>(text_) : std::nullopt;
}

std::optional<int64_t> Json::AsInt64() const {
  return kind_ == kNumber ? ToNumber<int64_t>(text_) : std::nullopt;
}

std::optional<uint64_t> Json::AsUint64() const {
  return kind_ == kNumber ? ToNumber<uint64_t>(text_) : std::nullopt;
}

const std::string* Json::AsString() const {
  return kind_ == kString ? &text_ : nullptr;
}

const Json* Json::Find(absl::string_view key) const {
  for (const auto& [name, value] : members_) {
    if (name == key) return &value;
  }
  return nullptr;
}

}  // namespace parley
