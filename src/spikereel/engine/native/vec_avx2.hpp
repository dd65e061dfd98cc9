// Sixteen floats as two AVX2 registers.
struct V {
  __m256 a, b;
};
typedef uint16_t M;
struct I {
  __m256i a, b;
};
static inline I both_i(__m256i a, __m256i b) { I r; r.a = a; r.b = b; return r; }
static inline I zero_i() { return both_i(_mm256_setzero_si256(), _mm256_setzero_si256()); }
static inline I load_i(const int32_t* p) {
  const __m256i* q = reinterpret_cast<const __m256i*>(p);
  return both_i(_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1));
}
static inline void store_i(int32_t* p, I x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a), _mm256_storeu_si256(reinterpret_cast<__m256i*>(p) + 1, x.b);
}
static inline I add_i(I x, I y) { return both_i(_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)); }
static inline I shift_byte(I x) { return both_i(_mm256_slli_epi32(x.a, 8), _mm256_slli_epi32(x.b, 8)); }
// Four bytes in each lane, and their products with four signed ones of each lane added to it. Counts are at most 127: two
// products fit 16 bits.
static inline I all_fours(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return both_i(_mm256_set1_epi32(four), _mm256_set1_epi32(four));
}
static inline __m256i add_fours_half(__m256i sum, __m256i counts, __m256i weights) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(counts, weights), _mm256_set1_epi16(1)));
}
static inline I add_fours(I sum, I counts, I weights) {
  return both_i(add_fours_half(sum.a, counts.a, weights.a), add_fours_half(sum.b, counts.b, weights.b));
}
// 64 counts as bytes, from their planes of bits.
static inline void spread_word(const uint16_t* bits, int64_t plane, int planes, uint8_t* to) {
  for (int i = 0; i < 64; i++) {
    int count = 0;
    for (int d = 0; d < planes; d++) count += bits[d * plane + i / 16] >> (i % 16) & 1;
    to[i] = static_cast<uint8_t>(count);
  }
}
static inline V both(__m256 a, __m256 b) { V r; r.a = a; r.b = b; return r; }
static inline V real(I x) { return both(_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)); }
static inline V zero() { return both(_mm256_setzero_ps(), _mm256_setzero_ps()); }
static inline V all(float x) { return both(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
static inline V load(const float* p) { return both(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
static inline void store(float* p, V x) { _mm256_storeu_ps(p, x.a); _mm256_storeu_ps(p + 8, x.b); }
static inline V add(V x, V y) { return both(_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)); }
static inline V sub(V x, V y) { return both(_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)); }
static inline V mul(V x, V y) { return both(_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)); }
static inline V fma(V x, V y, V z) { return both(_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)); }
static inline M at_least(V x, V y) {
  return static_cast<M>(_mm256_movemask_ps(_mm256_cmp_ps(x.a, y.a, _CMP_GE_OQ)) |
                        _mm256_movemask_ps(_mm256_cmp_ps(x.b, y.b, _CMP_GE_OQ)) << 8);
}
static inline M above(V x, V y) {
  return static_cast<M>(_mm256_movemask_ps(_mm256_cmp_ps(x.a, y.a, _CMP_GT_OQ)) |
                        _mm256_movemask_ps(_mm256_cmp_ps(x.b, y.b, _CMP_GT_OQ)) << 8);
}
static inline __m256 spread(int m) {
  const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(m), bits), bits));
}
static inline V choose(M m, V yes, V no) {
  return both(_mm256_blendv_ps(no.a, yes.a, spread(m & 255)), _mm256_blendv_ps(no.b, yes.b, spread(m >> 8)));
}
static inline I add_where_i(I x, M m, I y) {
  return both_i(_mm256_add_epi32(x.a, _mm256_and_si256(_mm256_castps_si256(spread(m & 255)), y.a)),
                _mm256_add_epi32(x.b, _mm256_and_si256(_mm256_castps_si256(spread(m >> 8)), y.b)));
}
static inline V least(V x, V y) { return both(_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)); }
static inline V most(V x, V y) { return both(_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)); }
static inline V nearest(V x) {
  return both(_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
              _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline V magnitude(V x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return both(_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b));
}
// The one of smaller magnitude, as a magnitude.
static inline V nearer(V x, V y) { return least(magnitude(x), magnitude(y)); }
static inline void count_where(int32_t* p, M m) {
  __m256i* q = reinterpret_cast<__m256i*>(p);
  _mm256_storeu_si256(q, _mm256_sub_epi32(_mm256_loadu_si256(q), _mm256_castps_si256(spread(m & 255))));
  _mm256_storeu_si256(q + 1, _mm256_sub_epi32(_mm256_loadu_si256(q + 1), _mm256_castps_si256(spread(m >> 8))));
}
// How many lanes were set in all masks so far.
struct Tally {
  int64_t lanes = 0;
  void add(M m) { lanes += __builtin_popcount(m); }
  int64_t total() const { return lanes; }
};
