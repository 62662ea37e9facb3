/* protocol_kaldi.c: a Kaldi data folder: wav.scp with utt2lab, utt2spk and utt2lang beside it. */
#include "data/protocol_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct pair {
    const char *key, *value;
} pair;

typedef struct side { /* utt2... */
    delimited text;
    pair *pairs;
    size_t n;
} side;

static int by_key(const void *a, const void *b) { return strcmp(((const pair *)a)->key, ((const pair *)b)->key); }

static void side_clear(spoor_context *ctx, side *s) {
    delimited_clear(&s->text);
    ctx_free(ctx, s->pairs);
}

static spoor_status side_fill(protocol_table *t, const char *path, side *s, spoor_error *err) {
    TRY(delimited_read(t->ctx, path, ' ', &s->text, err));
    s->pairs = ctx_alloc(t->ctx, s->text.rows, sizeof *s->pairs);
    if (!s->pairs) {
        return error_memory(err, "reading a list");
    }
    for (size_t i = 0; i < s->text.rows; i++) {
        if (delimited_fields(&s->text, i) != 2) {
            return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: a line reads UTTERANCE VALUE", path, s->text.line[i]);
        }
        s->pairs[s->n++] = (pair){delimited_cell(&s->text, i, 0), delimited_cell(&s->text, i, 1)};
    }
    if (s->n > 0) {
        qsort(s->pairs, s->n, sizeof *s->pairs, by_key);
    }
    for (size_t i = 1; i < s->n; i++) {
        if (strcmp(s->pairs[i].key, s->pairs[i - 1].key) == 0) {
            return error_set(err, SPOOR_ERR_INPUT, "%s: the utterance %.80s stands twice", path, s->pairs[i].key);
        }
    }
    return SPOOR_OK;
}

/* A file beside wav.scp; one that is not there is empty. */
static spoor_status side_read(protocol_table *t, const char *folder, const char *name, side *s, spoor_error *err) {
    char *path = ctx_printf(t->ctx, "%s%s", folder, name);
    if (!path) {
        return error_memory(err, "reading a list");
    }
    spoor_status status = access(path, F_OK) == 0 ? side_fill(t, path, s, err) : SPOOR_OK;
    ctx_free(t->ctx, path);
    return status;
}

/* "" where the utterance is not listed; lives as long as the table. */
static const char *side_value(protocol_table *t, const side *s, const char *utterance) {
    const pair wanted = {utterance, NULL},
               *found = s->n ? bsearch(&wanted, s->pairs, s->n, sizeof wanted, by_key) : NULL;
    return found ? protocol_text(t, "%s", found->value) : "";
}

static spoor_status add_utterance(protocol_table *t, size_t i, const side sides[3], spoor_error *err) {
    const delimited *d = &t->text;
    size_t n = delimited_fields(d, i), line = d->line[i];
    protocol_line l = {.table = t, .number = line};
    if (n >= 2 && strcmp(delimited_cell(d, i, n - 1), "|") == 0) {
        return protocol_refuse(t, line, err, "the recording comes from a command; write it to a file first");
    }
    if (n != 2) {
        return protocol_refuse(t, line, err, "%zu fields; a line of wav.scp reads UTTERANCE PATH", n);
    }
    const char *id = delimited_cell(d, i, 0), *lab = side_value(t, &sides[0], id),
               *label = lab ? protocol_label(lab) : NULL;
    l.cell[P_ID] = id;
    l.cell[P_PATH] = protocol_plain_path(delimited_cell(d, i, 1));
    l.cell[P_SPEAKER] = side_value(t, &sides[1], id);
    l.cell[P_LANGUAGE] = side_value(t, &sides[2], id);
    if (!lab || !l.cell[P_SPEAKER] || !l.cell[P_LANGUAGE]) {
        return error_memory(err, "reading a list");
    }
    if (*lab) { /* bonafide or spoof, or else the system */
        TRY(protocol_set_label(&l, label ? label : "spoof", label ? "" : lab, err));
    }
    return protocol_add(t, line, l.cell, err);
}

static spoor_status read_folder(protocol_table *t, const char *folder, const char *scp, side sides[3],
                                spoor_error *err) {
    char *segments = ctx_printf(t->ctx, "%ssegments", folder);
    if (!segments) {
        return error_memory(err, "reading a list");
    }
    bool cut = access(segments, F_OK) == 0;
    ctx_free(t->ctx, segments);
    if (cut) {
        return error_set(err, SPOOR_ERR_INPUT,
                         "%ssegments cuts recordings into utterances; write each utterance to a file first", folder);
    }
    TRY(side_read(t, folder, "utt2lab", &sides[0], err));
    TRY(side_read(t, folder, "utt2spk", &sides[1], err));
    TRY(side_read(t, folder, "utt2lang", &sides[2], err));
    TRY(protocol_columns(t, err));
    TRY(delimited_read(t->ctx, scp, ' ', &t->text, err));
    for (size_t i = 0; i < t->text.rows; i++) {
        TRY(add_utterance(t, i, sides, err));
    }
    return t->rows > 0 ? SPOOR_OK : error_set(err, SPOOR_ERR_INPUT, "%s is empty; a line reads UTTERANCE PATH", scp);
}

/* The list is wav.scp, or the folder that has it. */
static spoor_status kaldi_read(protocol_table *t, const protocol_options *o, spoor_error *err) {
    (void)o;
    struct stat st;
    bool is_folder = stat(t->path, &st) == 0 && S_ISDIR(st.st_mode);
    const char *slash = strrchr(t->path, '/');
    size_t n = is_folder ? strlen(t->path) : slash ? (size_t)(slash - t->path) + 1 : 0;
    char *folder =
        ctx_printf(t->ctx, "%.*s%s", (int)n, t->path, is_folder && n > 0 && t->path[n - 1] != '/' ? "/" : "");
    char *scp = folder ? ctx_printf(t->ctx, "%s%s", folder, is_folder ? "wav.scp" : slash ? slash + 1 : t->path) : NULL;
    side sides[3] = {{{0}, NULL, 0}, {{0}, NULL, 0}, {{0}, NULL, 0}};
    const char *list = t->path;
    t->path = scp;
    spoor_status status = scp ? read_folder(t, folder, scp, sides, err) : error_memory(err, "reading a list");
    t->path = list;
    for (size_t i = 0; i < 3; i++) {
        side_clear(t->ctx, &sides[i]);
    }
    ctx_free(t->ctx, scp);
    if (is_folder) {
        t->root = folder; /* of relative paths */
    } else {
        ctx_free(t->ctx, folder);
    }
    return status;
}

const protocol_format PROTOCOL_KALDI = {.name = "kaldi",
                                        .summary = "a Kaldi folder, or its wav.scp (with utt2lab, utt2spk, utt2lang)",
                                        .read = kaldi_read,
                                        .columns = P_BIT(P_PATH) | P_BIT(P_ID) | P_BIT(P_LABEL) | P_BIT(P_SOURCE) |
                                                   P_BIT(P_SPEAKER) | P_BIT(P_LANGUAGE)};
