/* trainer_log.c: log.jsonl of a training, and what it tells its caller. */
#include "train/trainer_state.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double trainer_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

spoor_status trainer_write_line(trainer *t, const json_t *line, spoor_error *err) {
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(8)) : NULL;
    if (!text) {
        return error_memory(err, "writing the log");
    }
    size_t n = strlen(text);
    text[n] = '\n';
    spoor_status status = SPOOR_OK;
    for (size_t done = 0; done < n + 1 && status == SPOOR_OK;) {
        ssize_t put = write(t->log, text + done, n + 1 - done);
        if (put < 0 && errno != EINTR) {
            status = error_set(err, SPOOR_ERR_IO, "cannot write %s/log.jsonl: %s", t->folder, strerror(errno));
        }
        done += put > 0 ? (size_t)put : 0;
    }
    t->place.log_bytes += n + 1;
    free(text);
    return status;
}

spoor_status trainer_open_log(trainer *t, spoor_error *err) {
    char *path = trainer_path(t, "log.jsonl");
    if (!path) {
        return error_memory(err, "writing the log");
    }
    spoor_status status = SPOOR_OK;
    t->log = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (t->log < 0 || ftruncate(t->log, (off_t)t->place.log_bytes) != 0 || lseek(t->log, 0, SEEK_END) < 0) {
        status = error_set(err, SPOOR_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    ctx_free(t->ctx, path);
    return status;
}

static double speed(const trainer *t) {
    double seconds = trainer_now() - t->started;
    return seconds > 0 ? (double)t->batches * (double)t->r->batch / seconds : 0;
}

spoor_status trainer_batch_line(trainer *t, double rate, double norm, const losses_parts *parts, spoor_error *err) {
    if (t->place.step % (uint64_t)t->r->log_steps != 0) {
        return SPOOR_OK;
    }
    json_t *line = json_pack("{s:s,s:I,s:I,s:f,s:f,s:f,s:f}", "kind", "batch", "epoch", (json_int_t)t->place.epoch + 1,
                             "step", (json_int_t)t->place.step, "loss", (double)parts->total, "lr", rate, "gradient",
                             norm, "clips_per_second", speed(t));
    spoor_status status = trainer_write_line(t, line, err);
    json_decref(line);
    return status;
}

void trainer_tell(trainer *t, const json_t *line) {
    if (!t->options->news) {
        return;
    }
    double per_batch = t->batches ? (trainer_now() - t->started) / (double)t->batches : 0;
    uint64_t steps = loader_steps(t->loader), all = (uint64_t)t->r->epochs * steps;
    double batches = t->place.sums[SUM_BATCHES];
    trainer_news news = {t->place.epoch, (uint64_t)t->r->epochs, t->place.step, steps,
                         batches > 0 ? t->place.sums[SUM_TOTAL] / batches : 0, speed(t),
                         per_batch * (double)(all - optimiser_steps(t->optimiser)), line,
                         t->at->stage, t->at->index, t->at->stages};
    t->options->news(t->options->user, &news);
}

json_t *trainer_weights(const trainer *t) {
    json_t *out = json_object();
    for (size_t i = 0; i < t->d->n_tasks; i++) {
        (void)json_object_set_new(out, t->d->task[i].from.name, json_real(task_weights_of(t->weights, i)));
    }
    return out;
}

json_t *trainer_epoch_line(trainer *t, double seconds) {
    const double *sums = t->place.sums, n = sums[SUM_BATCHES];
    json_t *line = json_pack("{s:s,s:I,s:f,s:f,s:f,s:f}", "kind", "epoch", "epoch", (json_int_t)t->place.epoch + 1,
                             "loss", sums[SUM_TOTAL] / n, "gradient", sums[SUM_NORM] / n, "clips_per_second", speed(t),
                             "seconds", seconds);
    json_t *tasks = json_object();
    for (size_t i = 0; i < t->d->n_tasks; i++) {
        (void)json_object_set_new(tasks, t->d->task[i].from.name, json_real(sums[SUM_TASKS + i] / n));
    }
    (void)json_object_set_new(line, "tasks", tasks);
    if (task_weights_learned(t->weights)) {
        (void)json_object_set_new(line, "task_weights", trainer_weights(t));
    }
    if (t->r->npair_weight > 0) {
        (void)json_object_set_new(line, "npair", json_real(sums[SUM_PAIR] / n));
    }
    if (t->r->oc.weight > 0) {
        (void)json_object_set_new(line, "oc", json_real(sums[SUM_OC] / n));
    }
    return line;
}
