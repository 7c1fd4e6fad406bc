#define PARLEY_ISA_NAME "avx2"
#define PARLEY_ISA_TABLES kAvx2Kernels
// A namespace of its own: the linker must not swap functions between sets.
#define Eigen EigenAvx2
#include "common/kernels/kernels_impl.inc"
