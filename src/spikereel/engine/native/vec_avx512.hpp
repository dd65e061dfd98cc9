// Sixteen floats as one AVX-512 register.
typedef __m512 V;
typedef __mmask16 M;
typedef __m512i I;
static inline I zero_i() { return _mm512_setzero_si512(); }
static inline I load_i(const int32_t* p) { return _mm512_loadu_si512(p); }
static inline void store_i(int32_t* p, I x) { _mm512_storeu_si512(p, x); }
static inline I add_i(I x, I y) { return _mm512_add_epi32(x, y); }
static inline I add_where_i(I x, M m, I y) { return _mm512_mask_add_epi32(x, m, x, y); }
static inline I shift_byte(I x) { return _mm512_slli_epi32(x, 8); }
// Four bytes in each lane, and their products with four signed ones of each lane added to it.
static inline I all_fours(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}
static inline I add_fours(I sum, I counts, I weights) { return _mm512_dpbusd_epi32(sum, counts, weights); }
// 64 counts as bytes, from their planes of bits.
static inline void spread_word(const uint16_t* bits, int64_t plane, int planes, uint8_t* to) {
  __m512i sum = _mm512_setzero_si512();
  const __m512i one = _mm512_set1_epi8(1);
  for (int d = 0; d < planes; d++, bits += plane) {
    uint64_t word;
    __builtin_memcpy(&word, bits, 8);
    sum = _mm512_mask_add_epi8(sum, word, sum, one);
  }
  _mm512_store_si512(to, sum);
}
static inline __m512 real(I x) { return _mm512_cvtepi32_ps(x); }
static inline V zero() { return _mm512_setzero_ps(); }
static inline V all(float x) { return _mm512_set1_ps(x); }
static inline V load(const float* p) { return _mm512_loadu_ps(p); }
static inline void store(float* p, V x) { _mm512_storeu_ps(p, x); }
static inline V add(V x, V y) { return _mm512_add_ps(x, y); }
static inline V sub(V x, V y) { return _mm512_sub_ps(x, y); }
static inline V mul(V x, V y) { return _mm512_mul_ps(x, y); }
static inline V fma(V x, V y, V z) { return _mm512_fmadd_ps(x, y, z); }
static inline M at_least(V x, V y) { return _mm512_cmp_ps_mask(x, y, _CMP_GE_OQ); }
static inline M above(V x, V y) { return _mm512_cmp_ps_mask(x, y, _CMP_GT_OQ); }
static inline V choose(M m, V yes, V no) { return _mm512_mask_blend_ps(m, no, yes); }
static inline V least(V x, V y) { return _mm512_min_ps(x, y); }
static inline V most(V x, V y) { return _mm512_max_ps(x, y); }
static inline V nearest(V x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline V magnitude(V x) { return _mm512_abs_ps(x); }
// The one of smaller magnitude, as a magnitude.
static inline V nearer(V x, V y) { return _mm512_range_ps(x, y, 0xa); }
static inline void count_where(int32_t* p, M m) {
  const __m512i before = _mm512_loadu_si512(p);
  _mm512_storeu_si512(p, _mm512_mask_add_epi32(before, m, before, _mm512_set1_epi32(1)));
}
// How many lanes were set in all masks so far.
struct Tally {
  __m512i lanes = _mm512_setzero_si512();
  void add(M m) { lanes = _mm512_mask_sub_epi32(lanes, m, lanes, _mm512_set1_epi32(-1)); }
  int64_t total() const { return _mm512_reduce_add_epi32(lanes); }
};
