/* fuzz_scores.c: a score file after one byte that says how it is read: our own form, or columns by name or number with
 * one separator or another. */
#define _GNU_SOURCE
#include "eval/scores.h"
#include "target.h"
#include <math.h>

static void look(const eval_set *set) {
    size_t width = eval_offset(set, set->task_count), numbers = 0;
    for (size_t i = 0; i < set->n; i++) {
        const eval_clip *c = &set->clips[i];
        numbers += strlen(c->id) + strlen(c->split) + strlen(c->page) + strlen(c->setting) + strlen(c->source);
        for (size_t t = 0; t < set->task_count; t++) {
            CHECK(c->truth[t] >= -1 && (c->truth[t] < 0 || (size_t)c->truth[t] < set->tasks[t].classes));
        }
        for (size_t k = 0; k < width && c->scores != NULL; k++) {
            numbers += isnan(c->scores[k]) ? 1 : 0;
        }
        CHECK(c->is_bonafide >= -1 && c->is_bonafide <= 1 && c->is_known >= -1 && c->is_known <= 1);
    }
    for (size_t t = 0; t < set->task_count; t++) {
        for (size_t k = 0; k < set->tasks[t].classes; k++) {
            CHECK(set->tasks[t].names[k] != NULL);
        }
    }
    CHECK(numbers < SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char separators[] = {0, ',', '\t', ' '};
    if (size == 0) {
        return 0;
    }
    unsigned how = data[0];
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    score_file *f = NULL;
    char path[32];
    int fd = target_file(data + 1, size - 1, path);
    spoor_status status;
    if ((how & 1) == 0) {
        status = score_file_read(ctx, path, &f, &err);
    } else {
        bool named = (how & 2) != 0;
        score_columns c;
        score_columns_init(&c);
        c.separator = separators[how >> 2 & 3];
        c.id = named ? "id" : "1";
        c.label = named ? "label" : "2";
        if ((how & 16) != 0) {
            c.score = named ? "score" : "3";
            c.target_label = "bonafide";
        }
        if ((how & 32) != 0) {
            c.predicted = named ? "predicted" : "4";
        }
        c.known = (how & 64) != 0;
        c.lower_is_target = (how & 128) != 0;
        status = score_file_read_columns(ctx, path, &c, &f, &err);
    }
    target_refused(status, &err);
    CHECK((status == SPOOR_OK) == (f != NULL));
    if (f != NULL) {
        look(score_file_set(f));
    }
    score_file_free(f);
    (void)close(fd);
    spoor_context_free(ctx);
    return 0;
}
