/* fuzz_score_key.c: scores of another system with labels in a key: one byte that says how they are read, the score
 * file, a NUL, the key, a NUL, the names of the classes, a NUL, the columns of their scores. What is missing is not
 * given. */
#define _GNU_SOURCE
#include "eval/scores.h"
#include "target.h"
#include <math.h>

enum { PARTS = 4 };

/* Cuts a copy of the input at its NULs: part[k] and its size; of the last part all that is left. */
static char *cut(const uint8_t *data, size_t size, const char **part, size_t *sizes) {
    char *copy = malloc(size + 1);
    CHECK(copy != NULL);
    memcpy(copy, data, size);
    copy[size] = '\0';
    size_t at = 0;
    for (size_t k = 0; k < PARTS; k++) {
        const char *end = at < size ? memchr(copy + at, 0, size - at) : NULL;
        part[k] = at < size ? copy + at : NULL;
        sizes[k] = at >= size ? 0 : end != NULL ? (size_t)(end - copy) - at : size - at;
        at += sizes[k] + 1;
    }
    return copy;
}

static void look(const eval_set *set) {
    size_t classes = set->task_count > 0 ? set->tasks[0].classes : 0, bytes = 0;
    for (size_t i = 0; i < set->n; i++) {
        const eval_clip *c = &set->clips[i];
        bytes += strlen(c->id) + strlen(c->page) + strlen(c->setting) + strlen(c->source);
        CHECK(!isinf(c->bonafide) && !isinf(c->known) && c->is_known >= -1 && c->is_known <= 1);
        CHECK(set->task_count == 0 || (c->truth[0] >= -1 && c->truth[0] < (int32_t)classes));
        double sum = 0;
        for (size_t k = 0; k < classes && c->scores != NULL; k++) {
            CHECK(!isnan(c->scores[k]));
            sum += (double)c->scores[k];
        }
        CHECK(!set->probabilities || c->scores == NULL || fabs(sum - 1) < 2e-3);
    }
    for (size_t k = 0; k < classes; k++) {
        bytes += strlen(set->tasks[0].names[k]);
    }
    CHECK(bytes < SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    unsigned how = data[0];
    const char *part[PARTS];
    size_t sizes[PARTS];
    char *copy = cut(data + 1, size - 1, part, sizes);
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    score_file *f = NULL;
    char path[32], key[32];
    int fd = target_file((const uint8_t *)(part[0] == NULL ? "" : part[0]), sizes[0], path);
    int key_fd = target_file((const uint8_t *)(part[1] == NULL ? "" : part[1]), sizes[1], key);
    score_columns c;
    score_columns_init(&c);
    c.known = (how & 1) != 0;
    c.target_label = (how & 2) != 0 ? "bonafide" : NULL;
    c.score = (how & 4) != 0 ? "2" : NULL;
    c.predicted = (how & 8) != 0 ? "2" : NULL;
    c.classes = part[2];
    c.probabilities = part[3];
    if ((how & 16) != 0) {
        c.label = "1";
    } else {
        c.key = (how & 32) != 0 ? (score_key){.path = key, .id = "utt", .label = "key", .source = "attack"}
                                : (score_key){.path = key, .label = "2"};
    }
    c.header = (how & 64) != 0 ? 1 : -1;
    spoor_status status = score_file_read_columns(ctx, path, &c, &f, &err);
    target_refused(status, &err);
    CHECK((status == SPOOR_OK) == (f != NULL));
    if (f != NULL) {
        look(score_file_set(f));
    }
    score_file_free(f);
    (void)close(fd);
    (void)close(key_fd);
    spoor_context_free(ctx);
    free(copy);
    return 0;
}
