// Loops that compilers turn into vectors; the order of operations of a neuron is that of spikereel.ops.lif, a product and
// a sum are never fused where a spike is decided.

static inline int64_t less(int64_t a, int64_t b) { return a < b ? a : b; }

// exp(x) for x <= 0, to two units in the last place
static inline float exp_of(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float whole = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
  const float r = (x - whole * 0.693359375f) - whole * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const int32_t power = (static_cast<int32_t>(whole) + 127) << 23;
  float two;
  __builtin_memcpy(&two, &power, 4);
  return (p * r * r + r + 1.0f) * two;
}

static inline void pack(const float* s, uint8_t* out, int n) {
  int i = 0;
#if defined(SPIKEREEL_AVX512)
  for (; i + 16 <= n; i += 16) {
    const __mmask16 set = _mm512_cmp_ps_mask(_mm512_loadu_ps(s + i), _mm512_setzero_ps(), _CMP_NEQ_OQ);
    const uint16_t word = static_cast<uint16_t>(set);
    __builtin_memcpy(out + i / 8, &word, 2);
  }
#elif defined(SPIKEREEL_AVX2)
  for (; i + 8 <= n; i += 8)
    out[i / 8] = static_cast<uint8_t>(
        _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(s + i), _mm256_setzero_ps(), _CMP_NEQ_OQ)));
#endif
  for (; i < n; i += 8) {
    int byte = 0;
    for (int j = 0; j < 8 && i + j < n; j++) byte |= (s[i + j] != 0.0f) << j;
    out[i / 8] = static_cast<uint8_t>(byte);
  }
}

struct Place {
  int64_t first, bytes;  // first value of the block in its frame; bytes of a frame of bits
  int n;
  int64_t table, step;  // where the numbers of the norm begin, and how far it is to those of the next frame
};

template <bool Norm>
static inline void current_of(const Neurons& a, const Place& at, int64_t t, const float* __restrict x, float* __restrict z) {
  if (Norm) {
    const float* __restrict scale = a.scale + at.table + t * at.step;
    const float* __restrict shift = a.shift + at.table + t * at.step;
    for (int i = 0; i < at.n; i++) z[i] = x[i] * scale[i] + shift[i];
  } else {
    for (int i = 0; i < at.n; i++) z[i] = x[i];
  }
}

template <bool Integer, bool Decay>
static inline void charge(const Unit& u, int n, const float* __restrict z, const float* __restrict v,
                          float* __restrict h) {
  if (Integer) {
    for (int i = 0; i < n; i++) h[i] = v[i] * u.decay + z[i];
  } else if (Decay) {
    for (int i = 0; i < n; i++) h[i] = (z[i] - (v[i] - u.v_reset)) * u.decay + v[i];
  } else {
    for (int i = 0; i < n; i++) h[i] = (v[i] - (v[i] - u.v_reset) * u.decay) + z[i];
  }
}

static inline float count_of(float h, float top) {
  const float c = h < 0.0f ? 0.0f : h > top ? top : h;
  return (c + 12582912.0f) - 12582912.0f;
}

// v after a step, from what was charged
template <bool Integer, bool Soft>
static inline void set_back(const Unit& u, int n, const float* __restrict h, float* __restrict v) {
  if (Integer) {
    const float top = static_cast<float>(u.top);
    for (int i = 0; i < n; i++) v[i] = h[i] - count_of(h[i], top);
  } else if (Soft) {
    for (int i = 0; i < n; i++) v[i] = h[i] >= u.threshold ? h[i] - u.threshold : h[i];
  } else {
    for (int i = 0; i < n; i++) v[i] = h[i] >= u.threshold ? u.v_reset : h[i];
  }
}

static inline void begin(const Neurons& a, const Place& at, float* v) {
  for (int i = 0; i < at.n; i++) v[i] = a.start ? a.start[at.first + i] : a.rest;
}

template <bool Norm, bool Integer, bool Decay, bool Soft>
static void fire_block(const Neurons& a, const Fired& out, const Place& at) {
  alignas(64) float v[kBlock], z[kBlock], h[kBlock], s[kBlock];
  const Unit& u = a.unit;
  const float top = static_cast<float>(u.top);
  begin(a, at, v);
  for (int64_t t = 0; t < a.frames; t++) {
    current_of<Norm>(a, at, t, a.x + t * a.values + at.first, z);
    const float* ahead = a.x + t * a.values + at.first + kBlock;
    for (int i = 0; i < at.n; i += 16) __builtin_prefetch(ahead + i);
    charge<Integer, Decay>(u, at.n, z, v, h);
    if (Integer) {
      for (int i = 0; i < at.n; i++) s[i] = count_of(h[i], top);
    } else {
      for (int i = 0; i < at.n; i++) s[i] = h[i] >= u.threshold ? 1.0f : 0.0f;
    }
    set_back<Integer, Soft>(u, at.n, h, v);
    if (Integer) {
      uint8_t* kept = out.kept + t * a.values + at.first;
      for (int i = 0; i < at.n; i++) kept[i] = static_cast<uint8_t>(s[i]);
    } else {
      pack(s, out.kept + t * at.bytes + at.first / 8, at.n);
    }
  }
  for (int i = 0; i < at.n; i++) out.membrane[at.first + i] = v[i];
}

// The gradient of a spike at distance d from the threshold.
static inline void bumps(const Unit& u, int n, const float* __restrict h, float* __restrict out) {
  if (u.atan) {
    const float wide = 1.57079632679f * u.alpha, half = u.alpha / 2.0f;
    for (int i = 0; i < n; i++) {
      const float d = (h[i] - u.threshold) * wide;
      out[i] = half / (1.0f + d * d);
    }
  } else {
    for (int i = 0; i < n; i++) {
      const float d = (h[i] - u.threshold) * u.alpha, e = exp_of(d < 0.0f ? d : -d), one = 1.0f + e;
      out[i] = u.alpha * e / (one * one);
    }
  }
}

template <bool Norm, bool Integer, bool Decay, bool Soft>
static void unfire_block(const Neurons& a, const Gradients& out, const Place& at, float* charged, float* own,
                         float* sums, int64_t sums_step, double* to_decay) {
  alignas(64) float v[kBlock], z[kBlock], g[kBlock], d[kBlock];
  const Unit& u = a.unit;
  const int n = at.n;
  const float top = static_cast<float>(u.top), keep = 1.0f - u.decay, gain = Decay ? u.decay : 1.0f;
  begin(a, at, v);
  for (int64_t t = 0; t < a.frames; t++) {
    // frames are often whole powers of two apart, and more than a cache holds of those: each is read once
    const float* __restrict from = a.x + t * a.values + at.first;
    float* __restrict x = own + t * kBlock;
    for (int i = 0; i < n; i++) x[i] = from[i];
    const float* soon = out.to_spikes + t * a.values + at.first;
    for (int i = 0; i < n; i += 16) __builtin_prefetch(soon + i);
    current_of<Norm>(a, at, t, x, z);
    charge<Integer, Decay>(u, n, z, v, charged + t * kBlock);
    set_back<Integer, Soft>(u, n, charged + t * kBlock, v);
  }
  for (int i = 0; i < n; i++) g[i] = out.to_membrane ? out.to_membrane[at.first + i] : 0.0f;
  for (int64_t t = a.frames - 1; t >= 0; t--) {
    const float* __restrict h = charged + t * kBlock;
    const float* ahead = a.x + t * a.values + at.first + kBlock;
    for (int i = 0; i < n; i += 16) __builtin_prefetch(ahead + i);
    const float* __restrict to_s = out.to_spikes + t * a.values + at.first;
    float* __restrict to_z = out.to_z + t * a.values + at.first;
    if (Integer) {
      for (int i = 0; i < n; i++) {
        const float whole = (h[i] >= 0.0f && h[i] <= top ? to_s[i] / u.per : 0.0f) + g[i];
        to_z[i] = whole;
        g[i] = whole * u.decay;
      }
    } else {
      bumps(u, n, h, d);
      for (int i = 0; i < n; i++) {
        const bool fired = h[i] >= u.threshold;
        const float through = u.detach_reset ? 0.0f : Soft ? -u.threshold * g[i] : (u.v_reset - h[i]) * g[i];
        const float direct = !Soft && fired ? 0.0f : g[i];
        d[i] = (to_s[i] + through) * d[i] + direct;
      }
      for (int i = 0; i < n; i++) to_z[i] = d[i] * gain;
      for (int i = 0; i < n; i++) g[i] = d[i] * keep;
      if (to_decay) {
        if (t) set_back<Integer, Soft>(u, n, charged + (t - 1) * kBlock, v);
        else begin(a, at, v);
        current_of<Norm>(a, at, t, own + t * kBlock, z);
        float total = 0.0f;
        for (int i = 0; i < n; i++) total += d[i] * ((Decay ? z[i] : 0.0f) - (v[i] - u.v_reset));
        *to_decay += total;
      }
    }
    if (Norm) {
      const float* __restrict x = own + t * kBlock;
      const float* __restrict mean = a.mean + at.table + t * at.step;
      float* __restrict first = sums + (at.step ? t : 0) * 2 * sums_step + at.table;
      float* __restrict second = first + sums_step;
      for (int i = 0; i < n; i++) first[i] += to_z[i];
      for (int i = 0; i < n; i++) second[i] += to_z[i] * (x[i] - mean[i]);
    }
  }
  if (out.to_start)
    for (int i = 0; i < n; i++) out.to_start[at.first + i] = g[i];
}

static inline Place place_of(const Neurons& a, int64_t first) {
  Place at;
  at.first = first, at.bytes = (a.values + 7) / 8;
  at.n = static_cast<int>(less(kBlock, a.values - first));
  at.table = first % a.channels;
  at.step = a.groups > 1 ? a.channels + kBlock : 0;
  return at;
}

template <bool Norm, bool Integer, bool Decay, bool Soft>
static void fire_all(const Neurons& a, const Fired& out) {
  parallel(runs_of(a.values), [&](int64_t run) {
    const int64_t end = less((run + 1) * kBlock * kRun, a.values);
    for (int64_t first = run * kBlock * kRun; first < end; first += kBlock)
      fire_block<Norm, Integer, Decay, Soft>(a, out, place_of(a, first));
  });
}

template <bool Norm, bool Integer, bool Decay, bool Soft>
static void unfire_all(const Neurons& a, const Gradients& out) {
  const int64_t wide = a.channels + kBlock, groups = a.groups;
  parallel(runs_of(a.values), [&](int64_t run) {
    const int64_t end = less((run + 1) * kBlock * kRun, a.values);
    float* charged = static_cast<float*>(scratch(0, static_cast<size_t>(a.frames) * kBlock * 8));
    float* sums = Norm ? static_cast<float*>(scratch(1, static_cast<size_t>(groups) * 2 * wide * 4)) : nullptr;
    if (Norm) __builtin_memset(sums, 0, static_cast<size_t>(groups) * 2 * wide * 4);
    double to_decay = 0.0;
    for (int64_t first = run * kBlock * kRun; first < end; first += kBlock)
      unfire_block<Norm, Integer, Decay, Soft>(a, out, place_of(a, first), charged, charged + a.frames * kBlock, sums, wide,
                                               out.to_decay ? &to_decay : nullptr);
    if (out.to_decay) out.to_decay[run] = to_decay;
    if (!Norm) return;
    float* folded = out.sums + run * groups * 2 * a.channels;
    for (int64_t row = 0; row < groups * 2; row++)
      for (int64_t first = 0; first < wide; first += a.channels)
        for (int64_t i = first; i < less(first + a.channels, wide); i++) {
          float* into = folded + row * a.channels + (i - first);
          *into = (first ? *into : 0.0f) + sums[row * wide + i];
        }
  });
}

template <bool Norm, class Call>
static void by_unit(const Unit& u, Call&& call) {
  if (u.integer) return call.template operator()<Norm, true, true, true>();
  if (u.decay_input && u.soft_reset) return call.template operator()<Norm, false, true, true>();
  if (u.decay_input) return call.template operator()<Norm, false, true, false>();
  if (u.soft_reset) return call.template operator()<Norm, false, false, true>();
  call.template operator()<Norm, false, false, false>();
}

struct CallFire {
  const Neurons& a;
  const Fired& out;
  template <bool Norm, bool Integer, bool Decay, bool Soft>
  void operator()() { fire_all<Norm, Integer, Decay, Soft>(a, out); }
};

struct CallUnfire {
  const Neurons& a;
  const Gradients& out;
  template <bool Norm, bool Integer, bool Decay, bool Soft>
  void operator()() { unfire_all<Norm, Integer, Decay, Soft>(a, out); }
};

static void fire(const Neurons& a, const Fired& out) {
  if (a.scale) by_unit<true>(a.unit, CallFire{a, out});
  else by_unit<false>(a.unit, CallFire{a, out});
}

static void unfire(const Neurons& a, const Gradients& out) {
  if (a.scale) by_unit<true>(a.unit, CallUnfire{a, out});
  else by_unit<false>(a.unit, CallUnfire{a, out});
}

constexpr int kRows = 256;  // rows whose sums are added up in float32

// `work(group, first, count)` for parts of all groups
template <class F>
static void parts(const Rows& a, F&& work) {
  const int64_t chunks = (a.rows + kRows - 1) / kRows;
  parallel(a.groups * chunks, [&](int64_t item) {
    const int64_t group = item / chunks, first = item % chunks * kRows;
    work(group, first, less(kRows, a.rows - first));
  });
}

// Sums of two numbers a value: in float32 for a part of the rows, in double over parts, in an order of their own.
template <class F>
static void reduced(const Rows& a, double* sums, F&& add) {
  const int64_t chunks = (a.rows + kRows - 1) / kRows, c = a.channels;
  float* partial = static_cast<float*>(scratch(2, static_cast<size_t>(a.groups * chunks * 2 * c) * 4));
  parts(a, [&](int64_t group, int64_t first, int64_t count) {
    float* own = partial + (group * chunks + first / kRows) * 2 * c;
    for (int64_t i = 0; i < 2 * c; i++) own[i] = 0.0f;
    for (int64_t row = first; row < first + count; row++) add(group, group * a.rows + row, own, own + c);
  });
  for (int64_t group = 0; group < a.groups; group++) {
    double* total = sums + group * 2 * c;
    for (int64_t i = 0; i < 2 * c; i++) total[i] = 0.0;
    for (int64_t chunk = 0; chunk < chunks; chunk++)
      for (int64_t i = 0; i < 2 * c; i++) total[i] += partial[(group * chunks + chunk) * 2 * c + i];
  }
}

static void moments(const Rows& a, double* sums) {
  const int c = a.channels;
  reduced(a, sums, [&](int64_t group, int64_t row, float* __restrict first, float* __restrict second) {
    const float* __restrict x = a.x + row * c;
    const float* __restrict about = a.x + group * a.rows * c;
    for (int i = 0; i < c; i++) {
      const float d = x[i] - about[i];
      first[i] += d;
      second[i] += d * d;
    }
  });
}

static void sums_of(const Rows& a, const float* other, const float* mean, double* sums) {
  const int c = a.channels;
  reduced(a, sums, [&](int64_t group, int64_t row, float* __restrict first, float* __restrict second) {
    const float* __restrict x = a.x + row * c;
    const float* __restrict y = other + row * c;
    const float* __restrict m = mean + group * c;
    for (int i = 0; i < c; i++) {
      first[i] += x[i];
      second[i] += x[i] * (y[i] - m[i]);
    }
  });
}

static void affine(const Rows& a, const float* scale, const float* shift, float* out) {
  const int c = a.channels;
  parts(a, [&](int64_t group, int64_t first, int64_t count) {
    const float* __restrict k = scale + group * c;
    const float* __restrict b = shift + group * c;
    for (int64_t row = group * a.rows + first; row < group * a.rows + first + count; row++) {
      const float* __restrict x = a.x + row * c;
      float* __restrict y = out + row * c;
      for (int i = 0; i < c; i++) y[i] = x[i] * k[i] + b[i];
    }
  });
}

static void finish(const Rows& a, const float* other, const float* mean, const float* ka, const float* kb, const float* kc,
                   float* out) {
  const int c = a.channels;
  parts(a, [&](int64_t group, int64_t first, int64_t count) {
    const float* __restrict m = mean + group * c;
    const float* __restrict p = ka + group * c;
    const float* __restrict q = kb + group * c;
    const float* __restrict r = kc + group * c;
    for (int64_t row = group * a.rows + first; row < group * a.rows + first + count; row++) {
      const float* x = a.x + row * c;
      const float* __restrict y = other + row * c;
      float* to = out + row * c;
      IVDEP
      for (int i = 0; i < c; i++) to[i] = p[i] * x[i] + q[i] * (y[i] - m[i]) + r[i];
    }
  });
}

static void unpack(const uint8_t* bits, int64_t frames, int64_t values, float* out) {
  const int64_t bytes = (values + 7) / 8, chunk = 32768, chunks = (values + chunk - 1) / chunk;
  parallel(frames * chunks, [&](int64_t item) {
    const int64_t t = item / chunks, first = item % chunks * chunk, n = less(chunk, values - first);
    const uint8_t* from = bits + t * bytes + first / 8;
    float* to = out + t * values + first;
    int64_t i = 0;
#if defined(SPIKEREEL_AVX512)
    for (; i + 16 <= n; i += 16) {
      uint16_t word;
      __builtin_memcpy(&word, from + i / 8, 2);
      _mm512_storeu_ps(to + i, _mm512_maskz_mov_ps(word, _mm512_set1_ps(1.0f)));
    }
#endif
    for (; i < n; i++) to[i] = static_cast<float>(from[i / 8] >> (i & 7) & 1);
  });
}

static void uncount(const uint8_t* counts, int64_t values, float per, float* out) {
  const int64_t chunk = 32768;
  parallel((values + chunk - 1) / chunk, [&](int64_t item) {
    const int64_t end = less(values, (item + 1) * chunk);
    IVDEP
    for (int64_t i = item * chunk; i < end; i++) out[i] = static_cast<float>(counts[i]) / per;
  });
}
