/* fuse_print.c: what `spoor fuse` says when it is done; see fuse.h. */
#include "cli/fuse.h"
#include "cli/ui.h"
#include "train/known.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

json_t *fuse_fit_json(const char *task, size_t classes, const fuse_fit *fit) {
    json_t *tries = json_array();
    for (size_t i = 0; i < fit->n_tries; i++) {
        (void)json_array_append_new(tries,
                                    json_pack("{s:f, s:o, s:o}", "l2", fit->tries[i].l2, "nll",
                                              number(fit->tries[i].nll), "accuracy", number(fit->tries[i].accuracy)));
    }
    return json_pack("{s:s, s:I, s:I, s:I, s:f, s:o}", "task", task, "classes", (json_int_t)classes, "train",
                     (json_int_t)fit->n_train, "dev", (json_int_t)fit->n_dev, "l2", fit->tries[fit->best].l2, "tries",
                     tries);
}

json_t *fuse_weights_json(const fuse_weights *w) {
    json_t *list = json_array();
    for (size_t i = 0; i < w->n; i++) {
        (void)json_array_append_new(list, json_real(w->weight[i]));
    }
    return w->tried == 0
               ? json_pack("{s:o}", "weights", list)
               : json_pack("{s:o, s:I, s:o, s:o, s:o}", "weights", list, "tried", (json_int_t)w->tried, "nll",
                           number(w->nll), "accuracy", number(w->accuracy), "equal_nll", number(w->equal_nll));
}

static double value(const json_t *object, const char *key) {
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void print_task(const json_t *task) {
    size_t i;
    json_t *try;
    double chosen = value(task, "l2");
    printf("%s: %lld classes, %lld train clips, %lld dev clips\n", json_string_value(json_object_get(task, "task")),
           (long long)value(task, "classes"), (long long)value(task, "train"), (long long)value(task, "dev"));
    printf("    %-9s  %8s  %8s\n", "L2", "dev NLL", "accuracy");
    json_array_foreach(json_object_get(task, "tries"), i, try) {
        printf("  %c %-9.3g  %8.4f  %8.4f\n", value(try, "l2") == chosen ? '*' : ' ', value(try, "l2"),
               value(try, "nll"), value(try, "accuracy"));
    }
}

static void print_weights(const json_t *w) {
    size_t i;
    json_t *one;
    printf("weights:");
    json_array_foreach(json_object_get(w, "weights"), i, one) {
        printf(" %.4g", json_number_value(one));
    }
    if (json_object_get(w, "tried") != NULL) {
        printf("  (dev NLL %.4f, accuracy %.4f; equal weights: NLL %.4f; %lld tried)", value(w, "nll"),
               value(w, "accuracy"), value(w, "equal_nll"), (long long)value(w, "tried"));
    }
    printf("\n");
}

static spoor_status print_scorers(const json_t *table, spoor_error *err) {
    spoor_context *ctx = NULL;
    if (table == NULL) {
        return SPOOR_OK;
    }
    TRY(spoor_context_new(NULL, &ctx, err));
    char *text = known_table_text(ctx, table);
    printf("%s", text == NULL ? "" : text);
    ctx_free(ctx, text);
    spoor_context_free(ctx);
    return text == NULL ? error_memory(err, "printing a summary") : SPOOR_OK;
}

spoor_status fuse_print(const fuse_command *o, json_t *summary, spoor_error *err) {
    spoor_status status = SPOOR_OK;
    const json_t *chosen = json_object_get(summary, "chosen"), *given = json_object_get(summary, "given");
    if (o->json) {
        status = ui_json(summary, JSON_INDENT(1) | JSON_REAL_PRECISION(9), err);
    } else {
        size_t i;
        json_t *task;
        json_array_foreach(json_object_get(summary, "tasks"), i, task) {
            print_task(task);
        }
        if (chosen != NULL || given != NULL) {
            print_weights(chosen != NULL ? chosen : given);
        }
        status = print_scorers(json_object_get(summary, "scorers"), err);
        printf("%s: %zu %s, embedding of %lld numbers\n", json_string_value(json_object_get(summary, "out")),
               json_array_size(json_object_get(summary, "models")), o->scores ? "score files" : "models",
               (long long)value(summary, "embedding"));
    }
    json_decref(summary);
    return status == SPOOR_OK ? ui_flush(err) : status;
}
