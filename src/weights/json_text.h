/* json_text.h: how much a JSON text would become once parsed, told beforehand: jansson spends up to a hundred bytes on
 * a value of two, and recurses into what is nested. */
#ifndef WEIGHTS_JSON_TEXT_H
#define WEIGHTS_JSON_TEXT_H
#include <stdbool.h>
#include <stddef.h>

typedef struct json_bounds {
    size_t depth;  /* of objects and lists */
    size_t values; /* at most so many */
} json_bounds;

static inline json_bounds json_measure(const char *text, size_t n) {
    json_bounds b = {0, 1};
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            b.values++;
            depth++;
            b.depth = depth > b.depth ? depth : b.depth;
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else if (c == ',') {
            b.values++;
        }
    }
    return b;
}
#endif
