/* check_files.c: are the recordings there, and can they be used? */
#define _GNU_SOURCE
#include "audio/audio.h"
#include "data/check_internal.h"
#include <unistd.h>

#define MIN_SECONDS 0.5

static spoor_status no_memory(spoor_error *err) { return error_memory(err, "checking files"); }

/* key: "missing", "unreadable" or "short" */
static spoor_status note(check *c, size_t row, const char *key, const char *why, spoor_error *err) {
    json_t *set = c->sets[c->set[row]].json, *list = json_object_get(set, key);
    if (!list && (!(list = json_array()) || !check_put(set, key, list))) {
        return no_memory(err);
    }
    c->faults++;
    return json_array_size(list) >= CHECK_MAX_NAMED || check_put(list, NULL, check_text(c, why)) ? SPOOR_OK
                                                                                                 : no_memory(err);
}

static spoor_status listen(check *c, size_t row, const char *path, spoor_error *err) {
    float *samples = NULL;
    size_t n = 0;
    spoor_error why = {SPOOR_OK, ""};
    spoor_status status = audio_load(c->ctx, path, NULL, &samples, &n, &why);
    ctx_free(c->ctx, samples);
    if (status == SPOOR_ERR_CANCELLED) {
        return error_set(err, status, "%s", why.message);
    }
    if (status != SPOOR_OK) {
        return note(c, row, "unreadable", why.message, err);
    }
    return (double)n < MIN_SECONDS * AUDIO_RATE ? note(c, row, "short", path, err) : SPOOR_OK;
}

static spoor_status look(check *c, size_t row, size_t column, bool audio, spoor_error *err) {
    const char *path = manifest_path(c->m, row);
    if (access(path, R_OK) != 0) {
        TRY(note(c, row, "missing", path, err));
    } else if (audio) {
        TRY(listen(c, row, path, err));
    }
    const char *other = manifest_cell(c->m, row, column); /* of a pair */
    char *joined = *other ? manifest_join(c->m, row, other) : NULL;
    if (*other && !joined) {
        return no_memory(err);
    }
    spoor_status status = joined && access(joined, R_OK) != 0 ? note(c, row, "missing", joined, err) : SPOOR_OK;
    ctx_free(c->ctx, joined);
    return status;
}

spoor_status check_files(check *c, bool audio, spoor_error *err) {
    size_t before = c->faults, column = manifest_column(c->m, "path_b");
    for (size_t i = 0; i < c->n; i++) {
        TRY(ctx_check_cancel(c->ctx, err));
        if (c->first[i]) {
            TRY(look(c, i, column, audio, err));
        }
        if (audio) {
            ctx_progress(c->ctx, i + 1, c->n);
        }
    }
    size_t bad = c->faults - before;
    return bad == 0 ? SPOOR_OK
                    : check_warn(c, err, "%zu files are missing or cannot be used; is the root folder right?", bad);
}
