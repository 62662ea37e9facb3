/* kernels_avx2.c: the kernels of kernels_body.h compiled for avx2 (flags in CMakeLists.txt). */
#include "tensor/kernels.h"
extern const kernels kernels_avx2;
#define KERNELS_TABLE kernels_avx2
#define KERNELS_NAME "avx2"
#include "tensor/kernels_body.h"
