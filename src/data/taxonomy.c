/* taxonomy.c: see taxonomy.h. Names point into the JSON, which is checked whole when it is opened. */
#include "data/taxonomy.h"
#include "base/config.h"
#include "base/io.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const unsigned char BUILTIN[] = {
#include "data/taxonomy_builtin.inc"
};

enum { MAX_EXTENDS = 8 };

typedef struct value {
    const char *name;
    const json_t *aliases;
} value;

typedef struct attribute {
    const char *name, *title;
    value values[TAXONOMY_MAX_VALUES];
    size_t n_values;
} attribute;

typedef struct source {
    const char *name, *kind, *note;
    const json_t *aliases;
    size_t value[TAXONOMY_MAX_ATTRIBUTES]; /* SIZE_MAX: not known */
} source;

typedef struct entry { /* a name or an alias */
    const char *name;
    size_t source;
} entry;

struct taxonomy {
    spoor_context *ctx;
    json_t *json;
    const char *name, *about;
    attribute *attributes;
    size_t n_attributes;
    source *sources;
    size_t n_sources;
    entry *entries; /* sorted by name */
    size_t n_entries;
};

static spoor_status no_memory(spoor_error *err) { return error_memory(err, "reading a taxonomy"); }

/* ---- reading ---- */

/* Checks that aliases are a list of texts. */
static spoor_status read_aliases(const json_t *object, const char *of, const json_t **out, spoor_error *err) {
    const json_t *list = json_object_get(object, "aliases");
    for (size_t i = 0; list && i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || !*text) {
            return error_set(err, SPOOR_ERR_INPUT, "the aliases of %.80s must be names", of);
        }
    }
    if (list && !json_is_array(list)) {
        return error_set(err, SPOOR_ERR_INPUT, "the aliases of %.80s must be a list of names", of);
    }
    *out = list;
    return SPOOR_OK;
}

static bool is_called(const char *name, const json_t *aliases, const char *text) {
    bool found = strcasecmp(name, text) == 0;
    for (size_t i = 0; !found && i < json_array_size(aliases); i++) {
        found = strcasecmp(json_string_value(json_array_get(aliases, i)), text) == 0;
    }
    return found;
}

static spoor_status add_value(taxonomy *t, attribute *a, const json_t *json, spoor_error *err) {
    static const char *const KEYS[] = {"name", "aliases", NULL};
    value *v = &a->values[a->n_values];
    if (json_is_string(json)) {
        v->name = json_string_value(json);
    } else {
        TRY(config_keys(json, "a value", KEYS, err));
        v->name = json_string_value(json_object_get(json, "name"));
        TRY(read_aliases(json, a->name, &v->aliases, err));
    }
    if (!v->name || !*v->name) {
        return error_set(err, SPOOR_ERR_INPUT, "value %zu of the attribute %.80s has no name", a->n_values + 1,
                         a->name);
    }
    size_t index = (size_t)(a - t->attributes);
    for (size_t i = 0; i <= json_array_size(v->aliases); i++) {
        const char *name = i == 0 ? v->name : json_string_value(json_array_get(v->aliases, i - 1));
        if (taxonomy_value(t, index, name) != SIZE_MAX) {
            return error_set(err, SPOOR_ERR_INPUT, "the attribute %.80s has two values called %.80s", a->name, name);
        }
    }
    a->n_values++;
    return SPOOR_OK;
}

static spoor_status read_attributes(taxonomy *t, spoor_error *err) {
    static const char *const KEYS[] = {"title", "values", NULL};
    json_t *all = json_object_get(t->json, "attributes"), *json;
    size_t n = json_object_size(all);
    if (n == 0 || n > TAXONOMY_MAX_ATTRIBUTES) {
        return error_set(err, SPOOR_ERR_INPUT, "\"attributes\" must map 1 to %d names to {values: [...]}",
                         TAXONOMY_MAX_ATTRIBUTES);
    }
    t->attributes = ctx_calloc(t->ctx, n, sizeof *t->attributes);
    if (!t->attributes) {
        return no_memory(err);
    }
    const char *name;
    json_object_foreach(all, name, json) {
        attribute *a = &t->attributes[t->n_attributes++];
        a->name = name;
        TRY(config_keys(json, name, KEYS, err));
        TRY(config_string(json, name, "title", name, &a->title, err));
        const json_t *values = json_object_get(json, "values");
        if (!*name || json_array_size(values) == 0 || json_array_size(values) > TAXONOMY_MAX_VALUES) {
            return error_set(err, SPOOR_ERR_INPUT, "the attribute \"%.80s\" must have a name and 1 to %d values", name,
                             TAXONOMY_MAX_VALUES);
        }
        for (size_t i = 0; i < json_array_size(values); i++) {
            TRY(add_value(t, a, json_array_get(values, i), err));
        }
    }
    return SPOOR_OK;
}

static spoor_status read_source(taxonomy *t, const char *name, const json_t *json, source *s, spoor_error *err) {
    const char *keys[TAXONOMY_MAX_ATTRIBUTES + 4] = {"kind", "note", "aliases"};
    for (size_t a = 0; a < t->n_attributes; a++) {
        keys[3 + a] = t->attributes[a].name;
    }
    if (!*name) {
        return error_set(err, SPOOR_ERR_INPUT, "a source has no name");
    }
    s->name = name;
    TRY(config_keys(json, name, keys, err));
    TRY(config_string(json, name, "kind", "", &s->kind, err));
    TRY(config_string(json, name, "note", "", &s->note, err));
    TRY(read_aliases(json, name, &s->aliases, err));
    for (size_t a = 0; a < t->n_attributes; a++) {
        const json_t *said = json_object_get(json, t->attributes[a].name);
        s->value[a] = SIZE_MAX;
        if (said && !json_is_null(said)) {
            const char *text = json_string_value(said);
            s->value[a] = text ? taxonomy_value(t, a, text) : SIZE_MAX;
            if (s->value[a] == SIZE_MAX) {
                return error_set(err, SPOOR_ERR_INPUT,
                                 "%.80s: %.40s has no value \"%.80s\"; leave out what is not known", name,
                                 t->attributes[a].name, text ? text : "(no text)");
            }
        }
    }
    return SPOOR_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(((const entry *)a)->name, ((const entry *)b)->name); }

static spoor_status make_entries(taxonomy *t, spoor_error *err) {
    size_t n = t->n_sources;
    for (size_t i = 0; i < t->n_sources; i++) {
        n += json_array_size(t->sources[i].aliases);
    }
    t->entries = ctx_calloc(t->ctx, n, sizeof *t->entries);
    if (!t->entries) {
        return no_memory(err);
    }
    for (size_t i = 0; i < t->n_sources; i++) {
        t->entries[t->n_entries++] = (entry){t->sources[i].name, i};
        for (size_t k = 0; k < json_array_size(t->sources[i].aliases); k++) {
            t->entries[t->n_entries++] = (entry){taxonomy_alias(t, i, k), i};
        }
    }
    qsort(t->entries, t->n_entries, sizeof *t->entries, by_name);
    for (size_t i = 1; i < t->n_entries; i++) {
        if (strcmp(t->entries[i].name, t->entries[i - 1].name) == 0) {
            return error_set(err, SPOOR_ERR_INPUT, "%.80s is the name or an alias of two sources, %.80s and %.80s",
                             t->entries[i].name, t->sources[t->entries[i - 1].source].name,
                             t->sources[t->entries[i].source].name);
        }
    }
    return SPOOR_OK;
}

static spoor_status read_sources(taxonomy *t, spoor_error *err) {
    json_t *all = json_object_get(t->json, "sources"), *json;
    size_t n = json_object_size(all);
    if (n == 0 || n > TAXONOMY_MAX_SOURCES) {
        return error_set(err, SPOOR_ERR_INPUT, "\"sources\" must map 1 to %d names to their attributes",
                         TAXONOMY_MAX_SOURCES);
    }
    t->sources = ctx_calloc(t->ctx, n, sizeof *t->sources);
    if (!t->sources) {
        return no_memory(err);
    }
    const char *name;
    json_object_foreach(all, name, json) {
        TRY(read_source(t, name, json, &t->sources[t->n_sources], err));
        t->n_sources++;
    }
    return make_entries(t, err);
}

/* ---- files ---- */

static spoor_status parse(const char *name, const void *text, size_t size, json_t **out, spoor_error *err) {
    json_error_t where;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!*out) {
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %d: %s", name, where.line, where.text);
    }
    if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        return error_set(err, SPOOR_ERR_INPUT, "%s: a taxonomy is an object with attributes and sources", name);
    }
    return SPOOR_OK;
}

/* What `over` says goes over what `base` says: by attribute, by source. */
static spoor_status lay_over(json_t *base, const json_t *over, spoor_error *err) {
    static const char *const PARTS[] = {"attributes", "sources"};
    static const char *const TEXTS[] = {"name", "about"};
    int failed = 0;
    for (size_t i = 0; i < 2; i++) {
        json_t *part = json_object_get(over, PARTS[i]), *text = json_object_get(over, TEXTS[i]),
               *own = json_object_get(base, PARTS[i]);
        if (part && !json_is_object(part)) {
            return error_set(err, SPOOR_ERR_INPUT, "\"%s\" must be an object", PARTS[i]);
        }
        failed |= part && own ? json_object_update(own, part) : part ? json_object_set(base, PARTS[i], part) : 0;
        failed |= text ? json_object_set(base, TEXTS[i], text) : 0;
    }
    return failed ? no_memory(err) : SPOOR_OK;
}

static spoor_status load(spoor_context *ctx, const char *path, unsigned depth, json_t **out, spoor_error *err);

static spoor_status load_base(spoor_context *ctx, const char *path, const char *extends, unsigned depth, json_t **out,
                              spoor_error *err) {
    if (depth >= MAX_EXTENDS) {
        return error_set(err, SPOOR_ERR_INPUT, "%s: taxonomies extend each other more than %d times", path,
                         MAX_EXTENDS);
    }
    if (strcmp(extends, TAXONOMY_BUILTIN) == 0) {
        return load(ctx, NULL, depth + 1, out, err);
    }
    const char *slash = strrchr(path, '/');
    size_t n = slash && extends[0] != '/' ? (size_t)(slash - path) + 1 : 0;
    char *base = ctx_printf(ctx, "%.*s%s", (int)n, path, extends);
    spoor_status status = base ? load(ctx, base, depth + 1, out, err) : no_memory(err);
    ctx_free(ctx, base);
    return status;
}

/* The JSON of a file with what it extends below it. */
static spoor_status load(spoor_context *ctx, const char *path, unsigned depth, json_t **out, spoor_error *err) {
    static const char *const KEYS[] = {"name", "about", "extends", "attributes", "sources", NULL};
    if (!path || strcmp(path, TAXONOMY_BUILTIN) == 0) {
        return parse(TAXONOMY_BUILTIN, BUILTIN, sizeof BUILTIN, out, err);
    }
    unsigned char *text;
    size_t size;
    TRY(io_read_file(ctx, path, TAXONOMY_MAX_BYTES, &text, &size, err));
    json_t *json, *base = NULL;
    spoor_status status = parse(path, text, size, &json, err);
    ctx_free(ctx, text);
    TRY(status);
    const json_t *extends = json_object_get(json, "extends");
    status = config_keys(json, path, KEYS, err);
    if (status == SPOOR_OK && extends && !json_is_string(extends)) {
        status = error_set(err, SPOOR_ERR_INPUT, "%s: \"extends\" must name a taxonomy", path);
    }
    if (status == SPOOR_OK && extends) {
        status = load_base(ctx, path, json_string_value(extends), depth, &base, err);
    }
    if (status == SPOOR_OK && base) {
        status = lay_over(base, json, err);
    }
    json_t *kept = base ? base : json, *other = base ? json : NULL;
    json_decref(other);
    if (status != SPOOR_OK) {
        json_decref(kept);
        return status;
    }
    *out = kept;
    return SPOOR_OK;
}

/* Whether all its names and texts may be shown: terminals obey control characters. The depth is limited by the JSON
 * reader. */
static bool is_plain(const json_t *json) {
    const char *key;
    json_t *member;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)json, key, member) {
        if (!text_is_plain(key) || !is_plain(member)) {
            return false;
        }
    }
    json_array_foreach((json_t *)(uintptr_t)json, i, member) {
        if (!is_plain(member)) {
            return false;
        }
    }
    return !json_is_string(json) || text_is_plain(json_string_value(json));
}

static spoor_status read_all(taxonomy *t, const char *name, spoor_error *err) {
    if (!is_plain(t->json)) {
        return error_set(err, SPOOR_ERR_INPUT, "a name or text has control characters; take them out");
    }
    TRY(config_string(t->json, "the taxonomy", "name", name, &t->name, err));
    TRY(config_string(t->json, "the taxonomy", "about", "", &t->about, err));
    TRY(read_attributes(t, err));
    return read_sources(t, err);
}

/* Takes over json. */
static spoor_status from_json(spoor_context *ctx, json_t *json, const char *name, taxonomy **out, spoor_error *err) {
    taxonomy *t = ctx_calloc(ctx, 1, sizeof *t);
    if (!t) {
        json_decref(json);
        return no_memory(err);
    }
    t->ctx = ctx;
    t->json = json;
    spoor_error inner = {SPOOR_OK, ""};
    spoor_status status = read_all(t, name, &inner);
    if (status != SPOOR_OK) {
        taxonomy_free(t);
        return error_set(err, status == SPOOR_ERR_USAGE ? SPOOR_ERR_INPUT : status, "%s: %s", name, inner.message);
    }
    *out = t;
    return SPOOR_OK;
}

spoor_status taxonomy_open(spoor_context *ctx, const char *path, taxonomy **out, spoor_error *err) {
    *out = NULL;
    json_t *json;
    spoor_error inner = {SPOOR_OK, ""};
    spoor_status status = load(ctx, path, 0, &json, &inner);
    if (status != SPOOR_OK) {
        return error_set(err, status == SPOOR_ERR_USAGE ? SPOOR_ERR_INPUT : status, "%s", inner.message);
    }
    return from_json(ctx, json, path ? path : TAXONOMY_BUILTIN, out, err);
}

spoor_status taxonomy_from_json(spoor_context *ctx, const json_t *json, const char *name, taxonomy **out,
                                spoor_error *err) {
    *out = NULL;
    if (!json_is_object(json)) {
        return error_set(err, SPOOR_ERR_INPUT, "%s: a taxonomy is an object with attributes and sources", name);
    }
    json_t *copy = json_deep_copy(json);
    return copy ? from_json(ctx, copy, name, out, err) : no_memory(err);
}

const json_t *taxonomy_json(const taxonomy *t) { return t->json; }

void taxonomy_free(taxonomy *t) {
    if (t) {
        json_decref(t->json);
        ctx_free(t->ctx, t->attributes);
        ctx_free(t->ctx, t->sources);
        ctx_free(t->ctx, t->entries);
        ctx_free(t->ctx, t);
    }
}

/* ---- asking ---- */

const char *taxonomy_name(const taxonomy *t) { return t->name; }
const char *taxonomy_about(const taxonomy *t) { return t->about; }
size_t taxonomy_attributes(const taxonomy *t) { return t->n_attributes; }
const char *taxonomy_attribute_name(const taxonomy *t, size_t a) { return t->attributes[a].name; }
const char *taxonomy_attribute_title(const taxonomy *t, size_t a) { return t->attributes[a].title; }
size_t taxonomy_values(const taxonomy *t, size_t a) { return t->attributes[a].n_values; }
const char *taxonomy_value_name(const taxonomy *t, size_t a, size_t v) { return t->attributes[a].values[v].name; }
size_t taxonomy_sources(const taxonomy *t) { return t->n_sources; }
const char *taxonomy_source_name(const taxonomy *t, size_t s) { return t->sources[s].name; }
const char *taxonomy_source_kind(const taxonomy *t, size_t s) { return t->sources[s].kind; }
const char *taxonomy_source_note(const taxonomy *t, size_t s) { return t->sources[s].note; }
size_t taxonomy_aliases(const taxonomy *t, size_t s) { return json_array_size(t->sources[s].aliases); }
size_t taxonomy_of(const taxonomy *t, size_t s, size_t a) { return t->sources[s].value[a]; }

const char *taxonomy_alias(const taxonomy *t, size_t s, size_t alias) {
    return json_string_value(json_array_get(t->sources[s].aliases, alias));
}

size_t taxonomy_attribute(const taxonomy *t, const char *name) {
    for (size_t i = 0; i < t->n_attributes; i++) {
        if (strcmp(t->attributes[i].name, name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

size_t taxonomy_value(const taxonomy *t, size_t a, const char *text) {
    for (size_t i = 0; i < t->attributes[a].n_values; i++) {
        if (is_called(t->attributes[a].values[i].name, t->attributes[a].values[i].aliases, text)) {
            return i;
        }
    }
    return SIZE_MAX;
}

size_t taxonomy_find(const taxonomy *t, const char *name) {
    const entry wanted = {name, 0};
    const entry *found = bsearch(&wanted, t->entries, t->n_entries, sizeof wanted, by_name);
    for (size_t i = 0; !found && i < t->n_entries; i++) {
        found = strcasecmp(t->entries[i].name, name) == 0 ? &t->entries[i] : NULL;
    }
    return found ? found->source : SIZE_MAX;
}

size_t taxonomy_find_suffix(const taxonomy *t, const char *utterance, size_t *prefix) {
    size_t length = strlen(utterance), best = 0, found = SIZE_MAX;
    for (size_t i = 0; i < t->n_entries; i++) {
        size_t n = strlen(t->entries[i].name);
        if (n > best && n + 1 < length && utterance[length - n - 1] == '_' &&
            memcmp(utterance + length - n, t->entries[i].name, n) == 0) {
            best = n;
            found = t->entries[i].source;
            *prefix = length - n - 1;
        }
    }
    return found;
}
