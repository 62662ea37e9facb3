/* text.h: what may be shown of text that came from outside. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H
#include <stdbool.h>
#include <stddef.h>

/* Length in bytes of the valid UTF-8 sequence at s, of which n > 0 bytes are left; 0: there is none. */
size_t text_sequence(const char *s, size_t n);
/* Whether s is UTF-8 without control characters (C0, DEL, C1), which terminals would obey. */
bool text_is_plain(const char *s);
#endif
