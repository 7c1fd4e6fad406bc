// Who takes part in a round: the draw of a cohort from the registered clients.
#ifndef PARLEY_SERVER_SELECTION_SELECTION_H_
#define PARLEY_SERVER_SELECTION_SELECTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "parley/v1/run.pb.h"

namespace parley {

// The names of the clients that can be asked, sorted, so that a draw does not
// depend on who came first. Joining and leaving is put in order only when
// somebody draws. Not thread-safe.
class CandidatePool {
 public:
  void Add(const std::string& name);
  void Remove(const std::string& name);
  bool Contains(const std::string& name) const {
    return members_.contains(name);
  }
  int64_t size() const { return static_cast<int64_t>(members_.size()); }

  // Good until the next Add or Remove.
  const std::vector<std::string>& Sorted();

 private:
  absl::flat_hash_set<std::string> members_;
  std::vector<std::string> sorted_;
  std::vector<std::string> added_;  // since sorted_ was made
  bool removed_ = false;            // some of sorted_ are gone
};

struct CohortSize {
  int32_t needed = 0;  // answers that make the round full
  int32_t asked = 0;   // clients asked, over-selection included
};

// For `registered` clients: fraction of them rounded up, at most max of them,
// never more than there are. cohort.min only says when a round may begin.
CohortSize SizeCohort(const v1::Cohort& cohort, int64_t registered);

// `share` of `count`, rounded up, at least 1. 0.1 of 30 is 3, although 0.1
// times 30 is a little more in doubles.
int32_t ShareOf(double share, int64_t count);

// `count` names in the order drawn: a function of the pool's names, seed and
// round alone. count <= pool.size().
std::vector<std::string> DrawCohort(CandidatePool& pool, int32_t count,
                                    uint64_t seed, int64_t round);

}  // namespace parley

#endif  // PARLEY_SERVER_SELECTION_SELECTION_H_
