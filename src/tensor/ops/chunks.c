/* chunks.c: see chunks.h. */
#include "tensor/ops/chunks.h"

typedef struct job {
    const kernels *k;
    chunk_fn fn;
    void *arg;
    int64_t n, size;
} job;

static void run_item(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    const job *j = arg;
    int64_t begin = item * j->size;
    int64_t end = j->n - begin < j->size ? j->n : begin + j->size;
    j->fn(j->k, j->arg, begin, end);
}

void chunks_run(tape *t, int64_t n, int64_t size, chunk_fn fn, void *arg) {
    if (n > 0) {
        job j = {tape_kernels(t), fn, arg, n, size};
        compute_for(tape_compute(t), (n + size - 1) / size, run_item, &j);
    }
}

int64_t chunks_rows(int64_t cols) {
    return cols <= 0 || cols >= CHUNK_ELEMENTS ? 1 : CHUNK_ELEMENTS / cols;
}
