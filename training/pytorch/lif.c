/* tdBN and LIF neurons of separate.py, fused: each function reads its tensors once, where separate operations go over memory
 * some thirty times a layer. lif.h is included once for each type of the tensors: REAL is float, or bfloat16, the upper half of one.
 *
 * Currents x: (T, batch, n) with n neurons an image, the channel running fastest; scale, shift, mean: tiled to n by the caller. A
 * time step begins `stride` numbers after the one before, or 0 where the current is the same at all steps. An image is walked in
 * tiles so small that their membranes of all steps stay in the cache. T is at most MAX_STEPS, the config's limit. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TILE 512
#define MAX_STEPS 32

struct neuron {
  float tau, threshold, centre, half_width, height;
};

static inline float from_bf16(uint16_t x) {
  uint32_t bits = (uint32_t)x << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

/* To nearest, ties to even, as torch does; a NaN stays one. */
static inline uint16_t to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return value != value ? 0x7fc0 : (uint16_t)rounded;
}

static inline float from_float(float x) { return x; }
static inline float to_float(float x) { return x; }

#define REAL float
#define NAME(name) name##_f32
#define GET from_float
#define PUT to_float
#include "lif.h"
#undef REAL
#undef NAME
#undef GET
#undef PUT

#define REAL uint16_t
#define NAME(name) name##_bf16
#define GET from_bf16
#define PUT to_bf16
#include "lif.h"
