// Chooses among the instruction sets that the kernels are compiled for.
#include "common/kernels/kernels.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/kernels/kernel_tables.h"

namespace parley {
namespace {

// The best first.
constexpr const KernelTables* kSets[] = {&kAvx512Kernels, &kAvx2Kernels,
                                         &kBaselineKernels};

const KernelTables& Choose() {
  const char* wanted = std::getenv("PARLEY_ISA");
  const bool any = wanted == nullptr || *wanted == '\0';
  for (const KernelTables* set : kSets) {
    if (!any && std::strcmp(wanted, set->name) != 0) continue;
    if (CpuSupports(set->name)) {
      set->prepare();
      return *set;
    }
    if (any) continue;
    std::fprintf(stderr,
                 "PARLEY_ISA=%s: this CPU does not have it. Unset it to let "
                 "the program choose.\n",
                 wanted);
    std::exit(2);
  }
  std::fprintf(stderr,
               "PARLEY_ISA=%s is unknown; it may be baseline, avx2 or avx512. "
               "Unset it to let the program choose.\n",
               wanted);
  std::exit(2);
}

const KernelTables& Chosen() {
  static const KernelTables& chosen = Choose();
  return chosen;
}

}  // namespace

bool CpuSupports(const char* name) {
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (std::strcmp(name, "baseline") == 0) return true;
  if (std::strcmp(name, "avx2") == 0) return avx2;
  if (std::strcmp(name, "avx512") == 0) {
    return avx2 && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
  }
  return false;
}

template <typename T>
const Kernels<T>& KernelsFor() {
  if constexpr (sizeof(T) == sizeof(float)) {
    return Chosen().float32;
  } else {
    return Chosen().float64;
  }
}
template const Kernels<float>& KernelsFor<float>();
template const Kernels<double>& KernelsFor<double>();

const Bfloat16Kernels& Bfloat16KernelsForCpu() { return Chosen().bfloat16; }
StreamCopy StreamCopyForCpu() { return Chosen().stream_copy; }

const char* InstructionSet() { return Chosen().name; }

}  // namespace parley
