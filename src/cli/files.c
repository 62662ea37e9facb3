/* files.c: see files.h. */
#define _GNU_SOURCE
#include "cli/files.h"
#include "audio/find.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void cli_files_init(cli_files *f, spoor_context *ctx) { *f = (cli_files){.ctx = ctx}; }

void cli_files_clear(cli_files *f) {
    for (size_t i = 0; i < f->n; i++) {
        ctx_free(f->ctx, f->paths[i]);
    }
    ctx_free(f->ctx, f->paths);
    *f = (cli_files){.ctx = f->ctx};
}

static spoor_status add_one(cli_files *f, const char *path, spoor_error *err) {
    if (!ctx_grow(f->ctx, (void **)&f->paths, &f->capacity, f->n + 1, sizeof *f->paths)) {
        return error_memory(err, "listing files");
    }
    f->paths[f->n] = ctx_strdup(f->ctx, path);
    if (f->paths[f->n] == NULL) {
        return error_memory(err, "listing files");
    }
    f->n++;
    return SPOOR_OK;
}

static spoor_status take(void *user, const char *path, spoor_error *err) { return add_one(user, path, err); }

/* Every audio file below the folder. A folder without any is listed itself, so that it is reported among the others. */
static spoor_status add_folder(cli_files *f, const char *path, spoor_error *err) {
    size_t before = f->n;
    TRY(audio_find(f->ctx, path, take, f, err));
    return f->n == before ? add_one(f, path, err) : SPOOR_OK;
}

spoor_status cli_files_add(cli_files *f, const char *path, spoor_error *err) {
    struct stat st;
    if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        f->searched = true;
        return add_folder(f, path, err);
    }
    return add_one(f, path, err);
}

/* One line without its end into line[CLI_FILES_MAX_PATH + 1]; *more = false after the last. */
static spoor_status read_line(FILE *in, const char *path, size_t number, char *line, bool *more, spoor_error *err) {
    size_t n = 0;
    int c;
    while ((c = getc(in)) != EOF && c != '\n') {
        if (c == '\0' || n == CLI_FILES_MAX_PATH) {
            return error_set(err, SPOOR_ERR_INPUT, "the list %s, line %zu: %s", path, number,
                             c == '\0' ? "a NUL byte; a list is text with one path a line" : "longer than any path");
        }
        line[n++] = (char)c;
    }
    if (ferror(in)) {
        return error_set(err, SPOOR_ERR_IO, "cannot read the list %s: %s", path, strerror(errno));
    }
    n -= n > 0 && line[n - 1] == '\r';
    line[n] = '\0';
    *more = c != EOF || n > 0;
    return SPOOR_OK;
}

spoor_status cli_files_add_list(cli_files *f, const char *path, spoor_error *err) {
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (in == NULL) {
        return error_set(err, SPOOR_ERR_IO, "cannot read the list %s: %s", path, strerror(errno));
    }
    f->searched = true;
    char *line = ctx_alloc(f->ctx, CLI_FILES_MAX_PATH + 1, 1);
    spoor_status status = line == NULL ? error_memory(err, "reading a list") : SPOOR_OK;
    bool more = true;
    for (size_t number = 1; status == SPOOR_OK && more; number++) {
        status = read_line(in, path, number, line, &more, err);
        if (status == SPOOR_OK && more && line[0] != '\0') {
            status = cli_files_add(f, line, err);
        }
    }
    ctx_free(f->ctx, line);
    if (in != stdin) {
        (void)fclose(in);
    }
    return status;
}

void cli_files_explain(const char *path, spoor_error *err) {
    struct stat st;
    if (err->status == SPOOR_ERR_INPUT && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
        access(path, R_OK | X_OK) == 0) {
        (void)error_set(err, SPOOR_ERR_INPUT, "the folder %.300s holds no recording (.wav, .flac, .ogg, .opus, .mp3, "
                                              "...)",
                        path);
    }
}
