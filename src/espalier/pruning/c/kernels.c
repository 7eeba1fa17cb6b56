/* == head == */
#if defined(__SSE2__) || defined(__ARM_NEON) || defined(__ALTIVEC__) || defined(__wasm_simd128__)
#define HAS_VECTORS 1
#else
#define HAS_VECTORS 0
#endif
#if HAS_VECTORS && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 9)) && !defined(@P@_PLAIN)
#define VECTORS 1
typedef float v8 __attribute__((vector_size(32)));
typedef float v4 __attribute__((vector_size(16)));
typedef float v8_any __attribute__((vector_size(32), aligned(4), may_alias));
typedef float v4_any __attribute__((vector_size(16), aligned(4), may_alias));
#define GET8(p) (*(const v8_any *)(p))
#define GET4(p) (*(const v4_any *)(p))
#define PUT8(p, v) (*(v8_any *)(p) = (v))
#define PUT4(p, v) (*(v4_any *)(p) = (v))
#else
#define VECTORS 0
#endif
/* == float == */
typedef float weight, weight4; /* weight4: a row of 4 columns, which are floats of their own */
#define TILE(rows) (4 * (rows))
#define VALUE(p, rows, r, j) (p)[(rows) * (j) + (r)]
#define COLUMN8(p, j) GET8((p) + 8 * (j))
#define COLUMN4(p, j) GET4((p) + 4 * (j))
#if VECTORS
#define ROW8(p) GET8(p)
#endif
#define SCALED(value, row) (value)
#define SCALED8(value, row) (value)
#define SCALED4(value, row) (value)
/* == int8 == */
typedef signed char weight;
typedef unsigned int weight4; /* a row of 4 columns, the first in the lowest 8 bits */
#define TILE(rows) (rows)
#define VALUE(p, rows, r, j) (float)((int)((((p)[r] >> (8 * (j))) & 255u) ^ 128u) - 128)
#if VECTORS
typedef int i8 __attribute__((vector_size(32)));
typedef int i4 __attribute__((vector_size(16)));
typedef unsigned int u8_any __attribute__((vector_size(32), aligned(4), may_alias));
typedef unsigned int u4_any __attribute__((vector_size(16), aligned(4), may_alias));
#define COLUMN8(p, j) __builtin_convertvector((i8)(*(const u8_any *)(p) << (24 - 8 * (j))) >> 24, v8)
#define COLUMN4(p, j) __builtin_convertvector((i4)(*(const u4_any *)(p) << (24 - 8 * (j))) >> 24, v4)
#endif
#define SCALED(value, row) ((value) * scale[row])
#define SCALED8(value, row) ((value) * GET8(scale + (row)))
#define SCALED4(value, row) ((value) * GET4(scale + (row)))
/* == activations == */
#ifdef @P@_LIBM
static inline float tanh_of(float x) { return tanhf(x); }
static inline float sigmoid_of(float x) { return 1.0f / (1.0f + expf(-x)); }
#else
/* A quotient of polynomials: off by at most 4e-7, on all of the line. */
static inline float tanh_of(float x)
{
    const float high = x < 8.5f ? x : 8.5f, z = high > -8.5f ? high : -8.5f, y = z * z;
    const float above = @ABOVE@;
    const float below = @BELOW@;
    const float inside = x == x ? z * above / below : x;
    return x >= 8.5f ? 1.0f : x <= -8.5f ? -1.0f : inside; /* what is saturated stays so, however many steps */
}
static inline float sigmoid_of(float x) { return 0.5f + 0.5f * tanh_of(0.5f * x); }
#endif
/* == dense == */
/* out[t] += W x[t]: rows in groups of 8, of a group 4 columns after the other. */
static void dense(const weight4 *w, const float *scale, int groups, int columns, const float *x, int width, int n, float *out,
                  int height)
{
    int t = 0;
    (void)scale;
#if VECTORS
    for (; t + 4 <= n; t += 4) {
        const weight4 *p = w;
        const float *a = x + t * width, *b = a + width, *c = b + width, *d = c + width;
        for (int g = 0; g < groups; g++) {
            float *to = out + t * height + 8 * g;
            v8 sa = {0}, sb = {0}, sc = {0}, sd = {0}, ra = {0}, rb = {0}, rc = {0}, rd = {0};
            for (int k = 0; k < columns; k += 4, p += TILE(8)) {
                const v8 w0 = COLUMN8(p, 0), w1 = COLUMN8(p, 1), w2 = COLUMN8(p, 2), w3 = COLUMN8(p, 3);
                sa += w0 * a[k], sb += w0 * b[k], sc += w0 * c[k], sd += w0 * d[k];
                ra += w1 * a[k + 1], rb += w1 * b[k + 1], rc += w1 * c[k + 1], rd += w1 * d[k + 1];
                sa += w2 * a[k + 2], sb += w2 * b[k + 2], sc += w2 * c[k + 2], sd += w2 * d[k + 2];
                ra += w3 * a[k + 3], rb += w3 * b[k + 3], rc += w3 * c[k + 3], rd += w3 * d[k + 3];
            }
            PUT8(to, GET8(to) + SCALED8(sa + ra, 8 * g));
            PUT8(to + height, GET8(to + height) + SCALED8(sb + rb, 8 * g));
            PUT8(to + 2 * height, GET8(to + 2 * height) + SCALED8(sc + rc, 8 * g));
            PUT8(to + 3 * height, GET8(to + 3 * height) + SCALED8(sd + rd, 8 * g));
        }
    }
#endif
    for (; t < n; t++) {
        const weight4 *p = w;
        const float *a = x + t * width;
        for (int g = 0; g < groups; g++) {
            float *to = out + t * height + 8 * g;
#if VECTORS
            v8 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
            for (int k = 0; k < columns; k += 4, p += TILE(8)) {
                s0 += COLUMN8(p, 0) * a[k];
                s1 += COLUMN8(p, 1) * a[k + 1];
                s2 += COLUMN8(p, 2) * a[k + 2];
                s3 += COLUMN8(p, 3) * a[k + 3];
            }
            PUT8(to, GET8(to) + SCALED8((s0 + s1) + (s2 + s3), 8 * g));
#else
            float s[8] = {0};
            for (int k = 0; k < columns; k += 4, p += TILE(8))
                for (int j = 0; j < 4; j++)
                    for (int r = 0; r < 8; r++) s[r] += VALUE(p, 8, r, j) * a[k + j];
            for (int r = 0; r < 8; r++) to[r] += SCALED(s[r], 8 * g + r);
#endif
        }
    }
}
/* == tiles_8x4 == */
/* out[t] += W x[t]: of every group of 8 rows the tiles of 4 columns that are not zero, and which columns these are. */
static void tiles_8x4(const weight4 *w, const float *scale, const int *starts, const unsigned short *places, int groups,
                      const float *x, int width, int n, float *out, int height)
{
    int t = 0;
    (void)scale;
#if VECTORS
    for (; t + 2 <= n; t += 2) {
        const weight4 *p = w;
        const float *a = x + t * width, *b = a + width;
        for (int g = 0; g < groups; g++) {
            float *to = out + t * height + 8 * g;
            v8 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, r0 = {0}, r1 = {0}, r2 = {0}, r3 = {0};
            for (int k = starts[g]; k < starts[g + 1]; k++, p += TILE(8)) {
                const float *c = a + 4 * places[k], *d = b + 4 * places[k];
                const v8 w0 = COLUMN8(p, 0), w1 = COLUMN8(p, 1), w2 = COLUMN8(p, 2), w3 = COLUMN8(p, 3);
                s0 += w0 * c[0], s1 += w1 * c[1], s2 += w2 * c[2], s3 += w3 * c[3];
                r0 += w0 * d[0], r1 += w1 * d[1], r2 += w2 * d[2], r3 += w3 * d[3];
            }
            PUT8(to, GET8(to) + SCALED8((s0 + s1) + (s2 + s3), 8 * g));
            PUT8(to + height, GET8(to + height) + SCALED8((r0 + r1) + (r2 + r3), 8 * g));
        }
    }
#endif
    for (; t < n; t++) {
        const weight4 *p = w;
        const float *a = x + t * width;
        for (int g = 0; g < groups; g++) {
            float *to = out + t * height + 8 * g;
#if VECTORS
            v8 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
            for (int k = starts[g]; k < starts[g + 1]; k++, p += TILE(8)) {
                const float *c = a + 4 * places[k];
                s0 += COLUMN8(p, 0) * c[0];
                s1 += COLUMN8(p, 1) * c[1];
                s2 += COLUMN8(p, 2) * c[2];
                s3 += COLUMN8(p, 3) * c[3];
            }
            PUT8(to, GET8(to) + SCALED8((s0 + s1) + (s2 + s3), 8 * g));
#else
            float s[8] = {0};
            for (int k = starts[g]; k < starts[g + 1]; k++, p += TILE(8))
                for (int j = 0; j < 4; j++)
                    for (int r = 0; r < 8; r++) s[r] += VALUE(p, 8, r, j) * a[4 * places[k] + j];
            for (int r = 0; r < 8; r++) to[r] += SCALED(s[r], 8 * g + r);
#endif
        }
    }
}
/* == tiles_4x4 == */
/* out[t] += W x[t]: of every group of 4 rows the tiles of 4 columns that are not zero, and which columns these are. */
static void tiles_4x4(const weight4 *w, const float *scale, const int *starts, const unsigned short *places, int groups,
                      const float *x, int width, int n, float *out, int height)
{
    (void)scale;
    for (int t = 0; t < n; t++) {
        const weight4 *p = w;
        const float *a = x + t * width;
        for (int g = 0; g < groups; g++) {
            float *to = out + t * height + 4 * g;
#if VECTORS
            v4 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
            for (int k = starts[g]; k < starts[g + 1]; k++, p += TILE(4)) {
                const float *c = a + 4 * places[k];
                s0 += COLUMN4(p, 0) * c[0];
                s1 += COLUMN4(p, 1) * c[1];
                s2 += COLUMN4(p, 2) * c[2];
                s3 += COLUMN4(p, 3) * c[3];
            }
            PUT4(to, GET4(to) + SCALED4((s0 + s1) + (s2 + s3), 4 * g));
#else
            float s[4] = {0};
            for (int k = starts[g]; k < starts[g + 1]; k++, p += TILE(4))
                for (int j = 0; j < 4; j++)
                    for (int r = 0; r < 4; r++) s[r] += VALUE(p, 4, r, j) * a[4 * places[k] + j];
            for (int r = 0; r < 4; r++) to[r] += SCALED(s[r], 4 * g + r);
#endif
        }
    }
}
/* == tiles_1x8 == */
/* out[t] += W x[t]: of every row the stretches of 8 columns that are not zero, and which columns these are. */
static void tiles_1x8(const weight *w, const float *scale, const int *starts, const unsigned short *places, int rows,
                      const float *x, int width, int n, float *out, int height)
{
    (void)scale;
    for (int t = 0; t < n; t++) {
        const weight *p = w;
        const float *a = x + t * width;
        for (int g = 0; g < rows; g++) {
#ifdef ROW8
            v8 s = {0};
            for (int k = starts[g]; k < starts[g + 1]; k++, p += 8) s += ROW8(p) * GET8(a + 8 * places[k]);
#else
            float s[8] = {0};
            for (int k = starts[g]; k < starts[g + 1]; k++, p += 8)
                for (int j = 0; j < 8; j++) s[j] += p[j] * a[8 * places[k] + j];
#endif
            const float total = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
            out[t * height + g] += SCALED(total, g);
        }
    }
}
/* == csr == */
/* out[t] += W x[t]: of every row the weights that are not zero, and their columns. */
static void csr(const weight *w, const float *scale, const int *starts, const unsigned short *places, int rows, const float *x,
                int width, int n, float *out, int height)
{
    (void)scale;
    for (int t = 0; t < n; t++) {
        const float *a = x + t * width;
        for (int g = 0; g < rows; g++) {
            float even = 0, odd = 0;
            int k = starts[g];
            for (; k + 1 < starts[g + 1]; k += 2) even += w[k] * a[places[k]], odd += w[k + 1] * a[places[k + 1]];
            if (k < starts[g + 1]) even += w[k] * a[places[k]];
            out[t * height + g] += SCALED(even + odd, g);
        }
    }
}
/* == lstm == */
/* One step of an LSTM from what enters its gates, each `padded` long: states of h and c in place. */
static void lstm(int padded, const float *a, float *c, float *h)
{
    const float *f = a + padded, *g = f + padded, *o = g + padded;
    for (int k = 0; k < padded; k++) {
        c[k] = sigmoid_of(f[k]) * c[k] + sigmoid_of(a[k]) * tanh_of(g[k]);
        h[k] = sigmoid_of(o[k]) * tanh_of(c[k]);
    }
}
/* == gru == */
/* One step of a GRU from what enters its gates from the input and from the state, each `padded` long: h in place. */
static void gru(int padded, const float *a, const float *s, float *h)
{
    for (int k = 0; k < padded; k++) {
        const float r = sigmoid_of(a[k] + s[k]), z = sigmoid_of(a[padded + k] + s[padded + k]);
        const float m = tanh_of(a[2 * padded + k] + r * s[2 * padded + k]);
        h[k] = m + z * (h[k] - m);
    }
}
