/* protocol_folder.c: data sets without a list, where folders say what a recording is. */
#include "audio/find.h"
#include "data/protocol_internal.h"
#include <string.h>
#include <sys/stat.h>

typedef struct scan {
    protocol_table *table;
    size_t prefix; /* bytes of a path before what is told by its folders */
} scan;

/* What one folder of a path says. */
typedef spoor_status (*folder_word)(protocol_line *l, const char *word, spoor_error *err);

/* The split or the label, or else the class: the first folder that is none of these. */
static spoor_status plain_word(protocol_line *l, const char *word, spoor_error *err) {
    const char *split = strpbrk(word, "-_. ") ? NULL : protocol_split_word(word), *label = protocol_label(word);
    (void)err;
    if (split) {
        l->cell[P_SPLIT] = split;
    } else if (label) {
        l->cell[P_LABEL] = label;
    } else if (!*l->cell[P_SOURCE]) {
        l->cell[P_SOURCE] = word;
    }
    return SPOOR_OK;
}

/* DATASET_GradTTS/train/x.wav, DATASET_VCTK_BONAFIDE/test/y.wav */
static spoor_status dfadd_word(protocol_line *l, const char *word, spoor_error *err) {
    if (strncmp(word, "DATASET_", 8) != 0) {
        return plain_word(l, word, err);
    }
    if (strstr(word, "BONAFIDE")) {
        l->cell[P_LABEL] = "bonafide";
    } else {
        l->cell[P_SOURCE] = word + 8;
    }
    return SPOOR_OK;
}

/* generated_audio/ljspeech_melgan/x.wav, real_audio/jsut_ver1.1/basic5000/y.wav: the corpus stands before the system.
 */
static spoor_status wavefake_word(protocol_line *l, const char *word, spoor_error *err) {
    static const char *const CORPORA[][2] = {
        {"ljspeech_", "ljspeech"}, {"jsut_", "jsut"}, {"common_voices_prompts_from_", "common_voices"}};
    (void)err;
    if (strcmp(word, "generated_audio") == 0) {
        l->cell[P_LABEL] = "spoof";
    } else if (strcmp(word, "real_audio") == 0 || strncmp(word, "LJSpeech", 8) == 0 ||
               strncmp(word, "jsut_ver", 8) == 0) {
        l->cell[P_LABEL] = "bonafide";
    } else if (!*l->cell[P_SOURCE]) {
        l->cell[P_SOURCE] = word;
        for (size_t i = 0; i < sizeof CORPORA / sizeof *CORPORA; i++) {
            size_t n = strlen(CORPORA[i][0]);
            if (strncmp(word, CORPORA[i][0], n) == 0 && word[n]) {
                l->cell[P_SOURCE] = word + n;
                l->cell[P_CORPUS] = CORPORA[i][1];
            }
        }
    }
    return SPOOR_OK;
}

static folder_word word_of(const protocol_format *f) {
    return f == &PROTOCOL_DFADD ? dfadd_word : f == &PROTOCOL_WAVEFAKE ? wavefake_word : plain_word;
}

static spoor_status take(void *user, const char *path, spoor_error *err) {
    scan *s = user;
    protocol_table *t = s->table;
    if (!audio_is_named(path)) {
        return error_set(err, SPOOR_ERR_IO, "cannot search the folder %s", path);
    }
    const char *relative = path + s->prefix;
    protocol_line l = {.table = t};
    for (size_t i = 0; i < P_COUNT; i++) {
        l.cell[i] = "";
    }
    l.cell[P_SPLIT] = t->split;
    l.cell[P_PATH] = protocol_text(t, "%s", relative);
    char *words = ctx_strdup(t->ctx, relative);
    if (!l.cell[P_PATH] || !words) {
        ctx_free(t->ctx, words);
        return error_memory(err, "listing files");
    }
    spoor_status status = SPOOR_OK;
    for (char *word = words, *slash; status == SPOOR_OK && (slash = strchr(word, '/')); word = slash + 1) {
        *slash = '\0';
        status = *word ? word_of(t->format)(&l, word, err) : SPOOR_OK;
    }
    if (strcmp(l.cell[P_LABEL], "bonafide") == 0) {
        l.cell[P_SOURCE] = "bonafide";
    } else if (*l.cell[P_SOURCE]) {
        l.cell[P_LABEL] = "spoof";
        l.cell[P_SOURCE] = protocol_text(t, "%s", l.cell[P_SOURCE]); /* it pointed into words */
    }
    status = l.cell[P_SOURCE] ? protocol_add(t, 0, l.cell, err) : error_memory(err, "listing files");
    ctx_free(t->ctx, words);
    return status;
}

static spoor_status folder_read(protocol_table *t, const protocol_options *o, spoor_error *err) {
    (void)o;
    struct stat st;
    if (stat(t->path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return error_set(err, SPOOR_ERR_IO, "cannot search %s: the format %s needs a folder", t->path, t->format->name);
    }
    size_t n = strlen(t->path);
    while (n > 1 && t->path[n - 1] == '/') {
        n--;
    }
    char *folder = ctx_strndup(t->ctx, t->path, n);
    t->root = folder ? ctx_printf(t->ctx, "%s/", strcmp(folder, "/") == 0 ? "" : folder) : NULL;
    scan s = {t, t->root ? strlen(t->root) : 0};
    spoor_status status = t->root ? protocol_columns(t, err) : error_memory(err, "listing files");
    if (status == SPOOR_OK) {
        status = audio_find(t->ctx, folder, take, &s, err);
    }
    ctx_free(t->ctx, folder);
    if (status == SPOOR_OK && t->rows == 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "the folder %s holds no recording", t->path);
    }
    return status;
}

#define FOLDER_COLUMNS (P_BIT(P_PATH) | P_BIT(P_LABEL) | P_BIT(P_SOURCE) | P_BIT(P_SPLIT))
const protocol_format PROTOCOL_FOLDER = {.name = "folder",
                                         .summary = "a folder of folders, one for each class",
                                         .read = folder_read,
                                         .columns = FOLDER_COLUMNS};
const protocol_format PROTOCOL_DFADD = {.name = "dfadd",
                                        .summary = "DFADD as it is unpacked (DATASET_SYSTEM/SPLIT/)",
                                        .read = folder_read,
                                        .columns = FOLDER_COLUMNS};
const protocol_format PROTOCOL_WAVEFAKE = {.name = "wavefake",
                                           .summary = "WaveFake as it is unpacked (CORPUS_SYSTEM/)",
                                           .read = folder_read,
                                           .columns = FOLDER_COLUMNS | P_BIT(P_CORPUS)};
