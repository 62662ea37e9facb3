/* checkpoint.c: a stage of a network of which only the result is kept; see ops.h. What the tape has to do for it
 * (memory, nodes, random streams) is in tape.c. */
#include "tensor/ops.h"

typedef struct stage {
    tensor *out, *x;
    op_stage_fn fn;
    void *user;
    uint64_t streams; /* taken before the stage ran */
} stage;

static void backward(tape *t, void *saved) {
    const stage *s = saved;
    tape_stage_back(t, s->out, s->x, s->fn, s->user, s->streams);
}

tensor *op_checkpoint(tape *t, tensor *x, op_stage_fn fn, void *user) {
    if (x == NULL) {
        return NULL;
    }
    stage value = {.x = x, .fn = fn, .user = user, .streams = tape_streams(t)};
    bool wanted;
    value.out = tape_stage_run(t, x, fn, user, &wanted);
    if (value.out == NULL || !wanted) {
        return value.out;
    }
    stage *s = tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = value;
    tape_record(t, value.out, backward, s);
    return value.out;
}

tensor *op_stage(tape *t, tensor *x, op_stage_fn fn, void *user) {
    return x == NULL ? NULL : tape_stage_keep(t, x, fn, user);
}
