/* compute_product_onednn.c: see compute_product.h. By oneDNN weights lie in the layout that it asks for at PACK_ROWS rows,
 * which it then takes for any number of rows (brgemm); a primitive is made for a shape when it first comes by. Floats
 * lie in the strips of kernels_product.h, and where there is AMX the others in the tiles of product_amx.h. */
#include "tensor/compute_product.h"
#include "tensor/kernels.h"
#include "tensor/product_amx.h"
#ifndef SPOOR_DOUBLE
#include <oneapi/dnnl/dnnl.h>
#include <string.h>

enum {
    PACK_ROWS = 256,
    ROW_STEP = 8,             /* rows of a product by oneDNN */
    CACHE_SIZE = 96,          /* primitives kept by a worker; the one not used for longest makes room */
    ALIGNMENT = 64
};

int omp_get_max_threads(void);
void omp_set_num_threads(int n);

/* oneDNN threads with OpenMP; see compute_onednn.c. */
static int one_thread(void) {
    int before = omp_get_max_threads();
    if (before != 1) {
        omp_set_num_threads(1);
    }
    return before;
}

static void threads_back(int before) {
    if (before != 1) {
        omp_set_num_threads(before);
    }
}

bool product_native(product_kind kind) {
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa(), amx = (unsigned)dnnl_cpu_isa_avx512_core_amx;
    if (kind != PRODUCT_F32 && (isa & amx) == amx) { /* ours or none: there oneDNN chooses by the number of rows */
        return amx_ready();
    }
    unsigned need = kind == PRODUCT_BF16 ? (unsigned)dnnl_cpu_isa_avx512_core_bf16
                    : kind == PRODUCT_INT8 ? (unsigned)dnnl_cpu_isa_avx512_core_vnni
                                           : 0;
    return (isa & need) == need;
}

bool product_has_heads(void) {
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
    return (isa & (unsigned)dnnl_cpu_isa_avx512_core) == (unsigned)dnnl_cpu_isa_avx512_core;
}

static spoor_status failed(dnnl_status_t status, const char *what, spoor_error *err) {
    if (status == dnnl_out_of_memory) {
        return error_memory(err, what);
    }
    return error_set(err, SPOOR_ERR_LIMIT, "oneDNN refuses %s (its status %d): another version than 2.6 may be "
                                           "installed",
                     what, (int)status);
}

#define DNNL_TRY(expr, what)                       \
    do {                                           \
        dnnl_status_t dnnl_try_ = (expr);          \
        if (dnnl_try_ != dnnl_success) {           \
            status = failed(dnnl_try_, what, err); \
            goto done;                             \
        }                                          \
    } while (0)

static const struct {
    dnnl_data_type_t in, weight, out;
} TYPES[] = {{dnnl_f32, dnnl_f32, dnnl_f32}, {dnnl_bf16, dnnl_bf16, dnnl_f32}, {dnnl_u8, dnnl_s8, dnnl_s32}};

/* ---- weights ---- */

struct product_weight {
    spoor_context *ctx;
    product_kind kind;
    int64_t n, k;
    const kernels *kernels; /* whose strips these are; NULL: none */
    bool amx;               /* these are its tiles */
    void *own;              /* strips or tiles, in the caller's room */
    dnnl_engine_t engine;   /* else oneDNN's */
    dnnl_memory_desc_t layout;
    dnnl_memory_t memory; /* NULL until it is filled */
    size_t bytes;
};

/* The description of x[m,k] W -> y[m,n]; w: the layout of the weights. */
static dnnl_status_t describe(dnnl_engine_t engine, product_kind kind, int64_t m, int64_t n, int64_t k,
                              const dnnl_memory_desc_t *w, bool add, dnnl_primitive_desc_t *out) {
    dnnl_memory_desc_t x, y;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t post = NULL;
    dnnl_status_t s = dnnl_memory_desc_init_by_tag(&x, 2, (dnnl_dims_t){m, k}, TYPES[kind].in, dnnl_ab);
    s = s != dnnl_success ? s : dnnl_memory_desc_init_by_tag(&y, 2, (dnnl_dims_t){m, n}, TYPES[kind].out, dnnl_ab);
    s = s != dnnl_success ? s : dnnl_matmul_desc_init(&matmul, &x, w, NULL, &y);
    s = s != dnnl_success ? s : dnnl_primitive_attr_create(&attr);
    s = s != dnnl_success ? s : dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (add) {
        s = s != dnnl_success ? s : dnnl_post_ops_create(&post);
        s = s != dnnl_success ? s : dnnl_post_ops_append_sum(post, 1.0f);
        s = s != dnnl_success ? s : dnnl_primitive_attr_set_post_ops(attr, post);
    }
    s = s != dnnl_success ? s : dnnl_primitive_desc_create(out, &matmul, attr, engine, NULL);
    (void)dnnl_post_ops_destroy(post);
    (void)dnnl_primitive_attr_destroy(attr);
    return s;
}

/* Copies w into the layout of p. */
static spoor_status lay_out(product_weight *p, const void *w, spoor_error *err) {
    spoor_status status = SPOOR_OK;
    static const char *const what = "laying out weights";
    dnnl_memory_desc_t plain;
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t reorder_desc = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_stream_t stream = NULL;
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&plain, 2, (dnnl_dims_t){p->k, p->n}, TYPES[p->kind].weight, dnnl_ba), what);
    DNNL_TRY(dnnl_memory_create(&from, &plain, p->engine, (void *)(uintptr_t)w), what);
    DNNL_TRY(dnnl_reorder_primitive_desc_create(&reorder_desc, &plain, p->engine, &p->layout, p->engine, NULL), what);
    DNNL_TRY(dnnl_primitive_create(&reorder, reorder_desc), what);
    DNNL_TRY(dnnl_stream_create(&stream, p->engine, dnnl_stream_default_flags), what);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, p->memory}};
    DNNL_TRY(dnnl_primitive_execute(reorder, stream, 2, args), what);
    DNNL_TRY(dnnl_stream_wait(stream), what);
done:
    (void)dnnl_stream_destroy(stream);
    (void)dnnl_primitive_destroy(reorder);
    (void)dnnl_primitive_desc_destroy(reorder_desc);
    (void)dnnl_memory_destroy(from);
    return status;
}

static int64_t strips_of(int64_t n) { return (n + KERNELS_STRIP - 1) / KERNELS_STRIP; }

static void lay_strips(product_weight *p, const float *w) {
    for (int64_t o = 0; o < strips_of(p->n) * KERNELS_STRIP; o++) {
        float *to = (float *)p->own + o / KERNELS_STRIP * p->k * KERNELS_STRIP + o % KERNELS_STRIP;
        for (int64_t i = 0; i < p->k; i++) {
            to[i * KERNELS_STRIP] = o < p->n ? w[o * p->k + i] : 0;
        }
    }
}

spoor_status product_weight_new(spoor_context *ctx, product_kind kind, int64_t n, int64_t k, product_weight **out,
                                spoor_error *err) {
    static const char *const what = "laying out weights";
    *out = NULL;
    product_weight *p = ctx_calloc(ctx, 1, sizeof *p);
    if (p == NULL) {
        return error_memory(err, what);
    }
    *p = (product_weight){.ctx = ctx, .kind = kind, .n = n, .k = k};
    if (kind == PRODUCT_F32) {
        p->kernels = kernels_choose();
        p->bytes = (size_t)strips_of(n) * (size_t)k * KERNELS_STRIP * sizeof(float);
        *out = p;
        return SPOOR_OK;
    }
    if (amx_ready()) {
        p->amx = true;
        p->bytes = amx_weight_bytes(kind, n, k);
        *out = p;
        return SPOOR_OK;
    }
    spoor_status status = SPOOR_OK;
    dnnl_memory_desc_t any;
    dnnl_primitive_desc_t desc = NULL;
    int before = one_thread();
    DNNL_TRY(dnnl_engine_create(&p->engine, dnnl_cpu, 0), what);
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&any, 2, (dnnl_dims_t){k, n}, TYPES[kind].weight, dnnl_format_tag_any), what);
    DNNL_TRY(describe(p->engine, kind, PACK_ROWS, n, k, &any, false, &desc), what);
    p->layout = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
    p->bytes = dnnl_memory_desc_get_size(&p->layout);
done:
    (void)dnnl_primitive_desc_destroy(desc);
    threads_back(before);
    if (status != SPOOR_OK) {
        product_weight_free(p);
        return status;
    }
    *out = p;
    return SPOOR_OK;
}

spoor_status product_weight_fill(product_weight *p, const void *w, void *room, spoor_error *err) {
    p->own = room;
    if (p->kernels != NULL) {
        lay_strips(p, w);
        return SPOOR_OK;
    }
    if (p->amx) {
        amx_weight_lay(p->kind, p->n, p->k, w, room);
        return SPOOR_OK;
    }
    spoor_status status = SPOOR_OK;
    int before = one_thread();
    DNNL_TRY(dnnl_memory_create(&p->memory, &p->layout, p->engine, room), "laying out weights");
    status = lay_out(p, w, err);
done:
    threads_back(before);
    return status;
}

void product_weight_free(product_weight *w) {
    if (w != NULL) {
        (void)dnnl_memory_destroy(w->memory);
        (void)dnnl_engine_destroy(w->engine);
        ctx_free(w->ctx, w);
    }
}

size_t product_weight_bytes(const product_weight *w) { return w->bytes; }
bool product_own(const product_weight *w) { return w->kernels != NULL || w->amx; }
int64_t product_row_step(const product_weight *w) { return product_own(w) ? 1 : ROW_STEP; }

/* ---- primitives ---- */

typedef struct shape {
    enum { PLAIN, PLAIN_ADD, SCORES, VALUES } form;
    product_kind kind;
    int64_t m, n, k, heads; /* m = 0: none */
} shape;

typedef struct cached {
    shape shape;
    uint64_t used; /* when, counted in products */
    dnnl_primitive_t primitive;
    dnnl_memory_t x, w, y, scratch; /* w is not used where weights were laid out */
    void *scratch_block;
} cached;

struct product_cache {
    spoor_context *ctx;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    uint64_t products;
    void *rows_block; /* of rows that were brought for a product of our own: rows_room bytes from `rows` on */
    void *rows;
    size_t rows_room;
    int64_t laid;     /* how many they are */
    bool shifts;     /* laid out so */
    cached items[CACHE_SIZE];
};

spoor_status product_cache_new(spoor_context *ctx, product_cache **out, spoor_error *err) {
    static const char *const what = "starting matrix products";
    *out = NULL;
    product_cache *c = ctx_calloc(ctx, 1, sizeof *c);
    if (c == NULL) {
        return error_memory(err, what);
    }
    c->ctx = ctx;
    spoor_status status = SPOOR_OK;
    DNNL_TRY(dnnl_engine_create(&c->engine, dnnl_cpu, 0), what);
    DNNL_TRY(dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags), what);
    *out = c;
    return SPOOR_OK;
done:
    product_cache_free(c);
    return status;
}

static void forget(product_cache *c, cached *item) {
    (void)dnnl_memory_destroy(item->scratch);
    (void)dnnl_memory_destroy(item->y);
    (void)dnnl_memory_destroy(item->w);
    (void)dnnl_memory_destroy(item->x);
    (void)dnnl_primitive_destroy(item->primitive);
    ctx_free(c->ctx, item->scratch_block);
    memset(item, 0, sizeof *item);
}

void product_cache_free(product_cache *c) {
    if (c != NULL) {
        for (int i = 0; i < CACHE_SIZE; i++) {
            forget(c, &c->items[i]);
        }
        (void)dnnl_stream_destroy(c->stream);
        (void)dnnl_engine_destroy(c->engine);
        ctx_free(c->ctx, c->rows_block);
        ctx_free(c->ctx, c);
    }
}

static spoor_status make_scratch(product_cache *c, const_dnnl_primitive_desc_t desc, cached *item, spoor_error *err) {
    static const char *const what = "preparing a matrix product";
    spoor_status status = SPOOR_OK;
    const dnnl_memory_desc_t *layout = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    size_t bytes = dnnl_memory_desc_get_size(layout);
    unsigned char *start = NULL;
    if (bytes > 0) {
        item->scratch_block = ctx_alloc(c->ctx, bytes + ALIGNMENT, 1);
        if (item->scratch_block == NULL) {
            return error_memory(err, what);
        }
        start = (unsigned char *)item->scratch_block + (ALIGNMENT - (uintptr_t)item->scratch_block % ALIGNMENT);
    }
    DNNL_TRY(dnnl_memory_create(&item->scratch, layout, c->engine, start), what);
done:
    return status;
}

/* x[m,k] w[k,n] -> y[m,n] of each head. Heads lie side by side in q, k, v and y, one after the other in the scores. */
static dnnl_status_t describe_heads(dnnl_engine_t engine, const shape *p, dnnl_primitive_desc_t *out) {
    int64_t h = p->heads, m = p->m, n = p->n, k = p->k, wide = h * (p->form == SCORES ? k : n);
    dnnl_memory_desc_t x, w, y;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_dims_t beside_x = {m * wide, k, wide, 1}, apart_x = {h * m * k, m * k, k, 1};
    dnnl_dims_t turned_w = {n * wide, k, 1, wide}, beside_w = {k * wide, n, wide, 1};
    dnnl_dims_t beside_y = {m * wide, n, wide, 1}, apart_y = {h * m * n, m * n, n, 1};
    bool scores = p->form == SCORES;
    dnnl_status_t s = dnnl_memory_desc_init_by_strides(&x, 4, (dnnl_dims_t){1, h, m, k}, TYPES[p->kind].in,
                                                       scores ? beside_x : apart_x);
    s = s != dnnl_success ? s
                          : dnnl_memory_desc_init_by_strides(&w, 4, (dnnl_dims_t){1, h, k, n}, TYPES[p->kind].weight,
                                                             scores ? turned_w : beside_w);
    s = s != dnnl_success ? s : dnnl_memory_desc_init_by_strides(&y, 4, (dnnl_dims_t){1, h, m, n}, dnnl_f32,
                                                                 scores ? apart_y : beside_y);
    s = s != dnnl_success ? s : dnnl_matmul_desc_init(&matmul, &x, &w, NULL, &y);
    s = s != dnnl_success ? s : dnnl_primitive_attr_create(&attr);
    s = s != dnnl_success ? s : dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    s = s != dnnl_success ? s : dnnl_primitive_desc_create(out, &matmul, attr, engine, NULL);
    (void)dnnl_primitive_attr_destroy(attr);
    return s;
}

/* layout: of weights that were laid out, for the plain forms. */
static spoor_status make(product_cache *c, const dnnl_memory_desc_t *layout, cached *item, spoor_error *err) {
    static const char *const what = "preparing a matrix product";
    spoor_status status = SPOOR_OK;
    const shape *p = &item->shape;
    dnnl_primitive_desc_t desc = NULL;
    if (layout != NULL) {
        DNNL_TRY(describe(c->engine, p->kind, p->m, p->n, p->k, layout, p->form == PLAIN_ADD, &desc), what);
    } else {
        DNNL_TRY(describe_heads(c->engine, p, &desc), what);
        DNNL_TRY(
            dnnl_memory_create(&item->w, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0), c->engine, NULL),
            what);
    }
    DNNL_TRY(dnnl_primitive_create(&item->primitive, desc), what);
    DNNL_TRY(dnnl_memory_create(&item->x, dnnl_primitive_desc_query_md(desc, dnnl_query_src_md, 0), c->engine, NULL),
             what);
    DNNL_TRY(dnnl_memory_create(&item->y, dnnl_primitive_desc_query_md(desc, dnnl_query_dst_md, 0), c->engine, NULL),
             what);
    status = make_scratch(c, desc, item, err);
done:
    (void)dnnl_primitive_desc_destroy(desc);
    return status;
}

static bool same(const shape *a, const shape *b) {
    return a->m == b->m && a->n == b->n && a->k == b->k && a->kind == b->kind && a->form == b->form &&
           a->heads == b->heads;
}

static spoor_status find(product_cache *c, const shape *wanted, const dnnl_memory_desc_t *layout, cached **out,
                         spoor_error *err) {
    cached *oldest = &c->items[0];
    for (int i = 0; i < CACHE_SIZE; i++) {
        cached *p = &c->items[i];
        if (same(&p->shape, wanted)) {
            *out = p;
            return SPOOR_OK;
        }
        oldest = p->used < oldest->used ? p : oldest;
    }
    forget(c, oldest);
    oldest->shape = *wanted;
    spoor_status status = make(c, layout, oldest, err);
    if (status != SPOOR_OK) {
        forget(c, oldest);
        return status;
    }
    *out = oldest;
    return SPOOR_OK;
}

/* w: laid out (NULL: plain numbers at `plain`). */
static spoor_status run(product_cache *c, const shape *wanted, const product_weight *w, const void *x,
                        const void *plain, void *y, spoor_error *err) {
    static const char *const what = "a matrix product";
    cached *p;
    int before = one_thread();
    spoor_status status = find(c, wanted, w == NULL ? NULL : &w->layout, &p, err);
    if (status == SPOOR_OK) {
        p->used = ++c->products;
        DNNL_TRY(dnnl_memory_set_data_handle(p->x, (void *)(uintptr_t)x), what);
        DNNL_TRY(dnnl_memory_set_data_handle(p->y, y), what);
        if (w == NULL) {
            DNNL_TRY(dnnl_memory_set_data_handle(p->w, (void *)(uintptr_t)plain), what);
        }
        dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, p->x}, {DNNL_ARG_WEIGHTS, w == NULL ? p->w : w->memory},
                                  {DNNL_ARG_DST, p->y}, {DNNL_ARG_SCRATCHPAD, p->scratch}};
        DNNL_TRY(dnnl_primitive_execute(p->primitive, c->stream, 4, args), what);
        DNNL_TRY(dnnl_stream_wait(c->stream), what);
    }
done:
    threads_back(before);
    return status;
}

static size_t rows_bytes(const product_weight *w, int64_t m) {
    return w->amx ? amx_rows_bytes(w->kind, m, w->k) : (size_t)w->kernels->strips_room(m, w->k) * sizeof(float);
}

spoor_status product_bring(product_cache *c, const product_weight *w, int64_t rows, bool shifts, const void *x,
                           int64_t ldx, spoor_error *err) {
    size_t need = rows_bytes(w, rows);
    if (c->rows_room < need) {
        ctx_free(c->ctx, c->rows_block);
        c->rows_room = 0;
        c->rows_block = ctx_alloc(c->ctx, need + ALIGNMENT, 1);
        if (c->rows_block == NULL) {
            return error_memory(err, "a matrix product");
        }
        c->rows = (unsigned char *)c->rows_block + (ALIGNMENT - (uintptr_t)c->rows_block % ALIGNMENT);
        c->rows_room = need;
    }
    c->laid = rows;
    c->shifts = shifts;
    if (w->amx) {
        amx_rows_lay(w->kind, rows, w->k, x, ldx, c->rows);
    } else {
        w->kernels->strips_rows(rows, w->k, shifts, x, ldx, c->rows);
    }
    return SPOOR_OK;
}

void product_run_own(product_cache *c, const product_weight *w, int64_t first, int64_t m, void *y, int64_t ldy,
                     bool add) {
    if (w->amx) {
        amx_product(w->kind, first, m, w->n, w->k, c->rows, w->own, add, y, ldy);
    } else if (c->shifts) {
        w->kernels->strips_shifted(m, w->n, w->k, c->laid, first, c->rows, w->own, add, y, ldy);
    } else {
        w->kernels->strips(c->laid, w->n, w->k, c->rows, w->own, add, y, ldy);
    }
}

spoor_status product_run(product_cache *c, const product_weight *w, int64_t m, const void *x, void *y, bool add,
                         spoor_error *err) {
    shape wanted = {add ? PLAIN_ADD : PLAIN, w->kind, m, w->n, w->k, 0};
    return run(c, &wanted, w, x, NULL, y, err);
}

spoor_status product_scores(product_cache *c, product_kind kind, int64_t heads, int64_t rows, int64_t frames,
                            int64_t size, const void *q, const void *k, float *s, spoor_error *err) {
    shape wanted = {SCORES, kind, rows, frames, size, heads};
    return run(c, &wanted, NULL, q, k, s, err);
}

spoor_status product_values(product_cache *c, product_kind kind, int64_t heads, int64_t rows, int64_t frames,
                            int64_t size, const void *s, const void *v, float *y, spoor_error *err) {
    shape wanted = {VALUES, kind, rows, size, frames, heads};
    return run(c, &wanted, NULL, s, v, y, err);
}
#endif
