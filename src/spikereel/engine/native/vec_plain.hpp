// Sixteen floats in plain C++: right everywhere, left to the compiler to be quick.
struct V {
  float x[16];
};
typedef uint16_t M;
#define EACH for (int i = 0; i < 16; i++)
static inline V zero() { V r; EACH r.x[i] = 0.0f; return r; }
static inline V all(float a) { V r; EACH r.x[i] = a; return r; }
static inline V load(const float* p) { V r; EACH r.x[i] = p[i]; return r; }
static inline void store(float* p, const V& a) { EACH p[i] = a.x[i]; }
static inline V add(const V& a, const V& b) { V r; EACH r.x[i] = a.x[i] + b.x[i]; return r; }
static inline V sub(const V& a, const V& b) { V r; EACH r.x[i] = a.x[i] - b.x[i]; return r; }
static inline V mul(const V& a, const V& b) { V r; EACH r.x[i] = a.x[i] * b.x[i]; return r; }
static inline V fma(const V& a, const V& b, const V& c) { V r; EACH r.x[i] = a.x[i] * b.x[i] + c.x[i]; return r; }
static inline M at_least(const V& a, const V& b) { M m = 0; EACH m |= static_cast<M>((a.x[i] >= b.x[i]) << i); return m; }
static inline M above(const V& a, const V& b) { M m = 0; EACH m |= static_cast<M>((a.x[i] > b.x[i]) << i); return m; }
static inline V choose(M m, const V& yes, const V& no) { V r; EACH r.x[i] = m >> i & 1 ? yes.x[i] : no.x[i]; return r; }
static inline V add_where(const V& a, M m, const V& b) { V r; EACH r.x[i] = m >> i & 1 ? a.x[i] + b.x[i] : a.x[i]; return r; }
static inline V least(const V& a, const V& b) { V r; EACH r.x[i] = a.x[i] < b.x[i] ? a.x[i] : b.x[i]; return r; }
static inline V most(const V& a, const V& b) { V r; EACH r.x[i] = a.x[i] > b.x[i] ? a.x[i] : b.x[i]; return r; }
static inline V nearest(const V& a) { V r; EACH r.x[i] = __builtin_nearbyintf(a.x[i]); return r; }
static inline V magnitude(const V& a) { V r; EACH r.x[i] = __builtin_fabsf(a.x[i]); return r; }
static inline void count_where(int32_t* p, M m) { EACH p[i] += m >> i & 1; }
#undef EACH
