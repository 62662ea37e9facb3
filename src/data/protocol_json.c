/* protocol_json.c: a JSON object a line: any with named columns, and Lhotse's cuts. */
#include "base/io.h"
#include "data/protocol_internal.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 8, MAX_NAME = 256 };
#define START_TOLERANCE 0.01 /* seconds by which a cut may leave its recording and still be the whole of it */

typedef struct lines {
    protocol_table *table;
    const char *(*column)(const char *name); /* what a value is called in the table; NULL: it is left out */
    spoor_status (*check)(const protocol_table *t, size_t line, const json_t *object, spoor_error *err);
    size_t line;
    const char **cells; /* of the row that is filled; NULL while columns are collected */
} lines;

/* A number, a truth value or a text as text; NULL for null. */
static spoor_status as_text(protocol_table *t, const json_t *value, const char **text, spoor_error *err) {
    char number[40];
    *text = NULL;
    if (json_is_string(value)) {
        *text = protocol_text(t, "%s", json_string_value(value));
    } else if (json_is_integer(value)) {
        *text = protocol_text(t, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        (void)snprintf(number, sizeof number, "%.10g", json_real_value(value));
        *text = protocol_text(t, "%s", number);
    } else if (json_is_boolean(value)) {
        *text = json_is_true(value) ? "true" : "false";
    } else {
        return SPOOR_OK;
    }
    return *text ? SPOOR_OK : error_memory(err, "reading a list");
}

static spoor_status take(lines *l, const char *name, const json_t *value, spoor_error *err) {
    protocol_table *t = l->table;
    const char *column = l->column(name);
    if (!column || json_is_null(value)) {
        return SPOOR_OK;
    }
    size_t at = protocol_find(t, column);
    if (!l->cells) {
        return at == SIZE_MAX ? protocol_name(t, column, err) : SPOOR_OK;
    }
    if (*l->cells[at]) { /* the first of several that are called the same */
        return SPOOR_OK;
    }
    const char *text;
    TRY(as_text(t, value, &text, err));
    l->cells[at] = text ? text : "";
    return SPOOR_OK;
}

/* Objects become names with dots, of lists the first element counts: "supervisions.0.speaker". */
static spoor_status flatten(lines *l, const char *prefix, const json_t *value, unsigned depth, spoor_error *err) {
    if (depth > MAX_DEPTH) {
        return protocol_refuse(l->table, l->line, err, "objects in objects, more than %d deep", MAX_DEPTH);
    }
    char name[MAX_NAME];
    const char *dot = *prefix ? "." : "";
    if (json_is_array(value)) {
        if (json_array_size(value) == 0) {
            return SPOOR_OK;
        }
        if (snprintf(name, sizeof name, "%s%s0", prefix, dot) >= (int)sizeof name) {
            return protocol_refuse(l->table, l->line, err, "a name of more than %d bytes", MAX_NAME);
        }
        return flatten(l, name, json_array_get(value, 0), depth + 1, err);
    }
    if (!json_is_object(value)) {
        return take(l, prefix, value, err);
    }
    const char *key;
    json_t *inner;
    json_object_foreach((json_t *)(uintptr_t)value, key, inner) {
        if (snprintf(name, sizeof name, "%s%s%s", prefix, dot, key) >= (int)sizeof name) {
            return protocol_refuse(l->table, l->line, err, "a name of more than %d bytes", MAX_NAME);
        }
        TRY(flatten(l, name, inner, depth + 1, err));
    }
    return SPOOR_OK;
}

static spoor_status one_line(lines *l, const char *text, size_t size, bool collect, spoor_error *err) {
    json_error_t where;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!object) {
        return protocol_refuse(l->table, l->line, err, "no JSON: %s", where.text);
    }
    spoor_status status = SPOOR_OK;
    if (!json_is_object(object)) {
        status = protocol_refuse(l->table, l->line, err, "a line must be a JSON object");
    }
    if (status == SPOOR_OK && collect && l->check) {
        status = l->check(l->table, l->line, object, err);
    }
    l->cells = NULL;
    if (status == SPOOR_OK && !collect) {
        status = protocol_row(l->table, l->line, &l->cells, err);
    }
    if (status == SPOOR_OK) {
        status = flatten(l, "", object, 0, err);
    }
    json_decref(object);
    return status;
}

/* Twice: which columns there are, then the rows. */
static spoor_status pass(lines *l, const char *text, size_t size, bool collect, spoor_error *err) {
    const char *end = text + size;
    l->line = 0;
    for (const char *p = text; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p), skip = 0;
        l->line++;
        while (skip < n && (p[skip] == ' ' || p[skip] == '\t' || p[skip] == '\r')) {
            skip++;
        }
        if (skip < n) {
            TRY(one_line(l, p, n, collect, err));
        }
        p += n + (stop != NULL);
    }
    return SPOOR_OK;
}

static spoor_status read_lines(lines *l, spoor_error *err) {
    protocol_table *t = l->table;
    unsigned char *bytes;
    size_t size;
    TRY(io_read_file(t->ctx, t->path, DELIMITED_MAX_BYTES, &bytes, &size, err));
    spoor_status status = pass(l, (const char *)bytes, size, true, err);
    if (status == SPOOR_OK && t->columns > 0) {
        status = pass(l, (const char *)bytes, size, false, err);
    }
    ctx_free(t->ctx, bytes);
    if (status == SPOOR_OK && t->rows == 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "%s holds no JSON object with a value in it", t->path);
    }
    return status;
}

static const char *any_column(const char *name) { return name; }

static spoor_status jsonl_read(protocol_table *t, const protocol_options *o, spoor_error *err) {
    (void)o;
    return read_lines(&(lines){.table = t, .column = any_column}, err);
}

const protocol_format PROTOCOL_JSONL = {
    .name = "jsonl", .summary = "a JSON object a line; inner names with dots (a.b, list.0)", .read = jsonl_read};

/* ---- Lhotse ---- */

static const char *lhotse_column(const char *name) {
    static const char *const KNOWN[][2] = {{"id", "id"},
                                           {"recording.sources.0.source", "path"},
                                           {"recording.duration", "seconds"},
                                           {"supervisions.0.speaker", "speaker"},
                                           {"supervisions.0.gender", "gender"},
                                           {"supervisions.0.language", "language"},
                                           {"supervisions.0.text", "text"}};
    static const char *const OWN[] = {"custom.", "supervisions.0.custom."};
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
        if (strcmp(name, KNOWN[i][0]) == 0) {
            return KNOWN[i][1];
        }
    }
    for (size_t i = 0; i < sizeof OWN / sizeof *OWN; i++) {
        size_t n = strlen(OWN[i]);
        if (strncmp(name, OWN[i], n) == 0 && name[n]) {
            return name + n;
        }
    }
    return NULL;
}

static spoor_status lhotse_check(const protocol_table *t, size_t line, const json_t *cut, spoor_error *err) {
    const json_t *recording = json_object_get(cut, "recording");
    const json_t *source = json_array_get(json_object_get(recording, "sources"), 0);
    const char *type = json_string_value(json_object_get(source, "type"));
    if (!json_is_string(json_object_get(source, "source"))) {
        return protocol_refuse(t, line, err,
                               "the cut has no recording (of a mixed or padded cut, write the sound to a file first)");
    }
    if (type && strcmp(type, "file") != 0) {
        return protocol_refuse(t, line, err, "the recording is a %.40s, not a file", type);
    }
    const json_t *whole = json_object_get(recording, "duration"), *length = json_object_get(cut, "duration");
    double start = json_number_value(json_object_get(cut, "start"));
    if (fabs(start) > START_TOLERANCE ||
        (json_is_number(whole) && json_is_number(length) &&
         fabs(json_number_value(whole) - json_number_value(length)) > START_TOLERANCE)) {
        return protocol_refuse(t, line, err,
                               "the cut is a part of its recording (from %.2f s); write it to a file first", start);
    }
    return SPOOR_OK;
}

static spoor_status lhotse_read(protocol_table *t, const protocol_options *o, spoor_error *err) {
    (void)o;
    return read_lines(&(lines){.table = t, .column = lhotse_column, .check = lhotse_check}, err);
}

const protocol_format PROTOCOL_LHOTSE = {
    .name = "lhotse", .summary = "Lhotse's cuts, a JSON object a line", .read = lhotse_read};
