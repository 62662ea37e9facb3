/* aasist.h: the body of AASIST (Jung et al., "AASIST: audio anti-spoofing using integrated spectro-temporal graph
 * attention networks", ICASSP 2022) on the raw waveform, and of W2VAASIST, the same on features of any width (Tak et
 * al., Odyssey 2022; the baseline of source tracing on MLAAD). Heads are added by net.c.
 *
 * An encoder of residual blocks gives a map [B,T,F,C]. It becomes two graphs: spectral, a node for each band, and
 * temporal, a node for each frame (by attention over the other axis, or by the largest magnitude along it). Each goes
 * through graph attention and graph pooling; two branches of two heterogeneous layers then let them exchange what they
 * hold, each with a master node; the larger of the two branches is read out: [T_max(|.|), T_avg, S_max(|.|), S_avg,
 * master].
 *
 * With "backends": "task" the encoder and the attention over its map serve all tasks, and from the positions on each
 * task has graphs of its own ("Codec-Based Deepfake Source Tracing via Neural Audio Codec Taxonomy", Interspeech 2025;
 * that the attention over the map is the encoder's is a choice). */
#ifndef NET_AASIST_H
#define NET_AASIST_H
#include "nn/graph.h"
#include <jansson.h>

enum {
    AASIST_MAX_BLOCKS = 16,
    AASIST_MAX_BACKS = 32,
    AASIST_MAX_NODES = 4096, /* of the temporal graph, whose attention is quadratic */
    AASIST_MAX_MAP = 1 << 26 /* numbers of a clip inside the encoder; AASIST has 16 million at 64,600 samples */
};

typedef struct aasist_branch {
    tensor *master; /* [D] */
    nn_hetero_attention layer1, layer2;
    nn_graph_pool spectral, temporal;
} aasist_branch;

/* What lies behind the map: the graphs, with positions of their own, and what is read out of them. */
typedef struct aasist_back {
    tensor *positions; /* [bands, channels] */
    nn_graph_attention spectral, temporal;
    nn_graph_pool spectral_pool, temporal_pool;
    aasist_branch branch[2];
} aasist_back;

typedef struct aasist {
    int64_t input_dim;
    bool waveform;   /* rows are pieces of one waveform */
    int64_t project; /* features: columns after the first layer; waveform: number of sinc filters */
    int64_t sinc_kernel, first_pool, block_pool;
    int64_t n_blocks, channels[AASIST_MAX_BLOCKS];
    bool preactivation;
    int64_t attention; /* channels inside the attention over the map; 0: largest magnitudes instead */
    int64_t graph[2];
    bool split; /* each task has a back end of its own */
    double ratios[3], temperatures[3], dropout, way_dropout, graph_dropout, pool_dropout;
    int64_t bands;
    int64_t pooled; /* size of the vector that aasist_forward returns: 5 graph[1] */
    nn_linear input;
    tensor *filters; /* [filters, kernel, 1] */
    nn_batch_norm input_norm, map_norm, attention_norm;
    nn_residual_block blocks[AASIST_MAX_BLOCKS];
    nn_linear attention_in, attention_out;
    aasist_back back[AASIST_MAX_BACKS]; /* of task k; of all: back[0] */
} aasist;

/* Read the sizes from the "network" object (net.h); keys of other parts of the network are left alone. */
spoor_status aasist_configure(aasist *c, const json_t *config, int64_t input_dim, spoor_error *err);
/* Add the parameters, named prefix... (after aasist_configure); those of the back end only where all tasks share
 * one. */
spoor_status aasist_init(aasist *c, params *p, const char *prefix, spoor_error *err);
/* Those of back end k, named prefix... */
spoor_status aasist_init_back(aasist *c, size_t k, params *p, const char *prefix, spoor_error *err);
/* features [B,T,D] -> [B, c->pooled] */
tensor *aasist_forward(const aasist *c, tape *t, tensor *features);
/* The same by each of the n back ends that `wanted` names, behind one pass through the encoder: out[n], NULL where not
 * wanted. */
void aasist_forward_each(const aasist *c, tape *t, tensor *features, const bool *wanted, size_t n, tensor **out);
/* Write the resolved sizes into a JSON object; false when out of memory. */
bool aasist_describe(const aasist *c, json_t *out);

/* The sinc filters that AASIST begins with (Ravanelli and Bengio 2018, fixed): out[n][kernel], band-pass filters
 * between n + 1 points that lie equally far apart on the mel scale from 0 to 8 kHz, times a Hamming window. kernel is
 * odd. */
void aasist_sinc_filters(int64_t n, int64_t kernel, real *out);
#endif
