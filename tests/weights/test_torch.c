/* test_torch.c: PyTorch checkpoints: small ones made by tests/torch/make_checkpoints.py and real ones where they are, each
 * tensor as PyTorch says; one broken file for each thing that can be wrong; damage, threads, memory. */
#include "weights/torch.h"
#include "base/io.h"
#include "support/scratch.h"
#include <pthread.h>
#include <unistd.h>
#include <zip.h>

static const char *vector_path(const char *file) {
    static char paths[2][256];
    static int next;
    char *p = paths[next++ % 2];
    snprintf(p, sizeof paths[0], "tests/weights/torch/%s", file);
    return support_path(p);
}

/* ---- as PyTorch says ---- */

/* SHA-256 of a tensor's bytes; its values as float must be those of the bytes. */
static void digest_of(const torch_file *f, size_t i, char hex[65]) {
    const weights_tensor *t = torch_at(f, i);
    size_t bytes = t->count * safetensors_dtype_size(t->dtype);
    unsigned char *raw = malloc(bytes + 1);
    float *got = malloc(t->count * sizeof *got + 1), *want = malloc(t->count * sizeof *want + 1);
    assert_true(raw != NULL && got != NULL && want != NULL);
    support_ok(torch_read_raw(f, i, raw, &err), &err);
    support_ok(torch_read(f, i, got, &err), &err);
    safetensors_tensor s = {.dtype = t->dtype, .count = t->count, .bytes = bytes, .data = raw};
    safetensors_to_f32(&s, want);
    assert_memory_equal(got, want, t->count * sizeof *want);
    io_sha256(raw, bytes, hex);
    free(raw);
    free(got);
    free(want);
}

static void describe(const torch_file *f, size_t i, char *out, size_t size) {
    const weights_tensor *t = torch_at(f, i);
    char shape[128] = "scalar", hex[65];
    for (int d = 0, at = 0; d < t->rank; d++) {
        at += snprintf(shape + at, sizeof shape - (size_t)at, "%s%lld", d > 0 ? "x" : "", (long long)t->shape[d]);
    }
    if (torch_refused(f, i) != NULL) {
        float none;
        assert_int_equal(torch_read(f, i, &none, &err), SPOOR_ERR_MODEL);
        assert_non_null(strstr(err.message, torch_refused(f, i)));
        assert_non_null(strstr(err.message, t->name));
        assert_int_equal(torch_read_raw(f, i, &none, &err), SPOOR_ERR_MODEL);
        assert_int_equal(t->count, 0);
        snprintf(out, size, "%s refused", t->name);
        return;
    }
    digest_of(f, i, hex);
    snprintf(out, size, "%s %s %s %s", t->name, safetensors_dtype_name(t->dtype), shape, hex);
}

static void tensors_are_those_of_pytorch(void **state) {
    (void)state;
    FILE *lines = fopen(vector_path("expected.txt"), "r");
    assert_non_null(lines);
    char line[512], file[64], last[64] = "", got[512];
    torch_file *f = NULL;
    size_t next = 0, files = 0;
    while (fgets(line, sizeof line, lines) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        assert_int_equal(sscanf(line, "%63s", file), 1);
        if (strcmp(file, last) != 0) {
            assert_int_equal(next, f != NULL ? torch_count(f) : 0);
            torch_free(f);
            support_ok(torch_open(ctx, vector_path(file), &f, &err), &err);
            strcpy(last, file);
            next = 0;
            files++;
        }
        assert_true(next < torch_count(f));
        describe(f, next++, got, sizeof got);
        assert_string_equal(got, line + strlen(file) + 1);
    }
    assert_int_equal(next, torch_count(f));
    assert_int_equal(files, 12);
    torch_free(f);
    fclose(lines);
}

static void real_checkpoints_are_read(void **state) {
    (void)state;
    FILE *lines = fopen(vector_path("real.txt"), "r");
    assert_non_null(lines);
    char file[64], hex[65], name[160], got[512];
    size_t count, files = 0;
    while (fscanf(lines, "%63s %zu %64s", file, &count, hex) == 3) {
        snprintf(name, sizeof name, "../shared/weights/aasist/%s", file);
        if (access(support_path(name), R_OK) != 0) {
            fclose(lines);
            print_message("SKIP: the real checkpoints are not here: %s\n", name);
            skip();
        }
        torch_file *f;
        support_ok(torch_open(ctx, support_path(name), &f, &err), &err);
        assert_int_equal(torch_count(f), count);
        char *all = calloc(count, sizeof got);
        assert_non_null(all);
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            describe(f, i, got, sizeof got);
            n += (size_t)sprintf(all + n, "%s\n", got);
        }
        char have[65];
        io_sha256(all, n, have);
        assert_string_equal(have, hex);
        free(all);
        torch_free(f);
        files++;
    }
    fclose(lines);
    assert_int_equal(files, 3);
}

/* ---- files that are none ---- */

static void refuses(const char *file, spoor_status want, const char *words) {
    torch_file *f = (torch_file *)(uintptr_t)1;
    err = (spoor_error){0};
    refused(torch_open(ctx, file, &f, &err), want, words);
    assert_null(f);
}

static void other_files_are_refused(void **state) {
    (void)state;
    refuses(vector_path("old.pt"), SPOOR_ERR_MODEL, "torch.save(torch.load('OLD.pt'");
    refuses(vector_path("script.pt"), SPOOR_ERR_MODEL, "torch.jit.load");
    refuses(vector_path("big-endian.pt"), SPOOR_ERR_MODEL, "byte order");
    refuses(vector_path("list.pt"), SPOOR_ERR_MODEL, "holds no tensors by name");
    refuses(vector_path("object.pt"), SPOOR_ERR_MODEL, "a whole object of torch.nn.modules.linear.Linear");
    refuses(vector_path("absent.pt"), SPOOR_ERR_IO, "cannot read");
    refuses(folder, SPOOR_ERR_IO, "not a regular file");
    write_text("");
    refuses(path, SPOOR_ERR_MODEL, "no zip archive");
    write_text("PK\3\4 and no more");
    refuses(path, SPOOR_ERR_MODEL, "cannot be opened");
    char tar[512] = {0};
    memcpy(tar + 257, "ustar", 5);
    write_bytes(tar, sizeof tar);
    refuses(path, SPOOR_ERR_MODEL, "before the zip format");
    assert_true(torch_begins(tar, sizeof tar) && torch_begins("PK\3\4", 4) && torch_begins("PK\5\6", 4));
    assert_false(torch_begins("PK\3", 3) || torch_begins("\x80\2}q\0.", 6) || torch_begins(tar, 261));
}

/* ---- archives made here ---- */

typedef struct entry {
    const char *name;
    const void *data;
    size_t n;
} entry;

static const float STORED[8] = {0, 1, 2, 3, 4, 5, 6, 7};

/* The file `path`: data.pkl, storage 0 of 32 bytes, and one more entry if it has a name. */
static void make(const void *pickle, size_t n, entry more) {
    const entry all[] = {{"a/data.pkl", pickle, n}, {"a/data/0", STORED, sizeof STORED}, more};
    unlink(path);
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_EXCL, NULL);
    assert_non_null(zip);
    for (size_t i = 0; i < 3 && all[i].name != NULL; i++) {
        zip_source_t *source = zip_source_buffer(zip, all[i].data, all[i].n, 0);
        zip_int64_t index = zip_file_add(zip, all[i].name, source, 0);
        assert_true(index >= 0 && zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0) == 0);
    }
    assert_int_equal(zip_close(zip), 0);
}

#define V2 "ctorch._utils\n_rebuild_tensor_v2\n"
#define TEXT1(text) "X\1\0\0\0" text
#define STORAGE(class, key, elements) "(X\7\0\0\0storagectorch\n" class "\n" key "X\3\0\0\0cpu" elements "tQ"
#define FLOATS STORAGE("FloatStorage", TEXT1("0"), "K\10")
#define TENSOR(storage, offset, sizes, strides) V2 "(" storage offset sizes strides "\x89NtR"
#define PAIR TENSOR(FLOATS, "K\1", "K\2\x85", "K\3\x85") /* elements 1 and 4 */
#define STATE(value) "\x80\2}q\0" TEXT1("w") value "s."
#define HUGE_INT "\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f"
#define HALF_HUGE "\x8a\10\0\0\0\0\0\0\0\x40"
#define BYTES(text) text, sizeof(text) - 1

static const struct {
    const char *pickle;
    size_t n;
    spoor_status status;
    const char *why;
} BROKEN[] = {
    {BYTES(STATE(TENSOR(FLOATS, "K\7", "K\2\x85", "K\1\x85"))), SPOOR_ERR_MODEL, "w: it reaches beyond the end"},
    {BYTES(STATE(TENSOR(FLOATS, "K\10", ")", ")"))), SPOOR_ERR_MODEL, "beyond the end"},
    {BYTES(STATE(TENSOR(FLOATS, "K\0", "K\2\x85", HUGE_INT "\x85"))), SPOOR_ERR_MODEL, "beyond the end"},
    {BYTES(STATE(TENSOR(FLOATS, "K\1", "K\3K\2\x86", HUGE_INT HUGE_INT "\x86"))), SPOOR_ERR_MODEL, "beyond the end"},
    {BYTES(STATE(TENSOR(FLOATS, HUGE_INT, "K\2\x85", "K\1\x85"))), SPOOR_ERR_MODEL, "beyond the end"},
    {BYTES(STATE(TENSOR(FLOATS, "J\xff\xff\xff\xff", "K\2\x85", "K\1\x85"))), SPOOR_ERR_MODEL, "offset is no number >= 0"},
    {BYTES(STATE(TENSOR(FLOATS, "K\0", "J\xff\xff\xff\xff\x85", "K\1\x85"))), SPOOR_ERR_MODEL, "no number >= 0"},
    {BYTES(STATE(TENSOR(FLOATS, "K\0", "K\2\x85", "J\xff\xff\xff\xff\x85"))), SPOOR_ERR_MODEL, "no number >= 0"},
    {BYTES(STATE(TENSOR(FLOATS, "K\0", "N\x85", "K\1\x85"))), SPOOR_ERR_MODEL, "no number >= 0"},
    {BYTES(STATE(TENSOR(FLOATS, "K\0", HALF_HUGE HALF_HUGE "\x86", "K\0K\0\x86"))), SPOOR_ERR_MODEL, "larger than any memory"},
    {BYTES(STATE(TENSOR(FLOATS, "K\0", "J\1\0\0\1\x85", "K\0\x85"))), SPOOR_ERR_MODEL, "repeats its storage"},
    {BYTES(STATE(TENSOR(FLOATS, "K\0", "K\2\x85", "K\1K\1\x86"))), SPOOR_ERR_MODEL, "not a stride for each"},
    {BYTES(STATE(TENSOR(FLOATS, "K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"))), SPOOR_ERR_MODEL,
     "more dimensions"},
    {BYTES(STATE(TENSOR(FLOATS, "K\0", "K\2", "K\1\x85"))), SPOOR_ERR_MODEL, "no shape"},
    {BYTES(STATE(TENSOR("N", "K\0", ")", ")"))), SPOOR_ERR_MODEL, "no storage"},
    {BYTES(STATE(TENSOR("NQ", "K\0", ")", ")"))), SPOOR_ERR_MODEL, "id of its storage"},
    {BYTES(STATE(TENSOR(STORAGE("FloatStorage", "N", "K\1"), "K\0", ")", ")"))), SPOOR_ERR_MODEL, "storage has no name"},
    {BYTES(STATE(TENSOR(STORAGE("FloatStorage", TEXT1("0"), "N"), "K\0", ")", ")"))), SPOOR_ERR_MODEL, "no valid size"},
    {BYTES(STATE(TENSOR(STORAGE("FloatStorage", TEXT1("0"), HUGE_INT), "K\0", ")", ")"))), SPOOR_ERR_MODEL, "no valid size"},
    {BYTES(STATE(TENSOR(STORAGE("FloatStorage", TEXT1("0"), "K\11"), "K\0", ")", ")"))), SPOOR_ERR_MODEL,
     "the storage of w should have 36 bytes, but has 32"},
    {BYTES(STATE(TENSOR(STORAGE("FloatStorage", TEXT1("1"), "K\1"), "K\0", ")", ")"))), SPOOR_ERR_MODEL,
     "the data of w is not in its archive"},
    {BYTES(STATE(TENSOR(STORAGE("FloatStorage", "X\0\0\0\0", "K\1"), "K\0", ")", ")"))), SPOOR_ERR_MODEL, "not in its archive"},
    {BYTES(STATE(TENSOR(STORAGE("FloatStorage", "X\2\0\0\0" "0\0", "K\1"), "K\0", ")", ")"))), SPOOR_ERR_MODEL,
     "not in its archive"},
    {BYTES(STATE(V2 "(" FLOATS "K\0))tR")), SPOOR_ERR_MODEL, "too few arguments"},
    {BYTES(STATE(V2 ")R")), SPOOR_ERR_MODEL, "too few arguments"},
    {BYTES(STATE("ctorch._utils\n_rebuild_parameter\nN\x85R")), SPOOR_ERR_MODEL, "no tensor in it"},
    {BYTES("\x80\2}(" TEXT1("w") PAIR TEXT1("w") PAIR "u."), SPOOR_ERR_MODEL, "two tensors are named w"},
    {BYTES("\x80\2}(X\3\0\0\0w.v" PAIR TEXT1("w") "}" TEXT1("v") PAIR "su."), SPOOR_ERR_MODEL, "two tensors are named w.v"},
    {BYTES("\x80\2}X\1\0\0\0\n" PAIR "s."), SPOOR_ERR_MODEL, "name is not text"},
    {BYTES("\x80\2}X\2\0\0\0a\xff" PAIR "s."), SPOOR_ERR_MODEL, "name is not text (byte 1"},
    {BYTES("\x80\2}X\2\0\0\0\xc0\x80" PAIR "s."), SPOOR_ERR_MODEL, "name is not text"},
    {BYTES("\x80\2}X\3\0\0\0\xed\xa0\x80" PAIR "s."), SPOOR_ERR_MODEL, "name is not text"},
    {BYTES("\x80\2}."), SPOOR_ERR_MODEL, "holds no tensors by name"},
    {BYTES("\x80\2" PAIR "."), SPOOR_ERR_MODEL, "holds no tensors by name"},
    {BYTES("\x80\2}K\1" PAIR "s."), SPOOR_ERR_MODEL, "holds no tensors by name"},
    {BYTES("\x80\2}"), SPOOR_ERR_MODEL, "ends too early"},
};

static void broken_pickles_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof BROKEN / sizeof *BROKEN; i++) {
        make(BROKEN[i].pickle, BROKEN[i].n, (entry){0});
        refuses(path, BROKEN[i].status, BROKEN[i].why);
    }
}

/* One tensor w of n floats. */
static void holds(const void *pickle, size_t n, const char *name, const float *want, size_t count) {
    torch_file *f;
    float got[8];
    make(pickle, n, (entry){0});
    support_ok(torch_open(ctx, path, &f, &err), &err);
    assert_int_equal(torch_count(f), 1);
    assert_string_equal(torch_at(f, 0)->name, name);
    assert_int_equal(torch_at(f, 0)->count, count);
    support_ok(torch_read(f, 0, got, &err), &err);
    assert_memory_equal(got, want, count * sizeof *want);
    torch_free(f);
}

static void odd_but_sound_pickles_are_read(void **state) {
    (void)state;
    static const float pair[2] = {1, 4}, six[6] = {0, 1, 2, 0, 1, 2};
    holds(BYTES(STATE(PAIR)), "w", pair, 2);
    /* A mapping that holds itself, and one that is also under a wrapper's name. */
    holds(BYTES("\x80\2}q\0" TEXT1("w") PAIR "s" TEXT1("m") "h\0s."), "w", pair, 2);
    holds(BYTES("\x80\2}q\0" TEXT1("w") PAIR "sX\5\0\0\0modelh\0s."), "w", pair, 2);
    /* Of as many tensors at the top and under a wrapper, those under the wrapper. */
    holds(BYTES("\x80\2}(" TEXT1("v") PAIR "X\5\0\0\0model}" TEXT1("w") PAIR "su."), "w", pair, 2);
    /* Settings beside the tensors may have any keys. */
    holds(BYTES("\x80\2}(" TEXT1("w") PAIR TEXT1("c") "}X\1\0\0\0\nK\1su."), "w", pair, 2);
    holds(BYTES(STATE(TENSOR(FLOATS, "K\0", "ctorch\nSize\nK\2K\3\x86\x85R", "K\0K\1\x86"))), "w", six, 6);
    holds(BYTES(STATE(TENSOR(FLOATS, HUGE_INT, "K\0\x85", "K\1\x85"))), "w", six, 0);
}

/* A mapping in a mapping, `depth` of them, each held `times` by the one around it; a tensor in the middle. */
static void deep(size_t depth, size_t times, spoor_status status, const char *why) {
    static char bytes[4096];
    size_t n = 2;
    static const char middle[] = "}" TEXT1("w") PAIR "sq\1";
    memcpy(bytes, "\x80\2", n);
    memcpy(bytes + n, middle, sizeof middle - 1);
    n += sizeof middle - 1;
    for (size_t i = 1; i < depth; i++) {
        memcpy(bytes + n, "0}", 2);
        n += 2;
        for (size_t k = 0; k < times; k++) {
            static const char item[] = "X\1\0\0\0ah\1s";
            memcpy(bytes + n, item, sizeof item - 1);
            bytes[n + 5] = (char)('a' + k);
            n += sizeof item - 1;
        }
        memcpy(bytes + n, "q\1", 2);
        n += 2;
    }
    bytes[n++] = '.';
    make(bytes, n, (entry){0});
    if (status != SPOOR_OK) {
        refuses(path, status, why);
        return;
    }
    torch_file *f;
    support_ok(torch_open(ctx, path, &f, &err), &err);
    torch_free(f);
}

static void nesting_and_sharing_are_bounded(void **state) {
    (void)state;
    deep(TORCH_MAX_NESTING, 1, SPOOR_OK, NULL);
    deep(TORCH_MAX_NESTING + 1, 1, SPOOR_ERR_LIMIT, "nested deeper");
    deep(3, 3, SPOOR_OK, NULL);
    deep(12, 4, SPOOR_ERR_LIMIT, "shared in more places");
    static char bytes[1400] = "\x80\2}X\1\4\0\0";
    static const char rest[] = PAIR "s.";
    memset(bytes + 8, 'n', TORCH_MAX_NAME + 1);
    memcpy(bytes + 8 + TORCH_MAX_NAME + 1, rest, sizeof rest - 1);
    make(bytes, 8 + TORCH_MAX_NAME + 1 + sizeof rest - 1, (entry){0});
    refuses(path, SPOOR_ERR_LIMIT, "longer than the limit of 1024 bytes");
    bytes[4] = 0; /* 1,024 bytes are none too many */
    memcpy(bytes + 8 + TORCH_MAX_NAME, rest, sizeof rest - 1);
    make(bytes, 8 + TORCH_MAX_NAME + sizeof rest - 1, (entry){0});
    torch_file *f;
    support_ok(torch_open(ctx, path, &f, &err), &err);
    torch_free(f);
}

static void archives_are_checked(void **state) {
    (void)state;
    static const char sound[] = STATE(PAIR);
    const struct {
        entry more;
        const char *why;
    } cases[] = {
        {{"a/byteorder", "big", 3}, "byte order"},    {{"a/byteorder", "\1\2\3\4\5\6\7\10\11", 9}, "byte order"},
        {{"a/version", "11\n", 3}, "version 11"},     {{"a/version", "x\n", 2}, "version x"},
        {{"a/constants.pkl", "", 0}, "TorchScript"},  {{"a/code/x.py", "", 0}, "TorchScript"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make(BYTES(sound), cases[i].more);
        refuses(path, SPOOR_ERR_MODEL, cases[i].why);
    }
    static const entry fine[] = {{"a/byteorder", "little", 6}, {"a/version", "3\n", 2}, {"a/.data/serialization_id", "1", 1}};
    for (size_t i = 0; i < 3; i++) {
        torch_file *f;
        make(BYTES(sound), fine[i]);
        support_ok(torch_open(ctx, path, &f, &err), &err);
        torch_free(f);
    }
    unlink(path);
    zip_t *zip = zip_open(path, ZIP_CREATE, NULL);
    assert_true(zip_file_add(zip, "data.pkl", zip_source_buffer(zip, "x", 1, 0), 0) >= 0 && zip_close(zip) == 0);
    refuses(path, SPOOR_ERR_MODEL, "it has no data.pkl");
}

/* ---- damage, threads, memory ---- */

static void read_whatever_opens(torch_file *f) {
    for (size_t i = 0; i < torch_count(f); i++) {
        size_t count = torch_at(f, i)->count;
        assert_true(count <= 1 << 16);
        float *values = malloc(count * sizeof *values + 1);
        assert_non_null(values);
        spoor_status status = torch_read(f, i, values, &err);
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_MODEL);
        free(values);
    }
}

static void damaged_files_do_no_harm(void **state) {
    (void)state;
    unsigned char *bytes;
    size_t size, opened = 0;
    support_ok(io_read_file(ctx, vector_path("plain.pt"), 1 << 20, &bytes, &size, &err), &err);
    torch_file *f;
    for (size_t n = 0; n < size; n++) {
        unsigned char *cut = malloc(n + 1);
        memcpy(cut, bytes, n);
        spoor_status status = torch_open_memory(ctx, cut, n, "cut", &f, &err);
        assert_true(status == SPOOR_ERR_MODEL && f == NULL);
        free(cut);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        err = (spoor_error){0};
        spoor_status status = torch_open_memory(ctx, bytes, size, "flipped", &f, &err);
        assert_true((status == SPOOR_OK) == (f != NULL) && (f != NULL || err.message[0] != '\0'));
        if (f != NULL) {
            opened++;
            read_whatever_opens(f);
        }
        torch_free(f);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_true(opened > 0);
    /* A changed byte of a storage is noticed where the tensor is read. */
    support_ok(torch_open_memory(ctx, bytes, size, "sound", &f, &err), &err);
    float want[2], got[2];
    support_ok(torch_read(f, 0, want, &err), &err);
    torch_free(f);
    for (size_t i = 0; i + sizeof want <= size; i++) {
        if (memcmp(bytes + i, want, sizeof want) == 0) {
            bytes[i] ^= 1;
        }
    }
    support_ok(torch_open_memory(ctx, bytes, size, "changed", &f, &err), &err);
    refused(torch_read(f, 0, got, &err), SPOOR_ERR_MODEL, "CRC");
    torch_free(f);
    ctx_free(ctx, bytes);
}

enum { THREADS = 4, ROUNDS = 1000 };

typedef struct reading {
    const torch_file *f;
    bool same;
} reading;

static void *read_rounds(void *arg) {
    reading *r = arg;
    float *a = malloc(2000 * sizeof *a), *b = malloc(2000 * sizeof *b);
    r->same = a != NULL && b != NULL;
    for (size_t round = 0; r->same && round < ROUNDS; round++) {
        r->same = torch_read(r->f, 0, a, NULL) == SPOOR_OK && torch_read(r->f, 1, b, NULL) == SPOOR_OK;
        for (size_t i = 0; r->same && i < 2000; i++) {
            r->same = a[i] == (float)i && (i >= 10 || b[i] == (float)((30 + i) * 50 + 7));
        }
    }
    free(a);
    free(b);
    return NULL;
}

static void several_threads_may_read(void **state) {
    (void)state;
    torch_file *f;
    support_ok(torch_open(ctx, vector_path("deflated.pt"), &f, &err), &err);
    pthread_t threads[THREADS];
    reading readings[THREADS];
    for (int i = 0; i < THREADS; i++) {
        readings[i] = (reading){.f = f};
        assert_int_equal(pthread_create(&threads[i], NULL, read_rounds, &readings[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(readings[i].same);
    }
    torch_free(f);
}

static void memory_may_run_out_anywhere(void **state) {
    (void)state;
    const char *const files[] = {"strides.pt", "opaque.pt", "fairseq.pt"};
    for (size_t k = 0; k < 3; k++) {
        bool done = false;
        for (size_t n = 1; !done; n++) {
            assert_true(n < 300);
            support_failing s = {.fail_at = n};
            spoor_context *failing = support_failing_context(&s);
            torch_file *f;
            float values[256];
            spoor_status status = torch_open(failing, vector_path(files[k]), &f, &err);
            for (size_t i = 0; status == SPOOR_OK && i < torch_count(f); i++) {
                assert_true(torch_at(f, i)->count <= 256);
                status = torch_refused(f, i) != NULL ? SPOOR_OK : torch_read(f, i, values, &err);
            }
            done = status == SPOOR_OK;
            assert_true(done || status == SPOOR_ERR_LIMIT);
            torch_free(f);
            assert_int_equal(s.live, 0);
            s.fail_at = 0;
            spoor_context_free(failing);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_those_of_pytorch),
        cmocka_unit_test(real_checkpoints_are_read),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(broken_pickles_are_refused),
        cmocka_unit_test(odd_but_sound_pickles_are_read),
        cmocka_unit_test(nesting_and_sharing_are_bounded),
        cmocka_unit_test(archives_are_checked),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(several_threads_may_read),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
