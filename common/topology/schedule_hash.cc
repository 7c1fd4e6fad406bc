#include "common/topology/schedule_hash.h"

#include <xxhash.h>

#include <cstring>
#include <string>

namespace parley {
namespace {

// Raise it when a kind comes to make other matrices of the same options.
constexpr uint64_t kVersion = 1;

class Fields {
 public:
  void Add(uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) {
      bytes_.push_back(static_cast<char>(value >> shift));
    }
  }
  void Add(int64_t value) { Add(static_cast<uint64_t>(value)); }
  void Add(double value) {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    Add(bits);
  }
  void Add(const std::string& text) {
    Add(static_cast<uint64_t>(text.size()));
    bytes_ += text;
  }
  uint64_t Hash() const { return XXH3_64bits(bytes_.data(), bytes_.size()); }

 private:
  std::string bytes_;
};

}  // namespace

uint64_t ScheduleHash(const TopologyOptions& options, const ScheduleKey& key) {
  Fields fields;
  fields.Add(kVersion);
  fields.Add(key.seed);
  fields.Add(key.epoch);
  fields.Add(key.peers);
  fields.Add(options.kind);
  fields.Add(int64_t{options.directed});
  fields.Add(options.rows);
  fields.Add(options.degree);
  fields.Add(options.probability);
  fields.Add(options.neighbours);
  fields.Add(options.rewire);
  fields.Add(static_cast<uint64_t>(options.edges.size()));
  for (const PeerEdge& edge : options.edges) {
    fields.Add(edge.a);
    fields.Add(edge.b);
  }
  fields.Add(options.k);
  fields.Add(int64_t{options.lazy});
  return fields.Hash();
}

}  // namespace parley
