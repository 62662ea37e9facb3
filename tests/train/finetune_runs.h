/* finetune_runs.h: for tests of fine-tuning, a folder with a tiny wav2vec 2.0 (w2v) and a recipe (f.yaml) that trains it together
 * with the network behind it; see runs.h. */
#ifndef TESTS_TRAIN_FINETUNE_RUNS_H
#define TESTS_TRAIN_FINETUNE_RUNS_H
#include "frontend/checkpoints.h"
#include "train/runs.h"

static const char *const FINETUNE_RECIPE =
    "name: tiny\nseed: 5\nbatch: 8\n"
    "data:\n  manifests: [{path: m.csv}]\n  crop: 1600\n  tasks:\n    source: {smoothing: 0.05}\n"
    "    bonafide: {column: label, weight: 0.5}\n"
    "frontend: {kind: wav2vec2, weights: w2v, layers: [1, 2]}\n"
    "network: {kind: conformer, dim: 8, depth: 1, heads: 2, kernel: 3, ff_mult: 1, max_distance: 8, dropout: 0.1,\n"
    "          pooling: stats}\n"
    "augment: [{kind: gain, p: 0.5, db: [-3, 3]}]\n"
    "optimiser: {lr: 0.01}\nschedule: {epochs: 2, warmup: 0.5}\naverage: {kind: ema, decay: 0.9}\n"
    "finetune: {lr_factor: 0.2, freeze: [feature_extractor], lr_factors: {encoder.layers.0: 0.5}}\n"
    "dev: {every: 9, metrics: [{name: acc, task: source}]}\n";

static inline int finetune_setup(void **state) {
    runs_setup(state);
    checkpoint_wav2vec2(folder_path("w2v"), 3);
    folder_write("f.yaml", FINETUNE_RECIPE);
    recipe_file = "f.yaml";
    return 0;
}
#endif
