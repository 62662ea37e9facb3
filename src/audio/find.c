/* find.c: see find.h. */
#define _GNU_SOURCE
#include "audio/find.h"
#include <errno.h>
#include <fts.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

bool audio_is_named(const char *name) {
    static const char *const endings[] = {"wav", "flac", "ogg", "oga",  "opus", "mp3", "aiff", "aif",  "aifc", "au",
                                          "snd", "caf",  "w64", "rf64", "voc",  "gsm", "sph",  "nist", NULL};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && endings[i] != NULL; i++) {
        if (strcasecmp(dot + 1, endings[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

static bool is_wanted(const FTSENT *e) {
    struct stat st;
    switch (e->fts_info) {
    case FTS_F:
    case FTS_NS: return audio_is_named(e->fts_name);
    case FTS_SL:
    case FTS_SLNONE: return audio_is_named(e->fts_name) && !(stat(e->fts_path, &st) == 0 && S_ISDIR(st.st_mode));
    case FTS_DNR:
    case FTS_ERR: return true;
    default: return false;
    }
}

static spoor_status cannot_search(const char *folder, spoor_error *err) {
    return error_set(err, SPOOR_ERR_IO, "cannot search the folder %s: %s", folder, strerror(errno));
}

spoor_status audio_find(spoor_context *ctx, const char *folder,
                        spoor_status (*take)(void *user, const char *path, spoor_error *err), void *user,
                        spoor_error *err) {
    char *copy = ctx_strdup(ctx, folder);
    if (copy == NULL) {
        return error_memory(err, "listing files");
    }
    FTS *tree = fts_open((char *const[]){copy, NULL}, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    spoor_status status = tree == NULL ? cannot_search(folder, err) : SPOOR_OK;
    while (status == SPOOR_OK) {
        errno = 0;
        const FTSENT *e = fts_read(tree);
        if (e == NULL) {
            status = errno == 0 ? SPOOR_OK : cannot_search(folder, err);
            break;
        }
        status = is_wanted(e) ? take(user, e->fts_path, err) : SPOOR_OK;
    }
    if (tree != NULL) {
        (void)fts_close(tree);
    }
    ctx_free(ctx, copy);
    return status;
}
