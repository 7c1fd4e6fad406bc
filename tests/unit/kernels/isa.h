// The kernels of every instruction set that this machine has, for tests that
// compare each with plain loops.
#ifndef PARLEY_TESTS_UNIT_KERNELS_ISA_H_
#define PARLEY_TESTS_UNIT_KERNELS_ISA_H_

#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <vector>

#include "common/base/random.h"
#include "common/kernels/kernel_tables.h"

namespace parley {

inline std::vector<const KernelTables*> SupportedTables() {
  std::vector<const KernelTables*> tables;
  for (const KernelTables* t :
       {&kBaselineKernels, &kAvx2Kernels, &kAvx512Kernels}) {
    if (CpuSupports(t->name)) tables.push_back(t);
  }
  return tables;
}

class IsaTest : public testing::TestWithParam<const KernelTables*> {
 protected:
  IsaTest() { GetParam()->prepare(); }

  template <typename T>
  const Kernels<T>& K() const {
    if constexpr (std::is_same_v<T, float>) {
      return GetParam()->float32;
    } else {
      return GetParam()->float64;
    }
  }

  Rng rng_{7, "kernels"};
};

inline std::string IsaName(
    const testing::TestParamInfo<const KernelTables*>& info) {
  return info.param->name;
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_KERNELS_ISA_H_
