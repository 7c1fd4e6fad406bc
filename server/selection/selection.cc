#include "server/selection/selection.h"

#include <algorithm>
#include <cmath>

#include "common/base/random.h"

namespace parley {

void CandidatePool::Add(const std::string& name) {
  if (members_.insert(name).second) added_.push_back(name);
}

void CandidatePool::Remove(const std::string& name) {
  if (members_.erase(name) > 0) removed_ = true;
}

const std::vector<std::string>& CandidatePool::Sorted() {
  if (removed_) {
    const auto gone = [&](const std::string& n) { return !Contains(n); };
    sorted_.erase(std::remove_if(sorted_.begin(), sorted_.end(), gone),
                  sorted_.end());
    added_.erase(std::remove_if(added_.begin(), added_.end(), gone),
                 added_.end());
    removed_ = false;
  }
  if (!added_.empty()) {
    std::sort(added_.begin(), added_.end());
    const auto middle = static_cast<std::ptrdiff_t>(sorted_.size());
    sorted_.insert(sorted_.end(), added_.begin(), added_.end());
    std::inplace_merge(sorted_.begin(), sorted_.begin() + middle,
                       sorted_.end());
    // A name that left and came back may stand there twice.
    sorted_.erase(std::unique(sorted_.begin(), sorted_.end()), sorted_.end());
    added_.clear();
  }
  return sorted_;
}

int32_t ShareOf(double share, int64_t count) {
  const double exact = share * static_cast<double>(count);
  return std::max<int32_t>(1, static_cast<int32_t>(std::ceil(exact - 1e-9)));
}

CohortSize SizeCohort(const v1::Cohort& cohort, int64_t registered) {
  CohortSize size;
  int64_t needed = ShareOf(cohort.fraction(), registered);
  if (cohort.max() > 0) needed = std::min<int64_t>(needed, cohort.max());
  size.needed = static_cast<int32_t>(std::min(needed, registered));
  const int64_t asked = ShareOf(1 + cohort.over_selection(), size.needed);
  size.asked = static_cast<int32_t>(std::min(asked, registered));
  return size;
}

std::vector<std::string> DrawCohort(CandidatePool& pool, int32_t count,
                                    uint64_t seed, int64_t round) {
  const std::vector<std::string>& names = pool.Sorted();
  std::vector<std::string> cohort;
  cohort.reserve(count);
  Rng rng(seed, "", round, "cohort");
  for (const int64_t i : rng.Sample(pool.size(), count)) {
    cohort.push_back(names[i]);
  }
  return cohort;
}

}  // namespace parley
