/* protocol_trials.c: lists of comparisons: pairs of recordings, claims with their references, STOPA's trials. */
#include "data/protocol_internal.h"
#include <string.h>

/* "1", "0", or NULL for what is neither yes nor no */
static const char *truth(const char *text) {
    static const char *const YES[] = {"1", "true", "yes", "same", "target"}, *const NO[] = {"0", "false", "no",
                                                                                            "different", "nontarget"};
    for (size_t i = 0; i < sizeof YES / sizeof *YES; i++) {
        if (protocol_same_word(text, YES[i])) {
            return "1";
        }
        if (protocol_same_word(text, NO[i])) {
            return "0";
        }
    }
    return NULL;
}

/* ---- pairs ---- */

static spoor_status pair_line(protocol_line *l, spoor_error *err) {
    const char *a = l->field[l->at[1]], *b = l->field[l->at[3]], *same = truth(l->field[l->at[4]]);
    l->cell[P_PATH] = protocol_plain_path(l->field[l->at[0]]);
    l->cell[P_PATH_B] = protocol_plain_path(l->field[l->at[2]]);
    l->cell[P_SOURCE] = a;
    l->cell[P_SOURCE_B] = b;
    if (!*l->cell[P_PATH_B]) {
        return protocol_refuse(l->table, l->number, err, "the path is empty");
    }
    if (!same) {
        return protocol_refuse(l->table, l->number, err, "same_model is \"%.40s\", neither true nor false",
                               l->field[l->at[4]]);
    }
    if (*a && *b && (strcmp(a, b) == 0) != (same[0] == '1')) {
        return protocol_refuse(l->table, l->number, err, "same_model is %s for %.80s and %.80s", l->field[l->at[4]], a,
                               b);
    }
    l->cell[P_SAME] = same;
    return SPOOR_OK;
}

static const char *const PAIR_HEADER[] = {"path_A", "model_name_A", "path_B", "model_name_B", "same_model", NULL};
const protocol_format PROTOCOL_PAIRS = {.name = "pairs",
                                        .summary = "pairs of recordings, same source or not",
                                        .separator = ',',
                                        .header = PAIR_HEADER,
                                        .columns = P_BIT(P_PATH) | P_BIT(P_SOURCE) | P_BIT(P_PATH_B) |
                                                   P_BIT(P_SOURCE_B) | P_BIT(P_SAME),
                                        .form = "path_A,model_name_A,path_B,model_name_B,same_model",
                                        .line = pair_line};

/* ---- claims ---- */

static spoor_status claim_line(protocol_line *l, spoor_error *err) {
    const char *rank = l->field[l->at[2]];
    if (!*rank || strspn(rank, "0123456789") != strlen(rank)) {
        return protocol_refuse(l->table, l->number, err, "ref_rank is \"%.40s\", no whole number", rank);
    }
    if (!*l->field[l->at[1]]) {
        return protocol_refuse(l->table, l->number, err, "the claim is empty");
    }
    l->cell[P_TRIAL] = l->field[l->at[0]];
    l->cell[P_CLAIM] = l->cell[P_SOURCE] = l->field[l->at[1]];
    l->cell[P_RANK] = rank;
    l->cell[P_ID] = l->field[l->at[3]];
    l->cell[P_PATH] = protocol_plain_path(l->field[l->at[4]]);
    return SPOOR_OK;
}

static const char *const CLAIM_HEADER[] = {"protocol_id", "claim_id", "ref_rank", "utt_id", "path", NULL};
const protocol_format PROTOCOL_CLAIMS = {.name = "claims",
                                         .summary = "claimed sources with their reference recordings",
                                         .separator = ',',
                                         .header = CLAIM_HEADER,
                                         .columns = P_BIT(P_PATH) | P_BIT(P_ID) | P_BIT(P_SOURCE) | P_BIT(P_TRIAL) |
                                                    P_BIT(P_CLAIM) | P_BIT(P_RANK),
                                         .form = "protocol_id,claim_id,ref_rank,utt_id,path",
                                         .line = claim_line};

/* ---- STOPA ---- */

typedef struct stopa_columns {
    size_t file, attack, same, same_acoustic, same_vocoder;
} stopa_columns;

static size_t column_named(const delimited *d, const char *const *names) {
    for (size_t c = 0; c < delimited_fields(d, 0); c++) {
        for (size_t i = 0; names[i]; i++) {
            if (protocol_same_word(delimited_cell(d, 0, c), names[i])) {
                return c;
            }
        }
    }
    return SIZE_MAX;
}

/* By the names of the published tables; where those have others, file is the first and attack the fourth column. */
static spoor_status find_columns(const protocol_table *t, stopa_columns *at, spoor_error *err) {
    const delimited *d = &t->text;
    at->file = column_named(d, (const char *const[]){"FileName", "file", "path", NULL});
    at->attack = column_named(d, (const char *const[]){"ATK", "attack", "attack_id", NULL});
    at->same = column_named(d, (const char *const[]){"IsTargetATK", NULL});
    at->same_acoustic = column_named(d, (const char *const[]){"IsTargetAcousticModel", NULL});
    at->same_vocoder = column_named(d, (const char *const[]){"IsTargetVocoderModel", NULL});
    if (at->file == SIZE_MAX && at->attack == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_INPUT,
                         "%s: the first line of STOPA's trials names the column FileName, this one does not", t->path);
    }
    at->file = at->file == SIZE_MAX ? 0 : at->file;
    at->attack = at->attack == SIZE_MAX && delimited_fields(d, 0) > 3 ? 3 : at->attack;
    return SPOOR_OK;
}

static spoor_status stopa_truth(protocol_line *l, size_t column, protocol_column to, spoor_error *err) {
    const char *said = column == SIZE_MAX ? "" : l->field[column], *is = *said ? truth(said) : "";
    if (!is) {
        return protocol_refuse(l->table, l->number, err, "\"%.40s\" is neither True nor False", said);
    }
    l->cell[to] = is;
    return SPOOR_OK;
}

/* "AA01-co-100_trials.txt": trials of the claim that the attack is AA01. */
static const char *stopa_claim(protocol_table *t) {
    const char *slash = strrchr(t->path, '/'), *name = slash ? slash + 1 : t->path, *dash = strchr(name, '-');
    return dash && dash > name && strstr(dash, "_trials") ? protocol_text(t, "%.*s", (int)(dash - name), name)
                                                          : protocol_text(t, "%s", "");
}

static spoor_status stopa_read(protocol_table *t, const protocol_options *o, spoor_error *err) {
    (void)o;
    stopa_columns at;
    TRY(protocol_columns(t, err));
    TRY(delimited_read(t->ctx, t->path, 0, &t->text, err));
    if (t->text.rows == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "%s is empty; its first line must name the columns", t->path);
    }
    TRY(find_columns(t, &at, err));
    const char *claim = stopa_claim(t);
    if (!claim) {
        return error_memory(err, "reading a list");
    }
    for (size_t i = 1; i < t->text.rows; i++) {
        protocol_line l = {.table = t,
                           .number = t->text.line[i],
                           .field = t->text.cells + t->text.first[i],
                           .n = delimited_fields(&t->text, i)};
        if (l.n != delimited_fields(&t->text, 0)) {
            return protocol_refuse(t, l.number, err, "%zu fields where the header names %zu", l.n,
                                   delimited_fields(&t->text, 0));
        }
        const char *attack = at.attack == SIZE_MAX ? "" : l.field[at.attack], *label = protocol_label(attack);
        bool bonafide = label && label[0] == 'b';
        l.cell[P_PATH] = protocol_plain_path(l.field[at.file]);
        l.cell[P_CLAIM] = claim;
        TRY(*attack ? protocol_set_label(&l, bonafide ? "bonafide" : "spoof", attack, err) : SPOOR_OK);
        TRY(stopa_truth(&l, at.same, P_SAME, err));
        TRY(stopa_truth(&l, at.same_acoustic, P_SAME_ACOUSTIC, err));
        TRY(stopa_truth(&l, at.same_vocoder, P_SAME_VOCODER, err));
        if (at.same == SIZE_MAX && *claim && *attack) {
            l.cell[P_SAME] = strcmp(claim, attack) == 0 ? "1" : "0";
        }
        TRY(protocol_add(t, l.number, l.cell, err));
    }
    return SPOOR_OK;
}

const protocol_format PROTOCOL_STOPA = {.name = "stopa",
                                        .summary = "STOPA's trials (header; blanks or commas)",
                                        .read = stopa_read,
                                        .columns = P_BIT(P_PATH) | P_BIT(P_LABEL) | P_BIT(P_SOURCE) | P_BIT(P_CLAIM) |
                                                   P_BIT(P_SAME) | P_BIT(P_SAME_ACOUSTIC) | P_BIT(P_SAME_VOCODER)};
