// Speech through the neural parts of libopus 1.5: opus fargan|dred|nolace, 16-bit mono samples at 16 kHz from stdin to
// stdout, as many as were read and at the same place.
//
//   fargan: the features of its vocoder (18 cepstral bands, pitch, voicing; 100 a second) and FARGAN;
//
//   dred: the same, the features coded by the autoencoder of Deep Redundancy (RDOVAE); no other part of a packet is
//   used;
//
//   nolace: Opus in SILK mode at 9 kbit/s, its decoder followed by the enhancer NoLACE.
//
// Built by opus.sh against the sources, since FARGAN and RDOVAE are behind headers that are not installed.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dred_decoder.h"
#include "dred_encoder.h"
#include "dred_rdovae_dec.h"
#include "dred_rdovae_dec_data.h"
#include "fargan.h"
#include "opus.h"

enum {
    RATE = 16000,
    FRAME = LPCNET_FRAME_SIZE,
    MOST = 300 * RATE,  // samples
    LEAD = 5,           // silent frames that FARGAN begins after
    DFRAME = 2 * FRAME, // samples of a latent; every second one is coded
    CHUNKS = 12,        // coded latents of a payload, 40 ms each: what a loss of 480 ms leaves of the speech
    BLOCK = 4 * CHUNKS, // frames of a payload
    SPARE = 2,          // zero bytes behind it: a reader that has less than a byte left does not try the last latent
    BITRATE = 9000,
    PACKET = 1500
};

// What Opus takes at 32 kbit/s for the newest latent, and how fast it gets coarser.
enum { QUANTISER = 6, COARSER = 5, COARSEST = 15 };

// Samples by which speech comes out late: the 15 ms that FARGAN looks ahead; what the encoder of Deep Redundancy adds.
enum { FARGAN_DELAY = 240, DRED_DELAY = FARGAN_DELAY + DRED_SILK_ENCODER_DELAY };

static const char *problem = "out of memory";

// frames * NB_FEATURES features of the samples.
static int analysed(const short *in, size_t frames, float *features) {
    LPCNetEncState *state = calloc(1, (size_t)lpcnet_encoder_get_size());
    if (state == NULL) {
        return 4;
    }
    lpcnet_encoder_init(state);
    for (size_t i = 0; i < frames; i++) {
        float all[NB_TOTAL_FEATURES];
        lpcnet_compute_single_frame_features(state, in + i * FRAME, all, 0);
        memcpy(features + i * NB_FEATURES, all, NB_FEATURES * sizeof *features);
    }
    free(state);
    return 0;
}

// The features of one payload, oldest first, from what was coded last.
static int payload(DREDEnc *coder, const RDOVAEDec *model, float *features) {
    static unsigned char bytes[DRED_MAX_DATA_SIZE];
    static unsigned char active[2 * 4 * DRED_MAX_FRAMES];
    static OpusDRED dred;
    memset(active, 1, sizeof active); // pauses are coded as well
    memset(bytes, 0, sizeof bytes);
    int size = dred_encode_silk_frame(coder, bytes, CHUNKS, (int)sizeof bytes - SPARE, QUANTISER, COARSER, COARSEST,
                                      active, 0);
    if (size <= 0 || dred_ec_decode(&dred, bytes, size + SPARE, BLOCK, 0) != CHUNKS) {
        problem = "a payload of Deep Redundancy does not hold what was to be coded";
        return 3;
    }
    DRED_rdovae_decode_all(model, dred.fec_features, dred.state, dred.latents, CHUNKS, 0);
    for (int i = 0; i < BLOCK; i++) { // they come newest first
        memcpy(features + i * NB_FEATURES, dred.fec_features + (BLOCK - 1 - i) * DRED_NUM_FEATURES,
               NB_FEATURES * sizeof *features);
    }
    return 0;
}

static int coded(const short *in, size_t frames, float *features) {
    DREDEnc *coder = calloc(1, sizeof *coder);
    RDOVAEDec *model = calloc(1, sizeof *model);
    int status = coder != NULL && model != NULL ? 0 : 4;
    if (status == 0) {
        dred_encoder_init(coder, RATE, 1);
        if (init_rdovaedec(model, rdovaedec_arrays) != 0 || !coder->loaded) {
            problem = "the library has no weights of Deep Redundancy";
            status = 3;
        }
    }
    for (size_t i = 0; status == 0 && i < frames; i += 2) {
        float pcm[DFRAME];
        for (int k = 0; k < DFRAME; k++) {
            pcm[k] = (float)in[i * FRAME + (size_t)k] / 32768;
        }
        dred_compute_latents(coder, pcm, DFRAME, 0, 0);
        if ((i + 2) % BLOCK == 0) {
            status = payload(coder, model, features + (i + 2 - BLOCK) * NB_FEATURES);
        }
    }
    free(coder);
    free(model);
    return status;
}

static int spoken(const float *features, size_t frames, short *out) {
    static const float silence[FARGAN_CONT_SAMPLES];
    FARGANState *vocoder = calloc(1, sizeof *vocoder);
    if (vocoder == NULL) {
        return 4;
    }
    fargan_init(vocoder);
    fargan_cont(vocoder, silence, features);
    for (size_t i = LEAD; i < frames; i++) {
        fargan_synthesize_int(vocoder, out + i * FRAME, features + i * NB_FEATURES);
    }
    free(vocoder);
    return 0;
}

// out: as long as in; both hold a whole number of blocks, the first LEAD frames are silent.
static int vocoded(const short *in, size_t samples, short *out, int with_dred) {
    size_t frames = samples / FRAME;
    float *features = calloc(frames * NB_FEATURES, sizeof *features);
    int status = features != NULL ? 0 : 4;
    if (status == 0) {
        status = with_dred ? coded(in, frames, features) : analysed(in, frames, features);
    }
    if (status == 0) {
        status = spoken(features, frames, out);
    }
    free(features);
    return status;
}

static int enhanced(const short *in, size_t samples, short *out, size_t *delay) {
    int error = 0;
    OpusEncoder *encoder = opus_encoder_create(RATE, 1, OPUS_APPLICATION_VOIP, &error);
    OpusDecoder *decoder = opus_decoder_create(RATE, 1, &error);
    int status = encoder != NULL && decoder != NULL ? 0 : 4;
    opus_int32 late = 0;
    if (status == 0 && (opus_encoder_ctl(encoder, OPUS_SET_BITRATE(BITRATE)) != OPUS_OK ||
                        opus_encoder_ctl(encoder, OPUS_SET_COMPLEXITY(10)) != OPUS_OK ||
                        opus_encoder_ctl(encoder, OPUS_SET_BANDWIDTH(OPUS_BANDWIDTH_WIDEBAND)) != OPUS_OK ||
                        opus_encoder_ctl(encoder, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE)) != OPUS_OK ||
                        opus_encoder_ctl(encoder, OPUS_GET_LOOKAHEAD(&late)) != OPUS_OK || late < 0 ||
                        late > 2 * DFRAME || opus_decoder_ctl(decoder, OPUS_SET_COMPLEXITY(10)) != OPUS_OK)) {
        problem = "the library refuses a setting";
        status = 3;
    }
    for (size_t i = 0; status == 0 && i < samples; i += DFRAME) {
        unsigned char packet[PACKET];
        opus_int32 size = opus_encode(encoder, in + i, DFRAME, packet, PACKET);
        if (size <= 0 || opus_decode(decoder, packet, size, out + i, DFRAME, 0) != DFRAME) {
            problem = "a packet cannot be coded";
            status = 3;
        }
    }
    *delay = (size_t)late;
    if (encoder != NULL) {
        opus_encoder_destroy(encoder);
    }
    if (decoder != NULL) {
        opus_decoder_destroy(decoder);
    }
    return status;
}

int main(int argc, char **argv) {
    const char *method = argc == 2 ? argv[1] : "";
    int is_fargan = strcmp(method, "fargan") == 0, is_dred = strcmp(method, "dred") == 0;
    if (!is_fargan && !is_dred && strcmp(method, "nolace") != 0) {
        fputs("usage: opus fargan|dred|nolace <IN >OUT\n", stderr);
        return 1;
    }
    size_t lead = LEAD * FRAME, most = MOST + 2 * BLOCK * FRAME;
    short *in = calloc(most, sizeof *in), *out = calloc(most, sizeof *out);
    int status = in != NULL && out != NULL ? 0 : 4;
    if (status == 0) {
        size_t got = fread(in + lead, sizeof *in, MOST, stdin), delay = is_dred ? DRED_DELAY : FARGAN_DELAY;
        size_t samples = ((lead + got) / (BLOCK * FRAME) + 1) * BLOCK * FRAME; // what is late is in the frames behind
        if (samples - lead - got < 2 * DFRAME) {
            samples += BLOCK * FRAME;
        }
        status = is_fargan || is_dred ? vocoded(in, samples, out, is_dred) : enhanced(in, samples, out, &delay);
        if (status == 0 && (fwrite(out + lead + delay, sizeof *out, got, stdout) != got || fflush(stdout) != 0)) {
            problem = "the samples cannot be written";
            status = 5;
        }
    }
    if (status != 0) {
        fprintf(stderr, "opus %s: %s\n", method, problem);
    }
    free(in);
    free(out);
    return status;
}
