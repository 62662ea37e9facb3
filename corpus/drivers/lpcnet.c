// Speech through the LPCNet codec of libcodec2 (1733 bit/s): 16-bit mono samples at 16 kHz from stdin to stdout. What does not
// fill a last frame is filled up with zeros.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The package with the library has no header; these are its declarations.
struct LPCNetFreeDV;
struct LPCNetFreeDV *lpcnet_freedv_create(int direct_split);
void lpcnet_freedv_destroy(struct LPCNetFreeDV *codec);
int lpcnet_samples_per_frame(struct LPCNetFreeDV *codec);
int lpcnet_bits_per_frame(struct LPCNetFreeDV *codec);
void lpcnet_enc(struct LPCNetFreeDV *codec, short *pcm, char *frame);
void lpcnet_dec(struct LPCNetFreeDV *codec, char *frame, short *pcm);

int main(void) {
    struct LPCNetFreeDV *codec = lpcnet_freedv_create(1); // the other quantiser (0) clips
    if (codec == NULL) {
        fputs("lpcnet: out of memory\n", stderr);
        return 4;
    }
    int samples = lpcnet_samples_per_frame(codec);
    int bits = lpcnet_bits_per_frame(codec);
    if (samples <= 0 || samples > 65536 || bits <= 0 || bits > 65536) {
        fputs("lpcnet: this library has frames of an unknown size\n", stderr);
        return 3;
    }
    short *pcm = calloc((size_t)samples, sizeof *pcm);
    char *frame = calloc((size_t)bits, 1);
    int status = pcm != NULL && frame != NULL ? 0 : 4;
    size_t got = 0;
    while (status == 0 && (got = fread(pcm, sizeof *pcm, (size_t)samples, stdin)) > 0) {
        memset(pcm + got, 0, ((size_t)samples - got) * sizeof *pcm);
        lpcnet_enc(codec, pcm, frame);
        lpcnet_dec(codec, frame, pcm);
        if (fwrite(pcm, sizeof *pcm, (size_t)samples, stdout) != (size_t)samples) {
            status = 5;
        }
    }
    free(frame);
    free(pcm);
    lpcnet_freedv_destroy(codec);
    return status == 0 && fflush(stdout) != 0 ? 5 : status;
}
