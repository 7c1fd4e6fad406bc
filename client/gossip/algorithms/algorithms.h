// The algorithms that there are, each in a file of its name.
#ifndef PARLEY_CLIENT_GOSSIP_ALGORITHMS_ALGORITHMS_H_
#define PARLEY_CLIENT_GOSSIP_ALGORITHMS_ALGORITHMS_H_

#include <cstdint>
#include <memory>

#include "client/gossip/algorithms/algorithm.h"

namespace parley {

// d_sgd; with `combine` also what push_sum and exact_average do.
std::unique_ptr<Algorithm> MakeDSgd(const AlgorithmOptions& options,
                                    DType dtype, int64_t elements);
std::unique_ptr<Algorithm> MakeAdPsgd(const AlgorithmOptions& options,
                                      DType dtype, int64_t elements);
std::unique_ptr<Algorithm> MakeDecentLam(const AlgorithmOptions& options,
                                         DType dtype, int64_t elements);
std::unique_ptr<Algorithm> MakeGradientTracking(const AlgorithmOptions& options,
                                                DType dtype, int64_t elements);
std::unique_ptr<Algorithm> MakeChoco(const AlgorithmOptions& options, int self,
                                     DType dtype, int64_t elements);
std::unique_ptr<Algorithm> MakeD2(const AlgorithmOptions& options, DType dtype,
                                  int64_t elements);

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_ALGORITHMS_ALGORITHMS_H_
