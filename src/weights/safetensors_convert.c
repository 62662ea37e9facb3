/* safetensors_convert.c: elements of a safetensors file as numbers of this machine; see safetensors.h.
 * Elements may lie at odd addresses, so every load is a memcpy, which compilers turn into one instruction. */
#include "weights/safetensors.h"
#include <math.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors_convert.c: loads assume a little-endian processor"
#endif

static float float_of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of_float(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

float safetensors_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 1023u;
    if (exponent == 31) { /* infinity and NaN */
        return float_of_bits(sign | 0x7f800000u | fraction << 13);
    }
    if (exponent != 0) { /* the bias moves from 15 to 127 */
        return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    }
    float small = (float)fraction * 0x1p-24f; /* subnormal or zero: exact in float */
    return sign != 0 ? -small : small;
}

uint16_t safetensors_f32_to_f16(float f) {
    uint32_t bits = bits_of_float(f), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) { /* NaN stays NaN: keep the top of its payload and make it quiet */
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
    }
    if (magnitude >= 0x477ff000u) { /* 65520 and up round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    }
    if (magnitude < 0x38800000u) { /* below 2^-14 the result counts steps of 2^-24; the sum rounds to even */
        float steps = float_of_bits(magnitude) * 0x1p24f + 0x1p23f;
        return (uint16_t)(sign | (bits_of_float(steps) - bits_of_float(0x1p23f)));
    }
    uint32_t odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | ((magnitude - (112u << 23) + 0xfffu + odd) >> 13));
}

/* One loop per dtype: T is how an element is stored, EXPR makes a number of it. */
#define CONVERT(T, EXPR)                                     \
    for (size_t i = 0; i < t->count; i++) {                  \
        T v;                                                 \
        memcpy(&v, t->data + i * sizeof v, sizeof v);        \
        out[i] = EXPR;                                       \
    }                                                        \
    break

#define CONVERT_ALL(TO)                                                             \
    switch (t->dtype) {                                                             \
    case SAFETENSORS_F32: CONVERT(float, (TO)v);                                    \
    case SAFETENSORS_F16: CONVERT(uint16_t, (TO)safetensors_f16_to_f32(v));         \
    case SAFETENSORS_BF16: CONVERT(uint16_t, (TO)float_of_bits((uint32_t)v << 16)); \
    case SAFETENSORS_F64: CONVERT(double, (TO)v);                                   \
    case SAFETENSORS_I64: CONVERT(int64_t, (TO)v);                                  \
    case SAFETENSORS_I32: CONVERT(int32_t, (TO)v);                                  \
    case SAFETENSORS_I16: CONVERT(int16_t, (TO)v);                                  \
    case SAFETENSORS_I8: CONVERT(int8_t, (TO)v);                                    \
    case SAFETENSORS_U64: CONVERT(uint64_t, (TO)v);                                 \
    case SAFETENSORS_U32: CONVERT(uint32_t, (TO)v);                                 \
    case SAFETENSORS_U16: CONVERT(uint16_t, (TO)v);                                 \
    case SAFETENSORS_U8: CONVERT(uint8_t, (TO)v);                                   \
    case SAFETENSORS_BOOL: CONVERT(uint8_t, v != 0 ? (TO)1 : (TO)0);                \
    case SAFETENSORS_DTYPES: break;                                                 \
    }

void safetensors_to_f32(const safetensors_tensor *t, float *out) { CONVERT_ALL(float) }

void safetensors_to_f64(const safetensors_tensor *t, double *out) { CONVERT_ALL(double) }
