/* torch_state.c: which mapping of a checkpoint is the state dict, and its tensors by name. The rule is in torch.h.
 *
 * A hostile pickle can hold a mapping in itself, or share one in so many places that a walk would never end. So a walk
 * keeps its path, which ends cycles, and pays for every pair that it looks at from a budget that any honest file
 * has. */
#include "weights/torch_internal.h"
#include <stdlib.h>
#include <string.h>

typedef struct search {
    spoor_context *ctx;
    const pickle *p;
    torch_zip *z;
    const char *file, *folder; /* the folder's name is not terminated */
    size_t folder_length;
    torch_views *out;
    pickle_value path[TORCH_MAX_NESTING];
    size_t depth, budget;
    char name[TORCH_MAX_NAME + 1]; /* of where the walk is */
} search;

static const char *const WRAPPERS[] = {"model", "state_dict", "model_state_dict", "model_weight", "net", "module"};

static bool is_wrapper(const pickle *p, pickle_value key) {
    for (size_t i = 0; i < sizeof WRAPPERS / sizeof *WRAPPERS; i++) {
        if (pickle_is_text(p, key, WRAPPERS[i])) {
            return true;
        }
    }
    return false;
}

static bool is_mapping(const pickle *p, pickle_value v) {
    pickle_value callee = pickle_callee(p, v);
    return pickle_kind_of(p, v) == PICKLE_DICT || pickle_is_global(p, callee, "collections", "OrderedDict") ||
           pickle_is_global(p, callee, "collections", "defaultdict");
}

/* ---- walking ---- */

/* *fresh: v is a mapping that the walk is not inside of already; then leave() must follow. */
static spoor_status enter(search *s, pickle_value v, bool *fresh, spoor_error *err) {
    *fresh = false;
    if (!is_mapping(s->p, v)) {
        return SPOOR_OK;
    }
    for (size_t i = 0; i < s->depth; i++) {
        if (s->path[i] == v) {
            return SPOOR_OK;
        }
    }
    if (s->depth >= TORCH_MAX_NESTING) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s: its mappings are nested deeper than the limit of %d", s->file,
                         TORCH_MAX_NESTING);
    }
    s->path[s->depth++] = v;
    *fresh = true;
    return SPOOR_OK;
}

static void leave(search *s) { s->depth--; }

static spoor_status pay(search *s, spoor_error *err) {
    if (s->budget == 0) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s: its mappings are shared in more places than in any checkpoint",
                         s->file);
    }
    s->budget--;
    return SPOOR_OK;
}

/* The tensors in a mapping; deep: also in the mappings in it. */
static spoor_status count_tensors(search *s, pickle_value mapping, bool deep, size_t *n, spoor_error *err) {
    pickle_iterator it = {0};
    pickle_value key, value;
    while (pickle_next_pair(s->p, mapping, &it, &key, &value)) {
        bool inside;
        TRY(pay(s, err));
        if (pickle_kind_of(s->p, key) != PICKLE_STRING) {
            continue;
        }
        *n += torch_tensor_is(s->p, value);
        if (deep) {
            TRY(enter(s, value, &inside, err));
            if (inside) {
                TRY(count_tensors(s, value, deep, n, err));
                leave(s);
            }
        }
    }
    return SPOOR_OK;
}

/* The best candidate that is `mapping` or is reached from it through wrappers, and how many tensors it counts. */
static spoor_status choose(search *s, pickle_value mapping, pickle_value *best, size_t *most, spoor_error *err) {
    pickle_iterator it = {0};
    pickle_value key, value;
    *best = mapping;
    *most = 0;
    while (pickle_next_pair(s->p, mapping, &it, &key, &value)) {
        pickle_value inner;
        size_t n;
        bool inside = false;
        TRY(pay(s, err));
        if (is_wrapper(s->p, key)) {
            TRY(enter(s, value, &inside, err));
        }
        if (inside) {
            TRY(choose(s, value, &inner, &n, err));
            leave(s);
            if (n > *most) {
                *best = inner;
                *most = n;
            }
        }
    }
    size_t own = 0;
    TRY(count_tensors(s, mapping, *most == 0, &own, err));
    if (own > *most) {
        *best = mapping;
        *most = own;
    }
    return SPOOR_OK;
}

/* ---- names ---- */

/* Length of the UTF-8 character at s, of which n bytes are there; 0 if it is none, or a control character. */
static size_t character(const unsigned char *s, size_t n) {
    size_t length = s[0] < 0x80                   ? 1
                    : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                    : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                    : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                  : 0;
    if (length == 0 || length > n || s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0)) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool outside = (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf4 && s[1] >= 0x90);
    return overlong || outside ? 0 : length;
}

/* Appends a key to s->name, which has `at` bytes; *end: how many it then has. */
static spoor_status append_key(search *s, pickle_value key, size_t at, size_t *end, spoor_error *err) {
    size_t size;
    const char *text = pickle_text(s->p, key, &size);
    *end = 0;
    if (size > TORCH_MAX_NAME - (at + (at > 0))) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s: a tensor's name is longer than the limit of %d bytes", s->file,
                         TORCH_MAX_NAME);
    }
    for (size_t i = 0, step; i < size; i += step) {
        step = character((const unsigned char *)text + i, size - i);
        if (step == 0) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: damaged: a tensor's name is not text (byte %zu of it)", s->file,
                             i);
        }
    }
    if (at > 0) {
        s->name[at++] = '.';
    }
    memcpy(s->name + at, text, size);
    *end = at + size;
    s->name[*end] = '\0';
    return SPOOR_OK;
}

/* ---- tensors ---- */

/* The entry of the archive with a storage's bytes. */
static spoor_status find_storage(search *s, torch_found *found, spoor_error *err) {
    size_t size;
    const char *key = pickle_text(s->p, found->key, &size);
    bool there = false;
    if (size > 0 && size <= 64 && memchr(key, '\0', size) == NULL) {
        char path[80] = "data/";
        memcpy(path + 5, key, size);
        TRY(torch_zip_find(s->z, s->folder, s->folder_length, path, &there, &found->view.storage, err));
    }
    if (!there) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: damaged, or cut off: the data of %.200s is not in its archive",
                         s->file, s->name);
    }
    if (found->view.storage.size < found->storage_bytes) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: damaged: the storage of %.200s should have %llu bytes, but has "
                                               "%llu",
                         s->file, s->name, (unsigned long long)found->storage_bytes,
                         (unsigned long long)found->view.storage.size);
    }
    return SPOOR_OK;
}

static spoor_status add_tensor(search *s, pickle_value value, spoor_error *err) {
    torch_found found;
    torch_what what = torch_tensor_find(s->p, value, &found);
    if (what == TORCH_BROKEN) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: damaged: %.200s: %s", s->file, s->name, found.why);
    }
    if (what == TORCH_TENSOR) {
        TRY(find_storage(s, &found, err));
    } else {
        found.view = (torch_view){.info = {.dtype = SAFETENSORS_U8, .rank = 1}};
    }
    torch_views *out = s->out;
    if (out->n >= TORCH_MAX_TENSORS) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s: more tensors than the limit of %zu", s->file, TORCH_MAX_TENSORS);
    }
    if (!ctx_grow(s->ctx, (void **)&out->v, &out->capacity, out->n + 1, sizeof *out->v)) {
        return error_memory(err, "reading a PyTorch checkpoint");
    }
    torch_view *v = &out->v[out->n++];
    *v = found.view;
    v->info.name = ctx_strdup(s->ctx, s->name);
    v->refused = what == TORCH_REFUSED ? ctx_strdup(s->ctx, found.why) : NULL;
    bool complete = v->info.name != NULL && (what != TORCH_REFUSED || v->refused != NULL);
    return complete ? SPOOR_OK : error_memory(err, "reading a PyTorch checkpoint");
}

static spoor_status collect(search *s, pickle_value mapping, size_t at, spoor_error *err) {
    pickle_iterator it = {0};
    pickle_value key, value;
    while (pickle_next_pair(s->p, mapping, &it, &key, &value)) {
        size_t end;
        TRY(pay(s, err));
        bool inside = false, tensor = torch_tensor_is(s->p, value);
        if (pickle_kind_of(s->p, key) != PICKLE_STRING || (!tensor && !is_mapping(s->p, value))) {
            continue;
        }
        if (!tensor) {
            size_t n = 0;
            TRY(enter(s, value, &inside, err));
            if (inside) { /* settings beside the tensors may have keys that are no names */
                TRY(count_tensors(s, value, true, &n, err));
                if (n == 0) {
                    leave(s);
                    continue;
                }
            }
        }
        if (!tensor && !inside) {
            continue;
        }
        TRY(append_key(s, key, at, &end, err));
        TRY(tensor ? add_tensor(s, value, err) : collect(s, value, end, err));
        if (inside) {
            leave(s);
        }
        s->name[at] = '\0';
    }
    return SPOOR_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static spoor_status check_unique(search *s, spoor_error *err) {
    size_t n = s->out->n;
    const char **names = ctx_alloc(s->ctx, n, sizeof *names);
    if (names == NULL) {
        return error_memory(err, "reading a PyTorch checkpoint");
    }
    for (size_t i = 0; i < n; i++) {
        names[i] = s->out->v[i].info.name;
    }
    qsort(names, n, sizeof *names, by_name);
    spoor_status status = SPOOR_OK;
    for (size_t i = 1; i < n && status == SPOOR_OK; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            status = error_set(err, SPOOR_ERR_MODEL, "%s: damaged: two tensors are named %.200s", s->file, names[i]);
        }
    }
    ctx_free(s->ctx, names);
    return status;
}

/* Why there is nothing to read. */
static spoor_status nothing(const search *s, spoor_error *err) {
    char class[PICKLE_DESCRIPTION];
    pickle_describe(s->p, pickle_top(s->p), class);
    if (class[0] != '\0' && !is_mapping(s->p, pickle_top(s->p)) && !torch_tensor_is(s->p, pickle_top(s->p))) {
        return error_set(err, SPOOR_ERR_MODEL,
                         "%s holds a whole object of %s, and no code of a file is run; where that class is installed, "
                         "save its tensors: torch.save(model.state_dict(), 'NEW.pt')",
                         s->file, class);
    }
    return error_set(err, SPOOR_ERR_MODEL,
                     "%s holds no tensors by name, neither at its top nor under model, state_dict, model_state_dict, "
                     "model_weight, net or module; save a state dict: torch.save(model.state_dict(), 'NEW.pt')",
                     s->file);
}

spoor_status torch_state_find(spoor_context *ctx, const pickle *p, torch_zip *z, const char *folder,
                              size_t folder_length, torch_views *out, spoor_error *err) {
    search *s = ctx_calloc(ctx, 1, sizeof *s);
    if (s == NULL) {
        return error_memory(err, "reading a PyTorch checkpoint");
    }
    *s = (search){.ctx = ctx, .p = p, .z = z, .file = torch_zip_name(z), .folder = folder,
                  .folder_length = folder_length,
                  .out = out, .budget = 16 * pickle_values(p) + 1024};
    pickle_value best = 0;
    size_t most = 0;
    bool inside = false;
    spoor_status status = enter(s, pickle_top(p), &inside, err);
    if (status == SPOOR_OK && inside) {
        status = choose(s, pickle_top(p), &best, &most, err);
    }
    if (status == SPOOR_OK && most == 0) {
        status = nothing(s, err);
    }
    if (status == SPOOR_OK) {
        s->path[0] = best;
        s->depth = 1;
        status = collect(s, best, 0, err);
    }
    status = status == SPOOR_OK ? check_unique(s, err) : status;
    ctx_free(ctx, s);
    return status;
}
