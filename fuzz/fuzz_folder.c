/* fuzz_folder.c: any bytes as the index of a Hugging Face folder, and as its config.json. No file name that could lead out
 * of the folder may pass. */
#define _GNU_SOURCE
#include "target.h"
#include "weights/folder.h"

static spoor_status check_tensor(void *user, const char *name, size_t shard, spoor_error *err) {
    (void)err;
    const folder_index *x = user;
    CHECK(shard < folder_index_shards(x) && folder_index_find(x, name) == shard);
    return SPOOR_OK;
}

static void check_index(const folder_index *x, const char *ending) {
    size_t n = folder_index_shards(x);
    CHECK(n > 0 && n <= folder_index_count(x));
    for (size_t i = 0; i < n; i++) {
        const char *shard = folder_index_shard(x, i);
        size_t length = strlen(shard);
        CHECK(length > strlen(ending) && length <= FOLDER_MAX_SHARD_NAME && shard[0] != '.' && strchr(shard, '/') == NULL);
        CHECK(strcmp(shard + length - strlen(ending), ending) == 0);
        for (size_t k = 0; k < i; k++) {
            CHECK(strcmp(shard, folder_index_shard(x, k)) != 0);
        }
    }
    CHECK(folder_index_each(x, check_tensor, (void *)(uintptr_t)x, NULL) == SPOOR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const endings[2] = {".safetensors", ".bin"};
    spoor_context *ctx = target_context();
    for (int i = 0; i < 2; i++) {
        spoor_error err = {0};
        folder_index *x = NULL;
        spoor_status status = folder_index_parse(ctx, data, size, "fuzz", endings[i], &x, &err);
        target_refused(status, &err);
        CHECK((status == SPOOR_OK) == (x != NULL));
        if (x != NULL) {
            check_index(x, endings[i]);
        }
        folder_index_free(x);
    }
    spoor_error err = {0};
    json_t *config = NULL;
    spoor_status status = folder_config_parse(data, size, "fuzz", &config, &err);
    target_refused(status, &err);
    CHECK((status == SPOOR_OK) == json_is_object(config));
    json_decref(config);
    spoor_context_free(ctx);
    return 0;
}
