/* fuzz_torch.c: any bytes as a PyTorch checkpoint: opened, and if accepted, every tensor read.
 *
 * Bytes that begin as a zip archive are one, as they are. Of any others this makes a sound archive, since changed bytes
 * would hardly ever pass its checksums: the first byte says how many bytes of its end are storages 0 and 1 (halves of
 * them each), the rest is data.pkl. */
#define _GNU_SOURCE
#include "target.h"
#include "weights/torch.h"

enum { ENTRIES = 3, MOST_ELEMENTS = 1 << 16 };

typedef struct archive {
    unsigned char *bytes;
    size_t n;
} archive;

static void put(archive *a, const void *bytes, size_t n) {
    memcpy(a->bytes + a->n, bytes, n);
    a->n += n;
}

static void put_number(archive *a, uint32_t value, int width) {
    for (int i = 0; i < width; i++) {
        a->bytes[a->n++] = (unsigned char)(value >> (8 * i));
    }
}

static uint32_t checksum(const uint8_t *data, size_t n) {
    static uint32_t table[256];
    for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) {
            c = (c & 1) != 0 ? 0xedb88320u ^ c >> 1 : c >> 1;
        }
        table[i] = c;
    }
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c = table[(c ^ data[i]) & 255] ^ c >> 8;
    }
    return ~c;
}

/* What the header of an entry and its line in the directory have in common. */
static void put_entry(archive *a, uint32_t sum, size_t n, const char *name) {
    put(a, "\24\0\0\0\0\0\0\0\0\0", 10); /* version, flags, stored, time, date */
    put_number(a, sum, 4);
    put_number(a, (uint32_t)n, 4);
    put_number(a, (uint32_t)n, 4);
    put_number(a, (uint32_t)strlen(name), 2);
    put_number(a, 0, 2);
}

static archive make_archive(const uint8_t *data, size_t size) {
    static const char *const names[ENTRIES] = {"a/data.pkl", "a/data/0", "a/data/1"};
    archive a = {.bytes = malloc(size + 512)};
    CHECK(a.bytes != NULL);
    size_t tail = size > 0 && data[0] < size ? data[0] : 0, head = size > 0 ? size - 1 - tail : 0, at[ENTRIES];
    const size_t sizes[ENTRIES] = {head, tail / 2, tail - tail / 2};
    const uint8_t *from = size > 0 ? data + 1 : data;
    uint32_t sums[ENTRIES];
    for (int i = 0; i < ENTRIES; from += sizes[i], i++) {
        at[i] = a.n;
        sums[i] = checksum(from, sizes[i]);
        put(&a, "PK\3\4", 4);
        put_entry(&a, sums[i], sizes[i], names[i]);
        put(&a, names[i], strlen(names[i]));
        put(&a, from, sizes[i]);
    }
    size_t directory = a.n;
    for (int i = 0; i < ENTRIES; i++) {
        put(&a, "PK\1\2\24\0", 6);
        put_entry(&a, sums[i], sizes[i], names[i]);
        put(&a, "\0\0\0\0\0\0\0\0\0\0", 10); /* comment, disk, attributes */
        put_number(&a, (uint32_t)at[i], 4);
        put(&a, names[i], strlen(names[i]));
    }
    size_t end = a.n;
    put(&a, "PK\5\6\0\0\0\0", 8);
    put_number(&a, ENTRIES, 2);
    put_number(&a, ENTRIES, 2);
    put_number(&a, (uint32_t)(end - directory), 4);
    put_number(&a, (uint32_t)directory, 4);
    put_number(&a, 0, 2);
    return a;
}

static void read_everything(const torch_file *f) {
    for (size_t i = 0; i < torch_count(f); i++) {
        const weights_tensor *t = torch_at(f, i);
        spoor_error err = {0};
        CHECK(t->name != NULL && strlen(t->name) <= TORCH_MAX_NAME && t->rank <= SAFETENSORS_MAX_RANK);
        if (t->count > MOST_ELEMENTS) {
            continue;
        }
        float *values = malloc(t->count * sizeof *values + 1);
        unsigned char *raw = malloc(t->count * safetensors_dtype_size(t->dtype) + 1);
        CHECK(values != NULL && raw != NULL);
        spoor_status status = torch_read(f, i, values, &err);
        target_refused(status, &err);
        CHECK(torch_refused(f, i) == NULL || status == SPOOR_ERR_MODEL);
        CHECK(torch_read_raw(f, i, raw, &err) == status);
        free(values);
        free(raw);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    torch_file *f = NULL;
    bool whole = size >= 4 && memcmp(data, "PK\3\4", 4) == 0;
    archive a = whole ? (archive){0} : make_archive(data, size);
    spoor_status status = torch_open_memory(ctx, whole ? data : a.bytes, whole ? size : a.n, "fuzz", &f, &err);
    target_refused(status, &err);
    CHECK((status == SPOOR_OK) == (f != NULL));
    if (f != NULL) {
        read_everything(f);
    }
    torch_free(f);
    free(a.bytes);
    spoor_context_free(ctx);
    return 0;
}
