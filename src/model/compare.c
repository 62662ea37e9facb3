/* compare.c: the part of a model file that compares recordings with each other ("verify" of the metadata); see
 * model.h. */
#include "model/compare.h"
#include <stdio.h>
#include <string.h>

#define WHITENED OPENSET_BIT(OPENSET_MAHALANOBIS)

const openset_stats *model_space(const spoor_model *m) {
    if (m->verify.calibrated && m->verify.space == VERIFY_COSINE) {
        return NULL;
    }
    return m->verify_stats != NULL ? m->verify_stats : verify_whitens(m->openset_stats) ? m->openset_stats : NULL;
}

/* "openset.factor", as statistics.h calls it, is "verify.factor" here. */
void model_verify_name(const char *name, char out[MODEL_VERIFY_NAME]) {
    (void)snprintf(out, MODEL_VERIFY_NAME, "verify.%s", strncmp(name, "openset.", 8) == 0 ? name + 8 : name);
}

typedef struct renamed {
    openset_read_fn read;
    void *user;
} renamed;

static spoor_status read_renamed(void *user, const char *name, int rank, const int64_t *shape, float *out,
                                 spoor_error *err) {
    const renamed *r = user;
    char own[MODEL_VERIFY_NAME];
    model_verify_name(name, own);
    return r->read(r->user, own, rank, shape, out, err);
}

spoor_status model_read_verify(spoor_model *m, size_t numel, openset_read_fn read, void *user, spoor_error *err) {
    const json_t *json = json_object_get(m->meta, "verify");
    verify_init(&m->verify);
    if (json == NULL) {
        return SPOOR_OK;
    }
    TRY(verify_from_json(json, &m->verify, err));
    if (m->verify.space == VERIFY_OWN) {
        renamed r = {read, user};
        return openset_stats_read(m->ctx, json_object_get(json, "statistics"), WHITENED,
                                  (size_t)net_embedding_size(m->net), numel, read_renamed, &r, &m->verify_stats, err);
    }
    return SPOOR_OK;
}

bool model_is_verify_tensor(const spoor_model *m, const char *name) {
    openset_tensor t[OPENSET_MAX_TENSORS];
    size_t n = m->verify_stats == NULL ? 0 : openset_tensors(m->verify_stats, WHITENED, t);
    for (size_t i = 0; i < n; i++) {
        char own[MODEL_VERIFY_NAME];
        model_verify_name(t[i].name, own);
        if (strcmp(own, name) == 0) {
            return true;
        }
    }
    return false;
}
