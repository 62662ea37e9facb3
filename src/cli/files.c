/* files.c: see files.h. */
#define _GNU_SOURCE
#include "cli/files.h"
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

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

static bool is_audio(const char *name) {
    static const char *const endings[] = {"wav", "flac", "ogg", "oga", "opus", "mp3", "aiff", "aif", "aifc", "au", "snd",
                                          "caf", "w64", "rf64", "voc", "gsm", "sph", "nist", NULL};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && endings[i] != NULL; i++) {
        if (strcasecmp(dot + 1, endings[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

/* Every audio file below the folder. A folder without any is listed itself, so that it is reported among the others. */
static spoor_status add_folder(cli_files *f, const char *path, spoor_error *err) {
    char *copy = strdup(path);
    FTS *tree = copy == NULL ? NULL : fts_open((char *const[]){copy, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    size_t before = f->n;
    spoor_status status = SPOOR_OK;
    for (FTSENT *e; tree != NULL && status == SPOOR_OK && (e = fts_read(tree)) != NULL;) {
        if ((e->fts_info == FTS_F && is_audio(e->fts_name)) || e->fts_info == FTS_DNR) {
            status = add_one(f, e->fts_path, err);
        }
    }
    if (tree != NULL) {
        (void)fts_close(tree);
    }
    free(copy);
    return status == SPOOR_OK && f->n == before ? add_one(f, path, err) : status;
}

spoor_status cli_files_add(cli_files *f, const char *path, spoor_error *err) {
    struct stat st;
    if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return add_folder(f, path, err);
    }
    return add_one(f, path, err);
}

spoor_status cli_files_add_list(cli_files *f, const char *path, spoor_error *err) {
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (in == NULL) {
        return error_set(err, SPOOR_ERR_IO, "cannot read the list %s: %s", path, strerror(errno));
    }
    char *line = NULL;
    size_t room = 0;
    spoor_status status = SPOOR_OK;
    for (ssize_t n; status == SPOOR_OK && (n = getline(&line, &room, in)) >= 0;) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) {
            line[--n] = '\0';
        }
        if (n > 0) {
            status = add_one(f, line, err);
        }
    }
    if (status == SPOOR_OK && ferror(in)) {
        status = error_set(err, SPOOR_ERR_IO, "cannot read the list %s: %s", path, strerror(errno));
    }
    free(line);
    if (in != stdin) {
        (void)fclose(in);
    }
    return status;
}
