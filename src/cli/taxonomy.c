/* taxonomy.c: `spoor taxonomy`: how sources are built, as a table or as JSON; looks one up. */
#include "data/taxonomy.h"
#include "cli/cli.h"
#include "cli/ui.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_JSON = 256, KEY_FIND };

typedef struct options {
    const char *path, *find;
    bool json;
} options;

static const struct argp_option OPTIONS[] = {
    {"find", KEY_FIND, "NAME", 0, "only the source of this name or alias, or by which this utterance's id ends", 0},
    {"json", KEY_JSON, NULL, 0, "as JSON (docs/data.md)", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case KEY_JSON: o->json = true; return 0;
    case KEY_FIND: o->find = arg; return 0;
    case ARGP_KEY_ARG:
        if (o->path) {
            argp_error(state, "name one taxonomy");
        }
        o->path = arg;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp ARGP = {
    OPTIONS,
    parse,
    "[FILE]",
    "List and check a taxonomy: for each source how it is built. Without FILE the one that is built "
    "in: the codecs and systems of CodecFake+.",
    NULL,
    NULL,
    NULL};

static const char *value_of(const taxonomy *t, size_t source, size_t attribute) {
    size_t v = taxonomy_of(t, source, attribute);
    return v == SIZE_MAX ? "" : taxonomy_value_name(t, attribute, v);
}

static size_t count(const taxonomy *t, size_t attribute, size_t value) {
    size_t n = 0;
    for (size_t s = 0; s < taxonomy_sources(t); s++) {
        n += taxonomy_of(t, s, attribute) == value;
    }
    return n;
}

/* ---- JSON ---- */

static json_t *attribute_json(const taxonomy *t, size_t a) {
    json_t *values = json_array();
    for (size_t v = 0; v < taxonomy_values(t, a); v++) {
        json_array_append_new(values, json_pack("{s:s,s:I}", "name", taxonomy_value_name(t, a, v), "sources",
                                                (json_int_t)count(t, a, v)));
    }
    return json_pack("{s:s,s:o}", "title", taxonomy_attribute_title(t, a), "values", values);
}

static json_t *source_json(const taxonomy *t, size_t s) {
    json_t *j = json_pack("{s:s,s:s}", "name", taxonomy_source_name(t, s), "kind", taxonomy_source_kind(t, s));
    for (size_t a = 0; a < taxonomy_attributes(t); a++) {
        const char *value = value_of(t, s, a);
        json_object_set_new(j, taxonomy_attribute_name(t, a), *value ? json_string(value) : json_null());
    }
    json_t *aliases = json_array();
    for (size_t i = 0; i < taxonomy_aliases(t, s); i++) {
        json_array_append_new(aliases, json_string(taxonomy_alias(t, s, i)));
    }
    json_object_set_new(j, "aliases", aliases);
    json_object_set_new(j, "note", json_string(taxonomy_source_note(t, s)));
    return j;
}

static spoor_status print_json(json_t *j, spoor_error *err) {
    spoor_status status = ui_json(j, JSON_INDENT(1), err);
    json_decref(j);
    return status;
}

static json_t *whole_json(const taxonomy *t) {
    json_t *attributes = json_object(), *sources = json_array();
    for (size_t a = 0; a < taxonomy_attributes(t); a++) {
        json_object_set_new(attributes, taxonomy_attribute_name(t, a), attribute_json(t, a));
    }
    for (size_t s = 0; s < taxonomy_sources(t); s++) {
        json_array_append_new(sources, source_json(t, s));
    }
    return json_pack("{s:s,s:s,s:o,s:o}", "name", taxonomy_name(t), "about", taxonomy_about(t), "attributes",
                     attributes, "sources", sources);
}

/* ---- text ---- */

/* Names are the file's: no control characters reach the terminal. Padded to width. */
static void print_plain(const char *text, size_t width) {
    size_t n = 0;
    for (; text[n]; n++) {
        putchar((unsigned char)text[n] < 32 || text[n] == 127 ? '?' : text[n]);
    }
    printf("%*s", n < width ? (int)(width - n) : 0, "");
}

static void print_source(const taxonomy *t, size_t s, size_t width) {
    print_plain(taxonomy_source_name(t, s), width + 2);
    print_plain(taxonomy_source_kind(t, s), 8);
    for (size_t a = 0; a < taxonomy_attributes(t); a++) {
        const char *value = value_of(t, s, a);
        print_plain(*value ? value : "?", 13);
    }
    for (size_t i = 0; i < taxonomy_aliases(t, s); i++) {
        printf("%s", i ? ", " : "also ");
        print_plain(taxonomy_alias(t, s, i), 0);
    }
    printf("\n");
}

static void print_head(const taxonomy *t, size_t width) {
    print_plain("source", width + 2);
    print_plain("kind", 8);
    for (size_t a = 0; a < taxonomy_attributes(t); a++) {
        print_plain(taxonomy_attribute_name(t, a), 13);
    }
    printf("\n");
}

static void print_whole(const taxonomy *t) {
    size_t width = 0;
    print_plain(taxonomy_name(t), 0);
    printf(": %zu sources\n", taxonomy_sources(t));
    for (size_t a = 0; a < taxonomy_attributes(t); a++) {
        printf("  ");
        print_plain(taxonomy_attribute_name(t, a), 6);
        print_plain(taxonomy_attribute_title(t, a), 22);
        for (size_t v = 0; v < taxonomy_values(t, a); v++) {
            printf("%s%zu ", v ? ", " : "", v);
            print_plain(taxonomy_value_name(t, a, v), 0);
            printf(" (%zu)", count(t, a, v));
        }
        printf("\n");
    }
    printf("\n");
    for (size_t s = 0; s < taxonomy_sources(t); s++) {
        size_t n = strlen(taxonomy_source_name(t, s));
        width = n > width ? n : width;
    }
    print_head(t, width);
    for (size_t s = 0; s < taxonomy_sources(t); s++) {
        print_source(t, s, width);
    }
    for (size_t s = 0; s < taxonomy_sources(t); s++) {
        if (*taxonomy_source_note(t, s)) {
            printf("%s: ", taxonomy_source_name(t, s));
            print_plain(taxonomy_source_note(t, s), 0);
            printf("\n");
        }
    }
}

static spoor_status show(const options *o, const taxonomy *t, spoor_error *err) {
    if (!o->find) {
        if (o->json) {
            return print_json(whole_json(t), err);
        }
        print_whole(t);
        return SPOOR_OK;
    }
    size_t prefix, source = taxonomy_find(t, o->find);
    source = source == SIZE_MAX ? taxonomy_find_suffix(t, o->find, &prefix) : source;
    if (source == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_INPUT, "%s has no source of the name %.200s, nor one by which it ends",
                         taxonomy_name(t), o->find);
    }
    if (o->json) {
        return print_json(source_json(t, source), err);
    }
    size_t width = strlen(taxonomy_source_name(t, source));
    print_head(t, width);
    print_source(t, source, width);
    return SPOOR_OK;
}

static spoor_status run(void *user, spoor_context *ctx, spoor_error *err) {
    options *o = user;
    taxonomy *t;
    TRY(taxonomy_open(ctx, o->path, &t, err));
    spoor_status status = show(o, t, err);
    taxonomy_free(t);
    return status == SPOOR_OK ? ui_flush(err) : status;
}

int cli_taxonomy(int argc, char **argv) {
    options o = {0};
    return ui_command(&ARGP, argc, argv, &o, run);
}
