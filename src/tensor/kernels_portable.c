/* kernels_portable.c: the kernels of kernels_body.h compiled for portable (flags in CMakeLists.txt). */
#include "tensor/kernels.h"
extern const kernels kernels_portable;
#define KERNELS_TABLE kernels_portable
#define KERNELS_NAME "portable"
#include "tensor/kernels_body.h"
