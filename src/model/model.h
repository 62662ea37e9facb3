/* model.h: one model file = front end + network + class names + open-set statistics + calibration + provenance, in one
 * .safetensors file: tensors are the network's parameters by name, metadata key "spoor" is the JSON described below.
 * Immutable once opened and shared between threads (forward passes go through net with a tape of the caller's).
 *
 * "spoor": {"format": 1, "name": "...", "card": "one line", "window": 64600,
 *   "frontend": {...}, "network": {...},
 *   "tasks": [{"name": "source", "classes": ["bonafide", "adain-vc", ...], "temperature": 1.0}, ...],
 *   "openset": {"score": "energy", "temperature": 1.0, "task": "source", "threshold": x, "acceptance": 0.95},
 *   "bonafide": {"a": slope, "b": offset, "prior": 0.5},     LLR = a * (bona fide logit - spoof logit) + b
 *   "provenance": {...}}                                      anything: recipe, data, hashes, dev results
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H
#include "frontend/frontend.h"
#include "net/net.h"

typedef struct model_task {
    char *name;
    size_t n_classes;
    char **classes;
    double temperature; /* calibrated probabilities = softmax(mean logits / temperature) */
} model_task;

struct spoor_model {
    spoor_context *ctx;
    frontend *frontend;
    net *net;
    model_task *tasks;
    size_t n_tasks;
    int64_t window; /* samples at 16 kHz */
    char *name, *card;
    char sha256[65]; /* of the file */
    double known_temperature, known_threshold, known_acceptance;
    size_t known_task; /* which task's logits give the energy */
    double bonafide_a, bonafide_b;
    json_t *meta; /* the whole "spoor" object */
};

/* Open and check everything: every parameter of the network present with dtype F32 or F16 and the right shape, no
 * parameter left over. SPOOR_ERR_MODEL with a sentence otherwise. (spoor_model_open is the public name.) */
spoor_status model_open(spoor_context *ctx, const char *path, spoor_model **out, spoor_error *err);
/* Index of a task by name, or SIZE_MAX. */
size_t model_find_task(const spoor_model *m, const char *name);
/* Write a model file: the network's parameters (half: as F16) and the metadata object above. */
spoor_status model_save(spoor_context *ctx, const char *path, net *n, const json_t *meta, bool half, spoor_error *err);
#endif
