#define PARLEY_ISA_NAME "baseline"
#define PARLEY_ISA_TABLES kBaselineKernels
// A namespace of its own: the linker must not swap functions between sets.
#define Eigen EigenBaseline
#include "common/kernels/kernels_impl.inc"
