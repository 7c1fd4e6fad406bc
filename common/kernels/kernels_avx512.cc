#define PARLEY_ISA_NAME "avx512"
#define PARLEY_ISA_TABLES kAvx512Kernels
// A namespace of its own: the linker must not swap functions between sets.
#define Eigen EigenAvx512
#include "common/kernels/kernels_impl.inc"
