/* html.h: is a page well formed? */
#ifndef TESTS_HTML_H
#define TESTS_HTML_H
#include "support/support.h"
#include <ctype.h>
#include <string.h>

/* Every tag that is opened is closed, in order. */
static inline void html_is_balanced(const char *html) {
    char open[64][16];
    size_t depth = 0;
    for (const char *c = html; (c = strchr(c, '<')) != NULL; c++) {
        bool closing = c[1] == '/';
        char name[16] = "";
        size_t n = 0;
        for (const char *k = c + 1 + closing; n < 15 && isalnum((unsigned char)*k); k++) {
            name[n++] = *k;
        }
        name[n] = '\0';
        const char *end = strchr(c, '>');
        assert_non_null(end);
        if (n == 0 || end[-1] == '/' || strcmp(name, "meta") == 0 || strcmp(name, "br") == 0 ||
            strcmp(name, "img") == 0) {
            continue;
        }
        if (closing) {
            assert_true(depth > 0);
            assert_string_equal(open[--depth], name);
        } else {
            assert_true(depth < 64);
            memcpy(open[depth++], name, sizeof name);
        }
    }
    assert_int_equal(depth, 0);
}
#endif
