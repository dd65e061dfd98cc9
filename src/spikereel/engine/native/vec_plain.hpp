// Sixteen floats in plain C++: right everywhere, left to the compiler to be quick. A fused multiply-add is one rounding
// here too, slow as that may be without hardware: results are those of the other instruction sets.
struct V {
  float x[16];
};
typedef uint16_t M;
struct I {
  uint32_t x[16];
};
#define EACH for (int i = 0; i < 16; i++)
static inline I zero_i() { I r; EACH r.x[i] = 0; return r; }
static inline I load_i(const int32_t* p) { I r; EACH r.x[i] = static_cast<uint32_t>(p[i]); return r; }
static inline void store_i(int32_t* p, const I& a) { EACH p[i] = static_cast<int32_t>(a.x[i]); }
static inline I add_i(const I& a, const I& b) { I r; EACH r.x[i] = a.x[i] + b.x[i]; return r; }
static inline I shift_byte(const I& a) { I r; EACH r.x[i] = a.x[i] << 8; return r; }
// Four bytes in each lane, and their products with four signed ones of each lane added to it.
static inline I all_fours(const uint8_t* p) {
  I r;
  EACH __builtin_memcpy(&r.x[i], p, 4);
  return r;
}
static inline I add_fours(const I& sum, const I& counts, const I& weights) {
  I r;
  EACH {
    uint8_t n[4];
    int8_t w[4];
    __builtin_memcpy(n, &counts.x[i], 4);
    __builtin_memcpy(w, &weights.x[i], 4);
    r.x[i] = sum.x[i] + static_cast<uint32_t>(n[0] * w[0] + n[1] * w[1] + n[2] * w[2] + n[3] * w[3]);
  }
  return r;
}
// 64 counts as bytes, from their planes of bits.
static inline void spread_word(const uint16_t* bits, int64_t plane, int planes, uint8_t* to) {
  for (int i = 0; i < 64; i++) {
    int count = 0;
    for (int d = 0; d < planes; d++) count += bits[d * plane + i / 16] >> (i % 16) & 1;
    to[i] = static_cast<uint8_t>(count);
  }
}
static inline V real(const I& a) { V r; EACH r.x[i] = static_cast<float>(static_cast<int32_t>(a.x[i])); return r; }
static inline V zero() { V r; EACH r.x[i] = 0.0f; return r; }
static inline V all(float a) { V r; EACH r.x[i] = a; return r; }
static inline V load(const float* p) { V r; EACH r.x[i] = p[i]; return r; }
static inline void store(float* p, const V& a) { EACH p[i] = a.x[i]; }
static inline V add(const V& a, const V& b) { V r; EACH r.x[i] = a.x[i] + b.x[i]; return r; }
static inline V sub(const V& a, const V& b) { V r; EACH r.x[i] = a.x[i] - b.x[i]; return r; }
static inline V mul(const V& a, const V& b) { V r; EACH r.x[i] = a.x[i] * b.x[i]; return r; }
static inline V fma(const V& a, const V& b, const V& c) { V r; EACH r.x[i] = __builtin_fmaf(a.x[i], b.x[i], c.x[i]); return r; }
static inline M at_least(const V& a, const V& b) { M m = 0; EACH m |= static_cast<M>((a.x[i] >= b.x[i]) << i); return m; }
static inline M above(const V& a, const V& b) { M m = 0; EACH m |= static_cast<M>((a.x[i] > b.x[i]) << i); return m; }
static inline V choose(M m, const V& yes, const V& no) { V r; EACH r.x[i] = m >> i & 1 ? yes.x[i] : no.x[i]; return r; }
static inline I add_where_i(const I& a, M m, const I& b) { I r; EACH r.x[i] = m >> i & 1 ? a.x[i] + b.x[i] : a.x[i]; return r; }
static inline V least(const V& a, const V& b) { V r; EACH r.x[i] = a.x[i] < b.x[i] ? a.x[i] : b.x[i]; return r; }
static inline V most(const V& a, const V& b) { V r; EACH r.x[i] = a.x[i] > b.x[i] ? a.x[i] : b.x[i]; return r; }
static inline V nearest(const V& a) { V r; EACH r.x[i] = __builtin_nearbyintf(a.x[i]); return r; }
static inline V magnitude(const V& a) { V r; EACH r.x[i] = __builtin_fabsf(a.x[i]); return r; }
// The one of smaller magnitude, as a magnitude.
static inline V nearer(const V& x, const V& y) { return least(magnitude(x), magnitude(y)); }
static inline void count_where(int32_t* p, M m) { EACH p[i] += m >> i & 1; }
#undef EACH
// How many lanes were set in all masks so far.
struct Tally {
  int64_t lanes = 0;
  void add(M m) { lanes += __builtin_popcount(m); }
  int64_t total() const { return lanes; }
};
