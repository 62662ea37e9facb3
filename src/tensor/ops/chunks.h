/* chunks.h: loops over long arrays and many rows, cut into items of a fixed size for compute_for. */
#ifndef TENSOR_OPS_CHUNKS_H
#define TENSOR_OPS_CHUNKS_H
#include "tensor/tape.h"

/* fn is called for [begin, end) pieces of 0 .. n-1, each of at most `size`; in parallel, in no order. */
typedef void (*chunk_fn)(const kernels *k, void *arg, int64_t begin, int64_t end);
void chunks_run(tape *t, int64_t n, int64_t size, chunk_fn fn, void *arg);
enum { CHUNK_ELEMENTS = 32768 }; /* a size for elementwise work: long enough to be worth handing out */

/* How many rows of `cols` values make a piece of about CHUNK_ELEMENTS; at least 1. */
int64_t chunks_rows(int64_t cols);
#endif
