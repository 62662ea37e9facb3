/* protocol_csv.c: lists that name their columns in the first line: plain CSV and TSV, and MLAAD's two. */
#include "data/protocol_internal.h"
#include <string.h>

/* ---- any columns ---- */

static spoor_status read_table(protocol_table *t, const protocol_options *o, spoor_error *err) {
    (void)o;
    delimited *d = &t->text;
    TRY(delimited_read(t->ctx, t->path, t->format->separator, d, err));
    if (d->rows == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "%s is empty; its first line must name the columns", t->path);
    }
    size_t columns = delimited_fields(d, 0);
    if (columns > PROTOCOL_MAX_COLUMNS) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s has more than %d columns", t->path, PROTOCOL_MAX_COLUMNS);
    }
    for (size_t c = 0; c < columns; c++) {
        TRY(protocol_name(t, delimited_cell(d, 0, c), err));
    }
    for (size_t i = 1; i < d->rows; i++) {
        if (delimited_fields(d, i) != columns) {
            return protocol_refuse(t, d->line[i], err, "%zu fields where the header names %zu", delimited_fields(d, i),
                                   columns);
        }
    }
    t->rows = d->rows - 1;
    t->cells = d->cells + columns;
    t->lines = d->line + 1;
    return SPOOR_OK;
}

const protocol_format PROTOCOL_CSV = {
    .name = "csv", .summary = "CSV with a header (the default)", .separator = ',', .read = read_table};
const protocol_format PROTOCOL_TSV = {
    .name = "tsv", .summary = "tab-separated values with a header", .separator = '\t', .read = read_table};

/* ---- MLAAD ---- */

/* The component of fake/LANGUAGE/MODEL/FILE at `index` (1 = LANGUAGE); NULL if the path has another form. */
static const char *mlaad_component(const char *path, size_t index, size_t *length) {
    const char *at = strncmp(path, "fake/", 5) == 0 ? path : strstr(path, "/fake/");
    if (!at) {
        return NULL;
    }
    at += *at == '/';
    for (size_t i = 0; at && i < index; i++) {
        at = strchr(at, '/');
        at += at != NULL;
    }
    *length = at ? strcspn(at, "/") : 0;
    return at && at[*length] == '/' && *length > 0 ? at : NULL;
}

static spoor_status set_language(protocol_line *l, spoor_error *err) {
    size_t n = 0;
    const char *language = mlaad_component(l->cell[P_PATH], 1, &n);
    if (language) {
        l->cell[P_LANGUAGE] = protocol_text(l->table, "%.*s", (int)n, language);
        return l->cell[P_LANGUAGE] ? SPOOR_OK : error_memory(err, "reading a list");
    }
    return SPOOR_OK;
}

static spoor_status set_model(protocol_line *l, const char *name, spoor_error *err) {
    if (!*name) {
        return protocol_refuse(l->table, l->number, err, "the model name is empty");
    }
    l->cell[P_LABEL] = "spoof";
    l->cell[P_SOURCE] = name;
    return SPOOR_OK;
}

static spoor_status mlaad_line(protocol_line *l, spoor_error *err) {
    l->cell[P_PATH] = protocol_plain_path(l->field[l->at[0]]);
    TRY(set_model(l, l->field[l->at[1]], err));
    return set_language(l, err);
}

static const char *const MLAAD_HEADER[] = {"path", "model_name", NULL};
const protocol_format PROTOCOL_MLAAD = {.name = "mlaad",
                                        .summary = "MLAAD's source-tracing protocol (path,model_name)",
                                        .separator = ',',
                                        .columns = P_BIT(P_PATH) | P_BIT(P_LABEL) | P_BIT(P_SOURCE) | P_BIT(P_LANGUAGE),
                                        .header = MLAAD_HEADER,
                                        .form = "path,model_name",
                                        .line = mlaad_line};

/* meta.csv lies in fake/LANGUAGE/MODEL/, its paths count from the folder that holds fake/. In MLAAD v5 the one of
 * fake/zh-cn/OpenVoiceV2 names the language zh, under which there is no folder: the list's own place is right. */
static spoor_status repair_language(protocol_line *l, spoor_error *err) {
    protocol_table *t = l->table;
    size_t here_n = 0, said_n = 0;
    const char *here = mlaad_component(t->path, 1, &here_n), *path = l->cell[P_PATH];
    const char *said = mlaad_component(path, 1, &said_n);
    if (!here || !said || (here_n == said_n && memcmp(here, said, here_n) == 0)) {
        return SPOOR_OK;
    }
    const char *model = here + here_n, *named = said + said_n;
    if (strncmp(model, named, strcspn(model + 1, "/") + 2) != 0) {
        return SPOOR_OK; /* another model's files: left as they are listed */
    }
    if (!t->noted) {
        t->noted = true;
        ctx_log(t->ctx, SPOOR_LOG_WARN,
                "%s names the language folder %.*s but lies in %.*s (a known fault of MLAAD's "
                "fake/zh-cn/OpenVoiceV2): its own folder is taken",
                t->path, (int)said_n, said, (int)here_n, here);
    }
    l->cell[P_PATH] = protocol_text(t, "%.*s%.*s%s", (int)(said - path), path, (int)here_n, here, named);
    return l->cell[P_PATH] ? SPOOR_OK : error_memory(err, "reading a list");
}

/* Where the list lies in fake/LANGUAGE/MODEL/, its paths count from the folder above fake/. */
static spoor_status find_root(protocol_table *t, spoor_error *err) {
    size_t n = 0, model = 0;
    const char *language = mlaad_component(t->path, 1, &n);
    if (t->root || !language || !mlaad_component(t->path, 2, &model)) {
        return SPOOR_OK;
    }
    t->root = ctx_strndup(t->ctx, t->path, (size_t)(language - t->path) - strlen("fake/"));
    return t->root ? SPOOR_OK : error_memory(err, "reading a list");
}

static spoor_status meta_line(protocol_line *l, spoor_error *err) {
    l->cell[P_PATH] = protocol_plain_path(l->field[l->at[0]]);
    TRY(find_root(l->table, err));
    TRY(repair_language(l, err));
    TRY(set_model(l, l->field[l->at[1]], err));
    l->cell[P_LANGUAGE] = l->field[l->at[2]];
    l->cell[P_ORIGINAL] = l->field[l->at[3]];
    l->cell[P_SECONDS] = l->field[l->at[4]];
    l->cell[P_TRAINING] = l->field[l->at[5]];
    l->cell[P_FAMILY] = l->field[l->at[6]];
    l->cell[P_TEXT] = l->field[l->at[7]];
    return SPOOR_OK;
}

static const char *const META_HEADER[] = {
    "path", "model_name", "language", "original_file", "duration", "training_data", "architecture", "transcript", NULL};
const protocol_format PROTOCOL_MLAAD_META = {
    .name = "mlaad-meta",
    .summary = "meta.csv of an MLAAD folder (bars, no quoting)",
    .separator = '|',
    .unquoted = true,
    .columns = P_BIT(P_PATH) | P_BIT(P_LABEL) | P_BIT(P_SOURCE) | P_BIT(P_FAMILY) | P_BIT(P_LANGUAGE) | P_BIT(P_TEXT) |
               P_BIT(P_SECONDS) | P_BIT(P_ORIGINAL) | P_BIT(P_TRAINING),
    .header = META_HEADER,
    .form =
        "path|original_file|language|is_original_language|duration|training_data|model_name|architecture|transcript",
    .line = meta_line};

/* ---- In-the-Wild ---- */

static spoor_status wild_line(protocol_line *l, spoor_error *err) {
    l->cell[P_PATH] = protocol_plain_path(l->field[l->at[0]]);
    l->cell[P_SPEAKER] = l->field[l->at[1]];
    return protocol_set_label(l, l->field[l->at[2]], "", err);
}

static const char *const WILD_HEADER[] = {"file", "speaker", "label", NULL};
const protocol_format PROTOCOL_IN_THE_WILD = {.name = "in-the-wild",
                                              .summary = "meta.csv of In-the-Wild (file,speaker,label)",
                                              .separator = ',',
                                              .header = WILD_HEADER,
                                              .columns =
                                                  P_BIT(P_PATH) | P_BIT(P_LABEL) | P_BIT(P_SOURCE) | P_BIT(P_SPEAKER),
                                              .split = "eval",
                                              .form = "file,speaker,label",
                                              .line = wild_line};
