/* test_recipes.c: every recipe that comes with Spoor is read, in all its stages, and its network can be made. */
#include "audio/augment/augment.h"
#include "net/net.h"
#include "support/support.h"
#include "train/recipe_stages.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* The network on some features, with a task of two classes for each of the recipe's; heads other than linear come later. */
static void make_network(spoor_context *ctx, const char *path, const recipe *r) {
    static const int64_t widths[] = {1154, 1024, 768, 384, 80};
    net_task tasks[NET_MAX_TASKS];
    spoor_error err = {0};
    spoor_status status = SPOOR_ERR_USAGE;
    for (size_t i = 0; i < r->n_tasks; i++) {
        tasks[i] = (net_task){(char *)(uintptr_t)r->task[i].name, 2};
    }
    for (size_t i = 0; i < sizeof widths / sizeof *widths && status != SPOOR_OK; i++) {
        net *n = NULL;
        status = net_new(ctx, r->network, widths[i], tasks, r->n_tasks, 1, &n, &err);
        net_free(n);
    }
    if (status != SPOOR_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    augment *a = NULL;
    support_ok(augment_new(ctx, r->augment, &a, &err), &err);
    augment_free(a);
}

static int read_folder(spoor_context *ctx, const char *folder) {
    DIR *d = opendir(folder);
    int count = 0;
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char path[1024];
        size_t n = strlen(e->d_name);
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.' && strchr(e->d_name, '.') == NULL) {
            count += read_folder(ctx, path);
        } else if (n > 5 && strcmp(e->d_name + n - 5, ".yaml") == 0) {
            recipe_stages *s;
            spoor_error err = {0};
            support_ok(recipe_stages_open(ctx, path, NULL, 0, &s, &err), &err);
            for (size_t i = 0; i < s->n; i++) {
                make_network(ctx, path, s->stage[i].r);
            }
            recipe_stages_free(s);
            count++;
        }
    }
    closedir(d);
    return count;
}

static void all(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    assert_true(read_folder(ctx, support_path("recipes")) >= 16);
    spoor_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
