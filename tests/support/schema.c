/* schema.c: see schema.h. */
#include "support/schema.h"
#include <regex.h>
#include <stdio.h>
#include <string.h>

typedef struct place { /* where we are, for complaints */
    const struct place *up;
    const char *key;
    size_t index;
} place;

typedef struct check {
    const json_t *root;
    char *why;
    size_t room;
} check;

static bool validate(const check *c, const json_t *schema, const json_t *value, const place *at);

static size_t print_place(char *out, size_t room, const place *at) {
    if (at == NULL || room < 2) {
        return 0;
    }
    size_t n = print_place(out, room, at->up);
    int more =
        at->key != NULL ? snprintf(out + n, room - n, ".%s", at->key) : snprintf(out + n, room - n, "[%zu]", at->index);
    size_t used = more < 0 ? n : n + (size_t)more;
    return used < room ? used : room - 1;
}

static bool complain(const check *c, const place *at, const char *what, const char *detail) {
    if (c->room > 0) {
        size_t n = print_place(c->why, c->room, at);
        (void)snprintf(c->why + n, c->room - n, ": %s %s", what, detail);
    }
    return false;
}

static bool has_type(const json_t *value, const char *type) {
    if (type == NULL) {
        return false;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT: return strcmp(type, "object") == 0;
    case JSON_ARRAY: return strcmp(type, "array") == 0;
    case JSON_STRING: return strcmp(type, "string") == 0;
    case JSON_INTEGER: return strcmp(type, "integer") == 0 || strcmp(type, "number") == 0;
    case JSON_REAL: return strcmp(type, "number") == 0;
    case JSON_TRUE:
    case JSON_FALSE: return strcmp(type, "boolean") == 0;
    case JSON_NULL: return strcmp(type, "null") == 0;
    }
    return false;
}

static bool check_type(const check *c, const json_t *rule, const json_t *value, const place *at) {
    bool good = json_is_string(rule) && has_type(value, json_string_value(rule));
    for (size_t i = 0; i < json_array_size(rule); i++) {
        good = good || has_type(value, json_string_value(json_array_get(rule, i)));
    }
    return good || complain(c, at, "is of the wrong type", "");
}

static bool check_required(const check *c, const json_t *rule, const json_t *value, const place *at) {
    for (size_t i = 0; json_is_object(value) && i < json_array_size(rule); i++) {
        const char *key = json_string_value(json_array_get(rule, i));
        if (key == NULL || json_object_get(value, key) == NULL) {
            return complain(c, at, "lacks", key == NULL ? "?" : key);
        }
    }
    return true;
}

static bool check_properties(const check *c, json_t *rule, const json_t *value, const place *at) {
    const char *key;
    json_t *schema;
    json_object_foreach(rule, key, schema) {
        const json_t *member = json_object_get(value, key);
        place inner = {at, key, 0};
        if (member != NULL && !validate(c, schema, member, &inner)) {
            return false;
        }
    }
    return true;
}

static bool check_items(const check *c, const json_t *rule, const json_t *value, const place *at) {
    for (size_t i = 0; i < json_array_size(value); i++) {
        place inner = {at, NULL, i};
        if (!validate(c, rule, json_array_get(value, i), &inner)) {
            return false;
        }
    }
    return true;
}

static bool check_enum(const check *c, const json_t *rule, const json_t *value, const place *at) {
    for (size_t i = 0; i < json_array_size(rule); i++) {
        if (json_equal(json_array_get(rule, i), value)) {
            return true;
        }
    }
    return complain(c, at, "is none of the permitted values", "");
}

static bool check_one_of(const check *c, const json_t *rule, const json_t *value, const place *at) {
    size_t matches = 0, room = c->room / 2 < 400 ? c->room / 2 : 400;
    char why[2][400] = {"", ""};
    for (size_t i = 0; i < json_array_size(rule); i++) {
        check inner = {c->root, why[i < 1 ? 0 : 1], room};
        matches += validate(&inner, json_array_get(rule, i), value, at);
    }
    if (matches == 1) {
        return true;
    }
    char detail[900];
    (void)snprintf(detail, sizeof detail, "%zu of the choices (%s | %s)", matches, why[0], why[1]);
    return complain(c, at, "matches", detail);
}

static bool check_ref(const check *c, const json_t *rule, const json_t *value, const place *at) {
    static const char start[] = "#/$defs/";
    const char *name = json_string_value(rule);
    const json_t *schema = NULL;
    if (name != NULL && strncmp(name, start, sizeof start - 1) == 0) {
        schema = json_object_get(json_object_get(c->root, "$defs"), name + sizeof start - 1);
    }
    return schema == NULL ? complain(c, at, "the schema has no", name == NULL ? "?" : name)
                          : validate(c, schema, value, at);
}

static bool check_bound(const check *c, const json_t *rule, const json_t *value, const place *at, bool upper) {
    if (!json_is_number(value)) {
        return true;
    }
    double x = json_number_value(value), bound = json_number_value(rule);
    return (upper ? x <= bound : x >= bound) || complain(c, at, upper ? "is over" : "is under", "its limit");
}

static bool check_pattern(const check *c, const json_t *rule, const json_t *value, const place *at) {
    regex_t pattern;
    if (!json_is_string(rule) || regcomp(&pattern, json_string_value(rule), REG_EXTENDED | REG_NOSUB) != 0) {
        return complain(c, at, "the schema has an unusable pattern", "");
    }
    bool good = !json_is_string(value) || regexec(&pattern, json_string_value(value), 0, NULL, 0) == 0;
    regfree(&pattern);
    return good || complain(c, at, "does not match", json_string_value(rule));
}

static bool validate(const check *c, const json_t *schema, const json_t *value, const place *at) {
    const char *key;
    json_t *rule;
    if (!json_is_object(schema)) {
        return complain(c, at, "the schema is no object", "");
    }
    json_object_foreach((json_t *)(size_t)schema, key, rule) {
        bool good;
        if (strcmp(key, "type") == 0) {
            good = check_type(c, rule, value, at);
        } else if (strcmp(key, "required") == 0) {
            good = check_required(c, rule, value, at);
        } else if (strcmp(key, "properties") == 0) {
            good = check_properties(c, rule, value, at);
        } else if (strcmp(key, "items") == 0) {
            good = check_items(c, rule, value, at);
        } else if (strcmp(key, "enum") == 0) {
            good = check_enum(c, rule, value, at);
        } else if (strcmp(key, "oneOf") == 0) {
            good = check_one_of(c, rule, value, at);
        } else if (strcmp(key, "$ref") == 0) {
            good = check_ref(c, rule, value, at);
        } else if (strcmp(key, "minimum") == 0 || strcmp(key, "maximum") == 0) {
            good = check_bound(c, rule, value, at, key[1] == 'a');
        } else if (strcmp(key, "pattern") == 0) {
            good = check_pattern(c, rule, value, at);
        } else {
            good = strcmp(key, "$schema") == 0 || strcmp(key, "title") == 0 || strcmp(key, "description") == 0 ||
                   strcmp(key, "$defs") == 0 || complain(c, at, "the validator does not know the keyword", key);
        }
        if (!good) {
            return false;
        }
    }
    return true;
}

bool schema_valid(const json_t *schema, const json_t *value, char *why, size_t room) {
    if (room > 0) {
        why[0] = '\0';
    }
    check c = {schema, why, room};
    place top = {NULL, "value", 0};
    return validate(&c, schema, value, &top);
}
