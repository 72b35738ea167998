/* Vectors of VECTOR bytes in the compiler's own extension, which GCC and Clang lower to whatever the
   target has; only where they miss an instruction is it named. */
#ifndef LLMCLI_VECTOR_H
#define LLMCLI_VECTOR_H

#include "kernels.h"

#include <math.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define LANES (VECTOR / 4)
/* Before a loop over registers: only where it is unrolled do they stay registers. */
#define UNROLL _Pragma("GCC unroll 16")
/* Bytes from where weights are read to where they are asked for ahead: work on each number leaves
   the CPU too few loads under way by itself. What is multiplied as it is needs no help. */
#define AHEAD 4096
#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(VECTOR)));
typedef int32_t vi __attribute__((vector_size(VECTOR)));
typedef uint32_t vu __attribute__((vector_size(VECTOR)));
typedef uint16_t vh __attribute__((vector_size(VECTOR / 2)));
typedef uint16_t vs __attribute__((vector_size(VECTOR)));

INLINE vf load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE vu load_bits(const void *p)
{
    vu v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }
INLINE vf splat(float x) { return x - (vf){0}; }
INLINE vu splat_bits(uint32_t x) { return x - (vu){0}; }

INLINE vf choose(vi mask, vf yes, vf no) { return (vf)(((vi)yes & mask) | ((vi)no & ~mask)); }
/* Where one is NaN, b. */
INLINE vf larger(vf a, vf b)
{
#if defined(__AVX512F__) && VECTOR == 64
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#else
    return choose(a > b, a, b);
#endif
}
INLINE vf smaller(vf a, vf b)
{
#if defined(__AVX512F__) && VECTOR == 64
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#else
    return choose(a < b, a, b);
#endif
}
INLINE vf magnitude(vf a) { return (vf)((vi)a & 0x7fffffff); }

/* fp32 from bf16: its upper half. */
INLINE float widen(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Rounds to the nearest, ties to even; NaN stays NaN. */
INLINE uint16_t to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

INLINE vf load_kind(const void *p, long at, Kind kind)
{
    if (kind == F32)
        return load((const float *)p + at);
    const uint16_t *from = (const uint16_t *)p + at;
#if defined(__AVX512F__) && VECTOR == 64
    return (vf)((vu)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)from)) << 16);
#elif defined(__AVX2__) && VECTOR == 32
    return (vf)((vu)_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)from)) << 16);
#else
    vh h;
    memcpy(&h, from, sizeof h);
    return (vf)(__builtin_convertvector(h, vu) << 16);
#endif
}

INLINE vi load_bytes(const uint8_t *p)
{
    typedef uint8_t vb __attribute__((vector_size(LANES)));
    vb bytes;
    memcpy(&bytes, p, sizeof bytes);
    return __builtin_convertvector(bytes, vi);
}

INLINE float read(const void *p, long at, Kind kind)
{
    return kind == F32 ? ((const float *)p)[at] : widen(((const uint16_t *)p)[at]);
}

INLINE void write(void *p, long at, float x, Kind kind)
{
    if (kind == F32)
        ((float *)p)[at] = x;
    else
        ((uint16_t *)p)[at] = to_bf16(x);
}

INLINE void store_kind(void *p, long at, vf v, Kind kind)
{
    if (kind == F32) {
        store((float *)p + at, v);
        return;
    }
#if defined(__AVX512BF16__) && VECTOR == 64
    const __m256bh rounded = _mm512_cvtneps_pbh((__m512)v);
    memcpy((uint16_t *)p + at, &rounded, sizeof rounded);
#else
    vu bits = (vu)v, even = bits >> 16 & 1, rounded = (bits + 0x7fff + even) >> 16;
    vu nan = (vu)(v != v), quiet = bits >> 16 | 0x40;
    vh h = __builtin_convertvector((rounded & ~nan) | (quiet & nan), vh);
    memcpy((uint16_t *)p + at, &h, sizeof h);
#endif
}

typedef float vf4 __attribute__((vector_size(16)));

/* Lane by lane, until four are left: halves joined to halves. */
#if LANES == 4
#define QUARTER(v, join) (v)
#elif LANES == 8
#define UPPER(v) __builtin_shufflevector(v, v, 4, 5, 6, 7)
#define LOWER(v) __builtin_shufflevector(v, v, 0, 1, 2, 3)
#define QUARTER(v, join) join(LOWER(v), UPPER(v))
#else
#define PART_OF(v, i) __builtin_shufflevector(v, v, i, i + 1, i + 2, i + 3)
#define QUARTER(v, join) join(join(PART_OF(v, 0), PART_OF(v, 8)), join(PART_OF(v, 4), PART_OF(v, 12)))
#endif

INLINE vf4 add_four(vf4 a, vf4 b) { return a + b; }
INLINE vf4 larger_four(vf4 a, vf4 b)
{
    typedef int32_t vi4 __attribute__((vector_size(16)));
    const vi4 above = a > b;
    return (vf4)(((vi4)a & above) | ((vi4)b & ~above));
}

INLINE float sum(vf v)
{
    vf4 four = QUARTER(v, add_four);
    four += __builtin_shufflevector(four, four, 2, 3, 0, 1);
    return four[0] + four[1];
}

/* The sums of four vectors. */
INLINE vf4 sums_of(vf a, vf b, vf c, vf d)
{
    const vf4 w = QUARTER(a, add_four), x = QUARTER(b, add_four);
    const vf4 y = QUARTER(c, add_four), z = QUARTER(d, add_four);
    const vf4 wx = __builtin_shufflevector(w, x, 0, 4, 1, 5) + __builtin_shufflevector(w, x, 2, 6, 3, 7);
    const vf4 yz = __builtin_shufflevector(y, z, 0, 4, 1, 5) + __builtin_shufflevector(y, z, 2, 6, 3, 7);
    return __builtin_shufflevector(wx, yz, 0, 1, 4, 5) + __builtin_shufflevector(wx, yz, 2, 3, 6, 7);
}

INLINE float largest(vf v)
{
    vf4 four = QUARTER(v, larger_four);
    four = larger_four(four, __builtin_shufflevector(four, four, 2, 3, 0, 1));
    return four[0] > four[1] ? four[0] : four[1];
}

/* e^x to about 1 unit in the last place: x = n ln 2 + r, a polynomial in r, n into the exponent. */
INLINE vf exponential(vf x)
{
    x = larger(splat(-87.0f), smaller(splat(88.0f), x));
    const float shifter = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    vf n = x * 1.44269504f + shifter;
    vu exponent = (vu)n << 23;
    n -= shifter;
    vf r = x - n * 0.693359375f;
    r -= n * -2.12194440e-4f;
    vf p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (vf)((vu)p + exponent);
}

INLINE vf tanh_of(vf x)
{
    vf t = exponential(magnitude(x) * -2.0f);
    vf y = (1.0f - t) / (1.0f + t);
    return (vf)(((vi)y & 0x7fffffff) | ((vi)x & (int32_t)0x80000000));
}

/* total + of each lane, the two 16-bit halves multiplied in pairs and added. */
INLINE vi add_halves(vi total, vu a, vu b)
{
#if defined(__AVX512VNNI__) && VECTOR == 64
    return (vi)_mm512_dpwssd_epi32((__m512i)total, (__m512i)a, (__m512i)b);
#elif defined(__AVX512BW__) && VECTOR == 64
    return total + (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__) && VECTOR == 32
    return total + (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__) && VECTOR == 16
    return total + (vi)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    vi low = ((vi)(a << 16) >> 16) * ((vi)(b << 16) >> 16);
    return total + low + ((vi)a >> 16) * ((vi)b >> 16);
#endif
}

/* Whether the CPU multiplies bf16 by itself. */
#ifndef MULTIPLIES_BF16
#if defined(__AVX512BF16__) && VECTOR == 64
#define MULTIPLIES_BF16 1
#else
#define MULTIPLIES_BF16 0
#endif
#endif

/* total + of each lane, the two bf16 halves multiplied in pairs and added. */
INLINE vf add_pairs(vf total, vu a, vu b)
{
#if defined(__AVX512BF16__) && VECTOR == 64
    return (vf)_mm512_dpbf16_ps((__m512)total, (__m512bh)a, (__m512bh)b);
#else
    total += (vf)(a << 16) * (vf)(b << 16);
    return total + (vf)(a & 0xffff0000) * (vf)(b & 0xffff0000);
#endif
}

/* fp32 from fp16, LANES of them. */
INLINE vf load_half(const uint16_t *p)
{
#if defined(__AVX512F__) && VECTOR == 64
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
#elif defined(__F16C__) && VECTOR == 32
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
#else
    vh h;
    memcpy(&h, p, sizeof h);
    vu wide = __builtin_convertvector(h, vu);
    /* The exponent's bias is 112 too small; a product with 2^112 mends it, subnormals included. */
    vf x = (vf)((wide & 0x7fff) << 13) * 0x1p112f;
    vi special = (vi)((wide & 0x7c00) == 0x7c00);
    vu bits = ((vu)x & ~(vu)special) | (((wide & 0x7fff) << 13 | 0x7f800000) & (vu)special);
    return (vf)(bits | (wide & 0x8000) << 16);
#endif
}

#endif
