#include "client/gossip/membership.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/topology/topology.h"
#include "parley/v1/peer.pb.h"

namespace parley {
namespace {

// Keeps the first error.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  explicit FirstError(const std::string& path) : path_(path) {}
  void AddError(int line, int, const std::string& message) override {
    if (text_.empty())
      text_ = absl::StrCat(path_, ":", line + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  const std::string path_;
  std::string text_;
};

}  // namespace

absl::StatusOr<Membership> MembershipFromText(absl::string_view text,
                                              const std::string& path) {
  FirstError error(path);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  v1::PeerList list;
  if (!parser.ParseFromString(std::string(text), &list)) {
    return absl::InvalidArgumentError(error.text());
  }
  const auto wrong = [&path](auto... why) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", why...));
  };
  if (list.peers().empty()) {
    return wrong("no peers; it lists them by peers { name: address: }");
  }
  if (list.peers_size() > kMostPeers) {
    return wrong(list.peers_size(), " peers; at most ", kMostPeers,
                 " can take part");
  }
  Membership membership;
  std::set<std::string> names;
  for (const v1::PeerList::Entry& entry : list.peers()) {
    const int index = static_cast<int>(membership.peers.size());
    if (entry.name().empty()) return wrong("peers[", index, "] has no name");
    if (!names.insert(entry.name()).second) {
      return wrong("two peers are named ", entry.name());
    }
    if (entry.address().empty()) {
      return wrong("peer ", entry.name(), " has no address");
    }
    membership.peers.push_back({entry.name(), entry.address()});
  }
  return membership;
}

}  // namespace parley
