/* bench_parity.c: hidden states of a whole checkpoint against those of another implementation.
 * Usage: bench_parity CHECKPOINT VECTORS [f32|bf16|int8]
 * VECTORS is a safetensors file with "input" [1,n] and "hidden.0", "hidden.1", ... of the other implementation, and perhaps
 * "exact.0", ... of the same in double. Prints for each hidden state the largest error over the largest value: ours against
 * theirs, and both against the exact ones. tests/torch/compare_wav2vec2.py makes both files and runs this. */
#include "frontend/dialect.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(spoor_status status, const spoor_error *err) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "%s\n", err->message);
        exit((int)status);
    }
}

static float *floats(const safetensors *file, const char *kind, int64_t i, size_t *count) {
    char name[40];
    snprintf(name, sizeof name, i < 0 ? "%s" : "%s.%d", kind, (int)i);
    const safetensors_tensor *t = safetensors_find(file, name);
    if (t == NULL) {
        return NULL;
    }
    float *v = malloc((t->count + 1) * sizeof *v);
    if (v != NULL) {
        safetensors_to_f32(t, v);
        *count = t->count;
    }
    return v;
}

static double error_of(const float *got, const float *want, size_t n) {
    double worst = 0, top = 0;
    for (size_t i = 0; i < n; i++) {
        double e = fabs((double)got[i] - (double)want[i]);
        worst = e <= worst ? worst : e;
        top = fabs((double)want[i]) > top ? fabs((double)want[i]) : top;
    }
    return worst / top;
}

static int compare(const encoder *e, tensor *const *hidden, const safetensors *file) {
    double most = 0;
    for (int64_t i = 0; i <= encoder_last(e); i++) {
        size_t n = 0, m = 0;
        float *theirs = floats(file, "hidden", i, &n), *exact = floats(file, "exact", i, &m);
        if (theirs == NULL || n != (size_t)tensor_count(hidden[i]) || (exact != NULL && m != n)) {
            fprintf(stderr, "hidden state %d is missing or of another size\n", (int)i);
            return 1;
        }
        double between = error_of(hidden[i]->data, theirs, n);
        most = between <= most ? most : between;
        printf("%3d  ours to theirs %.2e", (int)i, between);
        if (exact != NULL) {
            printf("   to exact: ours %.2e, theirs %.2e", error_of(hidden[i]->data, exact, n), error_of(theirs, exact, n));
        }
        printf("\n");
        free(theirs);
        free(exact);
    }
    printf("largest relative error of a hidden state: %.2e\n", most);
    return 0;
}

static compute_precision precision_named(const char *name) {
    return strcmp(name, "bf16") == 0 ? COMPUTE_BF16 : strcmp(name, "int8") == 0 ? COMPUTE_INT8 : COMPUTE_F32;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: bench_parity CHECKPOINT VECTORS [f32|bf16|int8]\n");
        return 1;
    }
    spoor_error err = {0};
    spoor_context *ctx;
    weights *w;
    safetensors *file;
    dialect *d;
    encoder *e;
    compute *c;
    tape *t;
    tensor *hidden[ENCODER_MAX_LAYERS + 1];
    check(spoor_context_new(NULL, &ctx, &err), &err);
    check(weights_open(ctx, argv[1], &w, &err), &err);
    check(safetensors_open(ctx, argv[2], &file, &err), &err);
    check(dialect_find(ctx, w, &d, &err), &err);
    encoder_sizes sizes = *dialect_sizes(d);
    printf("%s, %s names, %d layers of %d columns\n", weights_format(w), dialect_name(d), (int)sizes.layers,
           (int)sizes.width);
    dialect_free(d);
    check(encoder_new(ctx, &sizes, sizes.layers, "", false, 0, &e, &err), &err);
    check(encoder_load(e, w, precision_named(argc > 3 ? argv[3] : "f32"), &err), &err);
    weights_free(w);
    check(compute_new(ctx, 1, &c, &err), &err);
    check(tape_new(ctx, c, &t, &err), &err);
    tape_begin(t, false, false, 0);
    const safetensors_tensor *shape = safetensors_find(file, "input");
    size_t n = 0;
    float *input = floats(file, "input", -1, &n);
    if (input == NULL) {
        fprintf(stderr, "%s has no input\n", argv[2]);
        return 1;
    }
    encoder_forward(e, t, tape_view(t, shape->rank, shape->shape, input), 0, NULL, hidden);
    check(tape_status(t, &err), &err);
    int result = compare(e, hidden, file);
    free(input);
    tape_free(t);
    compute_free(c);
    encoder_free(e);
    safetensors_free(file);
    spoor_context_free(ctx);
    return result;
}
