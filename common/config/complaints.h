// Gathers which rules a run's configuration breaks.
#ifndef PARLEY_COMMON_CONFIG_COMPLAINTS_H_
#define PARLEY_COMMON_CONFIG_COMPLAINTS_H_

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/config/validate.h"

namespace parley {

// Adds to *problems, which must outlive it.
class Complaints {
 public:
  explicit Complaints(std::vector<Problem>* problems) : problems_(*problems) {
    for (const Problem& problem : *problems) wrong_.insert(problem.path);
  }

  // False where the field's value is wrong by itself, and was reported before:
  // what it does not go with then is nobody's fault.
  bool InRange(const std::string& path) const { return !wrong_.contains(path); }

  void NotEmpty(const std::string& path, const std::string& value) {
    if (value.empty()) Missing(path, "must not be empty");
  }
  void Value(std::string path, std::string text) {
    problems_.push_back(
        {Problem::Kind::kValue, std::move(path), std::move(text)});
  }
  void Missing(std::string path, const std::string& rule) {
    problems_.push_back(
        {Problem::Kind::kMissing, std::move(path), "is missing: " + rule});
  }
  void Conflict(std::string path, std::string text) {
    problems_.push_back(
        {Problem::Kind::kConflict, std::move(path), std::move(text)});
  }

 private:
  std::vector<Problem>& problems_;
  std::set<std::string> wrong_;  // paths
};

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_COMPLAINTS_H_
