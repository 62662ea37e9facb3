/* kernels_avx512.c: the kernels of kernels_body.h compiled for avx512 (flags in CMakeLists.txt). */
#include "tensor/kernels.h"
extern const kernels kernels_avx512;
#define KERNELS_TABLE kernels_avx512
#define KERNELS_NAME "avx512"
#include "tensor/kernels_body.h"
