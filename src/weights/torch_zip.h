/* torch_zip.h: the zip archive of a PyTorch checkpoint, by libzip: entries by name, and parts of them when they are
 * asked for. Entries are stored or deflated; what an entry says of its size is held against the size of the file. */
#ifndef WEIGHTS_TORCH_ZIP_H
#define WEIGHTS_TORCH_ZIP_H
#include "base/context.h"

typedef struct torch_zip torch_zip; /* its functions may be called by several threads at once */

typedef struct torch_zip_entry {
    uint64_t index, size; /* bytes once inflated */
    bool stored;
} torch_zip_entry;

/* data NULL: the file `path`; else `size` bytes, which must outlive the object. `name` is kept for sentences. */
spoor_status torch_zip_open(spoor_context *ctx, const char *name, const void *data, size_t size, torch_zip **out,
                            spoor_error *err);
void torch_zip_free(torch_zip *z);
const char *torch_zip_name(const torch_zip *z);

/* The first entry whose name is one folder and then `file` ("/data.pkl"): the folder's name, which lives as long as z.
 * NULL: there is none. */
const char *torch_zip_folder(torch_zip *z, const char *file, size_t *length);
/* The entry FOLDER/FILE. false: there is none. */
spoor_status torch_zip_find(torch_zip *z, const char *folder, size_t length, const char *file, bool *found,
                            torch_zip_entry *out, spoor_error *err);
/* Whether any entry's name begins with FOLDER/BEGIN. */
bool torch_zip_has(torch_zip *z, const char *folder, size_t length, const char *begin);

/* n bytes of the entry from `offset` on. The entry's checksum is verified where all of it is read. */
spoor_status torch_zip_read(torch_zip *z, const torch_zip_entry *e, uint64_t offset, void *out, size_t n,
                            spoor_error *err);
#endif
