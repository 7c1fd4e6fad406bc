// Arithmetic on whole parameter vectors. All of one call have the same dtype
// and, unless said, length. Weights are rounded to the dtype first.
#ifndef PARLEY_CLIENT_GOSSIP_VECTORS_H_
#define PARLEY_CLIENT_GOSSIP_VECTORS_H_

#include <cstdint>
#include <memory>

#include "common/kernels/kernels.h"
#include "common/model/parameters.h"

namespace parley {

// Whether nobody else holds the numbers, so that they may be written to: what
// others did with them has happened before.
bool HeldAlone(const std::shared_ptr<ParameterVector>& numbers);

void SetZero(ParameterVector* y);
// y = x; y may be longer or shorter: the first elements of both.
void CopyInto(const ParameterVector& x, ParameterVector* y);
void AddScaled(double w, const ParameterVector& x, ParameterVector* y);
// y += w·(a − b): exactly the negative of what it is with a and b exchanged.
void AddDifference(double w, const ParameterVector& a, const ParameterVector& b,
                   ParameterVector* y);
// y = w·x, and y = (a + b) + c.
void ScaleInto(double w, const ParameterVector& x, ParameterVector* y);
void AddUp(const ParameterVector& a, const ParameterVector& b,
           const ParameterVector& c, ParameterVector* y);
void ScaleBy(double w, ParameterVector* y);
// y −= w·x with w·x rounded first: 0 where y is that.
void SubtractRounded(double w, const ParameterVector& x, ParameterVector* y);

// The elements begin..end−1 of `x`, and those of `y` from to_begin on.
void AddRange(const ParameterVector& x, int64_t begin, int64_t end,
              ParameterVector* y, int64_t to_begin);
void CopyRange(const ParameterVector& x, int64_t begin, int64_t end,
               ParameterVector* y, int64_t to_begin);

// In double, in one pass.
Comparison Compare(double v, const ParameterVector& a, double w,
                   const ParameterVector& b);
double SumOf(const ParameterVector& x);  // in double

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_VECTORS_H_
