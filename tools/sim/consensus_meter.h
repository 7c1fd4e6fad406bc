// How far apart peers' vectors are, from each of them once.
#ifndef PARLEY_TOOLS_SIM_CONSENSUS_METER_H_
#define PARLEY_TOOLS_SIM_CONSENSUS_METER_H_

#include <cstdint>
#include <vector>

#include "common/model/parameters.h"

namespace parley {

// Tr Ξ = (1/m) Σ ‖w_j − w̄‖² (arXiv 2306.02913) and w̄, in double. Sums are of
// differences to the first vector, so that little cancels. Thread-compatible.
class ConsensusMeter {
 public:
  // Adds scale·v or scale·(v + w), its first `elements` numbers.
  void Add(int64_t elements, double scale, const ParameterVector& v,
           const ParameterVector* w = nullptr);

  int64_t count() const { return count_; }
  double trace() const;
  // Of the first count() vectors.
  ParameterVector Mean(DType dtype) const;

 private:
  int64_t count_ = 0;
  double squares_ = 0;
  std::vector<double> first_;
  std::vector<double> sum_;
};

}  // namespace parley

#endif  // PARLEY_TOOLS_SIM_CONSENSUS_METER_H_
