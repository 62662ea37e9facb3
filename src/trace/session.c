/* session.c: the scratch memory of one thread, and one window through front end and network; see trace.h. */
#include "trace/session.h"
#include "net/joint.h"
#include <string.h>

spoor_status spoor_session_new(spoor_model *model, spoor_session **out, spoor_error *err) {
    *out = NULL;
    spoor_context *ctx = model->ctx;
    spoor_session *s = ctx_calloc(ctx, 1, sizeof *s);
    if (s == NULL) {
        return error_memory(err, "starting a session");
    }
    s->ctx = ctx;
    s->model = model;
    s->frames = frontend_frames(model->frontend, (size_t)model->window);
    frontend_part_rows(model->frontend, (size_t)model->window, s->rows);
    s->samples = ctx_alloc(ctx, (size_t)model->window, sizeof *s->samples);
    s->features = ctx_alloc(ctx, s->frames * frontend_dim(model->frontend), sizeof *s->features);
    spoor_status status = SPOOR_OK;
    if (s->samples == NULL || s->features == NULL) {
        status = error_memory(err, "starting a session");
    }
    if (status == SPOOR_OK) {
        status = compute_new(ctx, 1, &s->compute, err);
    }
    if (status == SPOOR_OK) {
        status = tape_new(ctx, s->compute, &s->tape, err);
    }
    if (status == SPOOR_OK) {
        status = frontend_scratch_new(model->frontend, &s->scratch, err);
    }
    if (status != SPOOR_OK) {
        spoor_session_free(s);
        return status;
    }
    *out = s;
    return SPOOR_OK;
}

void spoor_session_free(spoor_session *s) {
    if (s == NULL) {
        return;
    }
    frontend_scratch_free(s->scratch);
    tape_free(s->tape);
    compute_free(s->compute);
    ctx_free(s->ctx, s->features);
    ctx_free(s->ctx, s->samples);
    ctx_free(s->ctx, s);
}

spoor_status session_follow(const spoor_session *s, spoor_audio *audio, spoor_error *err) {
    return audio_follow_silence(audio, model_silence(s->model), err);
}

size_t trace_logits_size(const spoor_model *m) { return model_row_size(m); }

spoor_status trace_window_forward(spoor_session *s, const float *samples, float *logits, float *embedding,
                                  spoor_error *err) {
    const spoor_model *m = s->model;
    TRY(frontend_compute(m->frontend, s->scratch, samples, (size_t)m->window, s->features, err));
    tape_begin(s->tape, false, false, 0);
    tensor *x =
        tape_view(s->tape, 3, (int64_t[]){1, (int64_t)s->frames, (int64_t)frontend_dim(m->frontend)}, s->features);
    net_output out;
    net_forward_rows(m->net, s->tape, x, s->rows, &out);
    TRY(tape_status(s->tape, err));
    memcpy(embedding, out.embedding->data, (size_t)net_embedding_size(m->net) * sizeof *embedding);
    float *to = logits;
    for (size_t i = 0; i < m->n_tasks; i++) {
        memcpy(to, out.logits[i]->data, m->tasks[i].n_classes * sizeof *to);
        to += m->tasks[i].n_classes;
    }
    const net_joint *j = net_joint_head(m->net);
    for (size_t i = 0; j != NULL && i < j->n; i++) {
        size_t k = j->parent[i].task;
        memcpy(to, out.evidence[k]->data, m->tasks[k].n_classes * sizeof *to);
        to += m->tasks[k].n_classes;
    }
    model_join(m, logits);
    return model_derive(m, logits, err);
}
