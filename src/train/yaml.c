/* yaml.c: see yaml.h. libyaml splits the text into events; this file builds the value. */
#include "train/yaml.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct builder {
    yaml_parser_t parser;
    const char *name;
    size_t nodes;
    spoor_error *err;
} builder;

static spoor_status fail(builder *b, const yaml_event_t *event, spoor_status status, const char *what) {
    return error_set(b->err, status, "%s, line %zu: %s", b->name, event->start_mark.line + 1, what);
}

static spoor_status next_event(builder *b, yaml_event_t *event) {
    if (yaml_parser_parse(&b->parser, event)) {
        return SPOOR_OK;
    }
    memset(event, 0, sizeof *event);
    if (b->parser.error == YAML_MEMORY_ERROR) {
        return error_memory(b->err, "reading YAML");
    }
    return error_set(b->err, SPOOR_ERR_USAGE, "%s, line %zu: %s%s%s", b->name, b->parser.problem_mark.line + 1,
                     b->parser.problem ? b->parser.problem : "not YAML", b->parser.context ? " " : "",
                     b->parser.context ? b->parser.context : "");
}

/* Digits, perhaps signed, perhaps with a fraction and an exponent; *whole = no fraction and no exponent. */
static bool is_number(const char *s, bool *whole) {
    const char *digits = "0123456789";
    s += *s == '-' || *s == '+';
    size_t before = strspn(s, digits), after = 0;
    s += before;
    *whole = true;
    if (*s == '.') {
        *whole = false;
        after = strspn(++s, digits);
        s += after;
    }
    if (before + after == 0) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        *whole = false;
        s++;
        s += *s == '-' || *s == '+';
        size_t exponent = strspn(s, digits);
        if (exponent == 0) {
            return false;
        }
        s += exponent;
    }
    return *s == '\0';
}

json_t *yaml_scalar(const char *text, size_t size) {
    char copy[64];
    if (size < sizeof copy && !memchr(text, 0, size)) {
        memcpy(copy, text, size);
        copy[size] = '\0';
        if (size == 0 || strcmp(copy, "~") == 0 || strcmp(copy, "null") == 0) {
            return json_null();
        }
        if (strcmp(copy, "true") == 0 || strcmp(copy, "false") == 0) {
            return json_boolean(copy[0] == 't');
        }
        bool whole;
        if (is_number(copy, &whole)) {
            errno = 0;
            if (whole) {
                long long value = strtoll(copy, NULL, 10);
                if (errno == 0) {
                    return json_integer(value);
                }
            }
            double value = strtod(copy, NULL);
            return isfinite(value) ? json_real(value) : json_stringn(text, size);
        }
    }
    return json_stringn(text, size);
}

static spoor_status build(builder *b, yaml_event_t *event, int depth, json_t **out);

static spoor_status build_list(builder *b, int depth, json_t *list) {
    for (;;) {
        yaml_event_t event;
        TRY(next_event(b, &event));
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return SPOOR_OK;
        }
        json_t *value = NULL;
        spoor_status status = build(b, &event, depth, &value);
        yaml_event_delete(&event);
        if (status == SPOOR_OK && json_array_append_new(list, value) != 0) {
            status = error_memory(b->err, "reading YAML");
        }
        TRY(status);
    }
}

static spoor_status build_pair(builder *b, const yaml_event_t *key, int depth, json_t *object) {
    if (key->type != YAML_SCALAR_EVENT || key->data.scalar.anchor || key->data.scalar.tag) {
        return fail(b, key, SPOOR_ERR_USAGE, "a key must be a plain name");
    }
    const char *name = (const char *)key->data.scalar.value;
    if (key->data.scalar.length == 0 || strlen(name) != key->data.scalar.length) {
        return fail(b, key, SPOOR_ERR_USAGE, "a key must be a plain name");
    }
    if (json_object_get(object, name)) {
        return error_set(b->err, SPOOR_ERR_USAGE, "%s, line %zu: the key %.100s stands twice", b->name,
                         key->start_mark.line + 1, name);
    }
    yaml_event_t event;
    TRY(next_event(b, &event));
    json_t *value = NULL;
    spoor_status status = build(b, &event, depth, &value);
    yaml_event_delete(&event);
    if (status == SPOOR_OK && json_object_set_new(object, name, value) != 0) {
        return fail(b, key, SPOOR_ERR_USAGE, "a key must be UTF-8 text");
    }
    return status;
}

static spoor_status build_object(builder *b, int depth, json_t *object) {
    for (;;) {
        yaml_event_t key;
        TRY(next_event(b, &key));
        bool end = key.type == YAML_MAPPING_END_EVENT;
        spoor_status status = end ? SPOOR_OK : build_pair(b, &key, depth, object);
        yaml_event_delete(&key);
        if (end || status != SPOOR_OK) {
            return status;
        }
    }
}

static spoor_status build(builder *b, yaml_event_t *event, int depth, json_t **out) {
    if (depth > YAML_MAX_DEPTH) {
        return fail(b, event, SPOOR_ERR_LIMIT, "nested too deeply");
    }
    if (++b->nodes > YAML_MAX_NODES) {
        return fail(b, event, SPOOR_ERR_LIMIT, "too many values");
    }
    bool list = event->type == YAML_SEQUENCE_START_EVENT, object = event->type == YAML_MAPPING_START_EVENT;
    if (event->type == YAML_ALIAS_EVENT || (list && event->data.sequence_start.anchor) ||
        (object && event->data.mapping_start.anchor) ||
        (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor)) {
        return fail(b, event, SPOOR_ERR_USAGE, "anchors and aliases (& and *) are not allowed; quote a text that "
                                               "begins so");
    }
    if ((list && event->data.sequence_start.tag) || (object && event->data.mapping_start.tag) ||
        (event->type == YAML_SCALAR_EVENT && event->data.scalar.tag)) {
        return fail(b, event, SPOOR_ERR_USAGE, "tags (!) are not allowed; quote a text that begins so");
    }
    if (event->type == YAML_SCALAR_EVENT) {
        const char *text = (const char *)event->data.scalar.value;
        size_t size = event->data.scalar.length;
        *out = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? yaml_scalar(text, size) : json_stringn(text, size);
        return *out ? SPOOR_OK : fail(b, event, SPOOR_ERR_USAGE, "a value must be UTF-8 text");
    }
    if (!list && !object) {
        return fail(b, event, SPOOR_ERR_USAGE, "a value is missing");
    }
    json_t *made = list ? json_array() : json_object();
    if (!made) {
        return error_memory(b->err, "reading YAML");
    }
    spoor_status status = list ? build_list(b, depth + 1, made) : build_object(b, depth + 1, made);
    if (status != SPOOR_OK) {
        json_decref(made);
        return status;
    }
    *out = made;
    return SPOOR_OK;
}

/* stream start, document start, the value, document end, stream end */
static spoor_status parse_stream(builder *b, json_t **out) {
    const yaml_event_type_t around[] = {YAML_STREAM_START_EVENT, YAML_DOCUMENT_START_EVENT, YAML_NO_EVENT,
                                        YAML_DOCUMENT_END_EVENT, YAML_STREAM_END_EVENT};
    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
        yaml_event_t event;
        TRY(next_event(b, &event));
        spoor_status status = SPOOR_OK;
        if (around[i] == YAML_NO_EVENT) {
            status = build(b, &event, 0, out);
        } else if (event.type != around[i]) {
            status = fail(b, &event, SPOOR_ERR_USAGE,
                          i == 1 ? "the file is empty" : "there is more than one document in the file");
        }
        yaml_event_delete(&event);
        TRY(status);
    }
    return SPOOR_OK;
}

spoor_status yaml_parse(const char *name, const void *text, size_t size, json_t **out, spoor_error *err) {
    *out = NULL;
    if (size > YAML_MAX_BYTES) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s has %zu bytes, over the limit of %d", name, size, YAML_MAX_BYTES);
    }
    builder b = {.name = name, .err = err};
    if (!yaml_parser_initialize(&b.parser)) {
        return error_memory(err, "reading YAML");
    }
    yaml_parser_set_input_string(&b.parser, text, size);
    json_t *value = NULL;
    spoor_status status = parse_stream(&b, &value);
    yaml_parser_delete(&b.parser);
    if (status != SPOOR_OK) {
        json_decref(value);
        return status;
    }
    *out = value;
    return SPOOR_OK;
}
