/* error.c: status names, version, and the one place that formats error sentences. */
#include "base/error.h"
#include <stdarg.h>
#include <stdio.h>

#ifndef SPOOR_VERSION
#define SPOOR_VERSION "0.1.0"
#endif

const char *spoor_version(void) { return SPOOR_VERSION; }

const char *spoor_status_name(spoor_status status) {
    switch (status) {
    case SPOOR_OK: return "ok";
    case SPOOR_ERR_USAGE: return "usage";
    case SPOOR_ERR_INPUT: return "input";
    case SPOOR_ERR_MODEL: return "model";
    case SPOOR_ERR_LIMIT: return "limit";
    case SPOOR_ERR_IO: return "io";
    case SPOOR_ERR_CANCELLED: return "cancelled";
    }
    return "unknown";
}

spoor_status error_set(spoor_error *err, spoor_status status, const char *format, ...) {
    if (err == NULL) {
        return status;
    }
    err->status = status;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n < 0) {
        err->message[0] = '\0';
    }
    for (char *c = err->message; *c != '\0'; c++) {
        unsigned char u = (unsigned char)*c;
        if (u < 0x20 || u == 0x7f) {
            *c = '?';
        } else if (u == 0xc2 && (unsigned char)c[1] >= 0x80 && (unsigned char)c[1] < 0xa0) { /* C1: terminals obey it */
            c[0] = c[1] = '?';
        }
    }
    return status;
}

spoor_status error_memory(spoor_error *err, const char *what) {
    return error_set(err, SPOOR_ERR_LIMIT, "out of memory while %s", what);
}
