// The kernels of each instruction set, for kernels.cc to choose from and for
// tests to compare. Everyone else uses kernels.h.
#ifndef PARLEY_COMMON_KERNELS_KERNEL_TABLES_H_
#define PARLEY_COMMON_KERNELS_KERNEL_TABLES_H_

#include "common/kernels/kernels.h"

namespace parley {

struct KernelTables {
  const char* name;
  // To be called once, before the first kernel.
  void (*prepare)();
  Kernels<float> float32;
  Kernels<double> float64;
  StreamCopy stream_copy;
  Bfloat16Kernels bfloat16;
};

extern const KernelTables kBaselineKernels;
extern const KernelTables kAvx2Kernels;
extern const KernelTables kAvx512Kernels;

// Whether this machine can run the set of that name; false for unknown names.
bool CpuSupports(const char* name);

}  // namespace parley

#endif  // PARLEY_COMMON_KERNELS_KERNEL_TABLES_H_
