/* text.c: see text.h. */
#include "base/text.h"
#include <string.h>

size_t text_sequence(const char *bytes, size_t n) {
    const unsigned char *s = (const unsigned char *)bytes;
    size_t len = s[0] < 0x80                   ? 1
                 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                 : (s[0] & 0xf0) == 0xe0       ? 3
                 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                               : 0;
    if (len == 0 || len > n) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool beyond = (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf4 && s[1] >= 0x90);
    return overlong || beyond ? 0 : len;
}

bool text_is_plain(const char *s) {
    for (size_t n = strlen(s), i = 0, len; i < n; i += len) {
        const unsigned char *c = (const unsigned char *)s + i;
        len = text_sequence(s + i, n - i);
        if (len == 0 || *c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0)) {
            return false;
        }
    }
    return true;
}
