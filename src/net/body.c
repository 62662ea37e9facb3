/* body.c: see body.h. */
#include "net/body.h"

typedef struct body_class {
    const char *const *keys;
    spoor_status (*configure)(body *b, const json_t *config, int64_t input_dim, spoor_error *err);
    spoor_status (*init)(body *b, params *p, const char *prefix, spoor_error *err);
    tensor *(*forward)(const body *b, tape *t, tensor *features);
    int64_t (*pooled)(const body *b);
    bool (*describe)(const body *b, json_t *out);
} body_class;

/* The five functions of a kind, from those of its own file. */
#define BODY_CLASS(kind)                                                                                               \
    static spoor_status kind##_configure_body(body *b, const json_t *config, int64_t input_dim, spoor_error *err) {    \
        return kind##_configure(&b->as.kind, config, input_dim, err);                                                  \
    }                                                                                                                  \
    static spoor_status kind##_init_body(body *b, params *p, const char *prefix, spoor_error *err) {                   \
        return kind##_init(&b->as.kind, p, prefix, err);                                                               \
    }                                                                                                                  \
    static tensor *kind##_forward_body(const body *b, tape *t, tensor *features) {                                     \
        return kind##_forward(&b->as.kind, t, features);                                                               \
    }                                                                                                                  \
    static int64_t kind##_pooled_body(const body *b) { return b->as.kind.pooled; }                                     \
    static bool kind##_describe_body(const body *b, json_t *out) { return kind##_describe(&b->as.kind, out); }

#define BODY_ROW(kind)                                                                                                 \
    {                                                                                                                  \
        kind##_keys, kind##_configure_body, kind##_init_body, kind##_forward_body, kind##_pooled_body,                 \
            kind##_describe_body                                                                                       \
    }

BODY_CLASS(conformer)
BODY_CLASS(pooled)
BODY_CLASS(aasist)

static const char *const conformer_keys[] = {"pooling",   "stem",   "dim",          "depth",   "heads",     "ff_mult",
                                             "conv_mult", "kernel", "max_distance", "dropout", "attention", NULL};
/* A pooled body may be fitted (net.h): the settings of that are read by net.c. */
static const char *const pooled_keys[] = {"pooling", "neighbours", "hidden", "layers", "logistic", "copies", "humans", "gate", NULL};

static const char *const aasist_keys[] = {
    "input",      "project",     "sinc",          "sinc_kernel",  "first_pool",  "channels",
    "block_pool", "attention",   "preactivation", "graph",        "pool_ratios", "temperatures",
    "dropout",    "way_dropout", "graph_dropout", "pool_dropout", "backends", NULL};

static const body_class CLASSES[BODY_KINDS] = {
    [BODY_CONFORMER] = BODY_ROW(conformer), [BODY_POOLED] = BODY_ROW(pooled), [BODY_AASIST] = BODY_ROW(aasist)};

const char *const *body_keys(body_kind kind) { return CLASSES[kind].keys; }

spoor_status body_configure(body *b, body_kind kind, const json_t *config, int64_t input_dim, spoor_error *err) {
    b->kind = kind;
    return CLASSES[kind].configure(b, config, input_dim, err);
}

spoor_status body_init(body *b, params *p, const char *prefix, spoor_error *err) {
    return CLASSES[b->kind].init(b, p, prefix, err);
}

tensor *body_forward(const body *b, tape *t, tensor *features) { return CLASSES[b->kind].forward(b, t, features); }
int64_t body_pooled(const body *b) { return CLASSES[b->kind].pooled(b); }

bool body_splits(const body *b) { return b->kind == BODY_AASIST && b->as.aasist.split; }

spoor_status body_init_back(body *b, size_t k, params *p, const char *prefix, spoor_error *err) {
    return aasist_init_back(&b->as.aasist, k, p, prefix, err);
}

void body_forward_each(const body *b, tape *t, tensor *features, const bool *wanted, size_t n, tensor **out) {
    aasist_forward_each(&b->as.aasist, t, features, wanted, n, out);
}

bool body_describe(const body *b, json_t *out) { return CLASSES[b->kind].describe(b, out); }
