/* Included by lif.c once for each type of the tensors. */

/* Sums over all rows of x (rows, channels) of x - pivot and of its square, pivot being the first row: differences of sums that
 * are small beside the spread keep their digits. sums: 2 * channels doubles. */
void NAME(moments)(const REAL *x, int64_t rows, int64_t channels, double *sums) {
  memset(sums, 0, 2 * (size_t)channels * sizeof *sums);
#pragma omp parallel
  {
    double *mine = calloc(2 * (size_t)channels, sizeof *mine);
    float *block = malloc(3 * (size_t)channels * sizeof *block);
    float *restrict pivot = block, *restrict first = block + channels, *restrict second = block + 2 * channels;
    for (int64_t c = 0; c < channels; c++) pivot[c] = GET(x[c]);
#pragma omp for schedule(static)
    for (int64_t start = 0; start < rows; start += 64) {
      int64_t end = start + 64 < rows ? start + 64 : rows;
      memset(first, 0, 2 * (size_t)channels * sizeof *first);
      for (int64_t row = start; row < end; row++) {
        const REAL *restrict values = x + row * channels;
        for (int64_t c = 0; c < channels; c++) {
          float value = GET(values[c]) - pivot[c];
          first[c] += value;
          second[c] += value * value;
        }
      }
      for (int64_t c = 0; c < 2 * channels; c++) mine[c] += first[c];
    }
#pragma omp critical
    for (int64_t c = 0; c < 2 * channels; c++) sums[c] += mine[c];
    free(block);
    free(mine);
  }
}

/* Membranes of `width` neurons, and their spikes where wanted; -> how many spikes. */
static int64_t NAME(walk)(const REAL *x, int64_t stride, const float *restrict scale, const float *restrict shift, int steps, int width,
                          const struct neuron *neuron, float *restrict membranes, REAL *spikes, int64_t spike_stride) {
  float residue[TILE] = {0};
  const float tau = neuron->tau, threshold = neuron->threshold;
  const REAL one = PUT(1.0f), none = PUT(0.0f);
  int64_t count = 0;
  for (int t = 0; t < steps; t++) {
    const REAL *restrict current = x + t * stride;
    float *restrict u = membranes ? membranes + t * TILE : NULL;
    REAL *restrict out = spikes ? spikes + t * spike_stride : NULL;
    int32_t fired = 0;
    for (int i = 0; i < width; i++) {
      float membrane = shift[i] + GET(current[i]) * scale[i] + tau * residue[i];
      int spike = membrane > threshold;
      residue[i] = spike ? 0.0f : membrane;
      if (u) u[i] = membrane;
      if (out) out[i] = spike ? one : none;
      fired += spike;
    }
    count += fired;
  }
  return count;
}

/* spikes: (T, batch, n), 0 or 1. -> how many are 1. */
int64_t NAME(forward)(const REAL *x, int64_t stride, const float *scale, const float *shift, int steps, int64_t batch, int64_t n,
                      struct neuron neuron, REAL *spikes) {
  int64_t count = 0, tiles = (n + TILE - 1) / TILE;
#pragma omp parallel for schedule(static) reduction(+ : count)
  for (int64_t piece = 0; piece < batch * tiles; piece++) {
    int64_t at = piece % tiles * TILE, offset = piece / tiles * n + at;
    int width = n - at < TILE ? (int)(n - at) : TILE;
    count += NAME(walk)(x + offset, stride, scale + at, shift + at, steps, width, &neuron, NULL, spikes + offset, batch * n);
  }
  return count;
}

/* d: gradient of the normalised currents, (T, batch, n), or (batch, n) of currents that are the same at all steps. sums: of d and of
 * d * (x - mean) over each channel, 2 * channels doubles. The membranes are computed again: cheaper than to read them back. */
void NAME(backward)(const REAL *x, int64_t stride, const float *scale, const float *shift, const float *mean, int steps, int64_t batch,
                    int64_t n, int64_t channels, struct neuron neuron, float cost, const REAL *d_spikes, float *d, double *sums) {
  int64_t tiles = (n + TILE - 1) / TILE;
  memset(sums, 0, 2 * (size_t)channels * sizeof *sums);
#pragma omp parallel
  {
    double *mine = calloc(2 * (size_t)channels, sizeof *mine);
    float(*membranes)[TILE] = malloc(MAX_STEPS * sizeof *membranes);
#pragma omp for schedule(static)
    for (int64_t piece = 0; piece < batch * tiles; piece++) {
      int64_t at = piece % tiles * TILE, offset = piece / tiles * n + at;
      int width = n - at < TILE ? (int)(n - at) : TILE;
      NAME(walk)(x + offset, stride, scale + at, shift + at, steps, width, &neuron, membranes[0], NULL, 0);
      float later[TILE] = {0}, plain[TILE] = {0}, weighted[TILE] = {0};
      const float *restrict centre_of = mean + at;
      for (int t = steps - 1; t >= 0; t--) {
        const REAL *restrict current = x + offset + t * stride, *restrict d_spike = d_spikes + offset + t * batch * n;
        const float *restrict u = membranes[t];
        float *restrict out = stride ? d + offset + t * batch * n : NULL;
        for (int i = 0; i < width; i++) {
          float through = later[i] * neuron.tau;
          float spike = GET(d_spike[i]) - through * u[i] + cost;
          float distance = __builtin_fabsf(u[i] - neuron.centre);
          spike = distance < neuron.half_width ? spike : 0.0f * spike;
          through = u[i] <= neuron.threshold ? through : 0.0f * through;
          float now = through + spike * neuron.height;
          later[i] = now;
          plain[i] += now;
          weighted[i] += now * (GET(current[i]) - centre_of[i]);
          if (out) out[i] = now;
        }
      }
      if (!stride) memcpy(d + offset, plain, (size_t)width * sizeof *d);
      for (int i = 0, c = (int)(at % channels); i < width; i++, c = c + 1 == channels ? 0 : c + 1) {
        mine[c] += plain[i];
        mine[channels + c] += weighted[i];
      }
    }
#pragma omp critical
    for (int64_t c = 0; c < 2 * channels; c++) sums[c] += mine[c];
    free(membranes);
    free(mine);
  }
}

/* tdBN's adjoint: dx = d * scale + constant - (x - mean) * slope over so many images of n. */
void NAME(adjoint)(const REAL *x, const float *d, const float *scale, const float *mean, const float *constant, const float *slope,
                   int64_t images, int64_t n, REAL *dx) {
#pragma omp parallel for schedule(static)
  for (int64_t image = 0; image < images; image++) {
    const REAL *restrict values = x + image * n;
    const float *restrict gradient = d + image * n;
    REAL *restrict out = dx + image * n;
    for (int64_t i = 0; i < n; i++) out[i] = PUT(gradient[i] * scale[i] + constant[i] - (GET(values[i]) - mean[i]) * slope[i]);
  }
}

/* total[i] = sum over t of coefficients[t] * spikes[t][i]. */
void NAME(time_sum)(const REAL *spikes, const float *coefficients, int steps, int64_t size, float *total) {
#pragma omp parallel for schedule(static)
  for (int64_t start = 0; start < size; start += TILE) {
    int width = size - start < TILE ? (int)(size - start) : TILE;
    float *restrict sum = total + start;
    memset(sum, 0, (size_t)width * sizeof *sum);
    for (int t = 0; t < steps; t++) {
      const REAL *restrict now = spikes + t * size + start;
      const float coefficient = coefficients[t];
      for (int i = 0; i < width; i++) sum[i] += coefficient * GET(now[i]);
    }
  }
}

/* The adjoint: spread[t][i] = coefficients[t] * d[i]. */
void NAME(time_spread)(REAL *spread, const float *d, const float *coefficients, int steps, int64_t size) {
#pragma omp parallel for schedule(static)
  for (int64_t start = 0; start < size; start += TILE) {
    int width = size - start < TILE ? (int)(size - start) : TILE;
    const float *restrict from = d + start;
    for (int t = 0; t < steps; t++) {
      REAL *restrict out = spread + t * size + start;
      const float coefficient = coefficients[t];
      for (int i = 0; i < width; i++) out[i] = PUT(coefficient * from[i]);
    }
  }
}
