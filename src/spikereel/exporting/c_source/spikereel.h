/* A spiking video network, one frame a call. C99, no dependencies but <math.h>; nothing is allocated.
 *
 *     sr_model model;
 *     if (sr_open(&model, bytes, size)) ...;          bytes: the .spkc file, in memory that is 4-byte aligned and stays
 *     void *state = malloc(sr_state_bytes(&model));   membranes and sums: one for each video that is watched
 *     void *work = malloc(sr_work_bytes(&model));     scratch, shared by all
 *     sr_reset(&model, state);
 *     for each frame: sr_step(&model, frame, state, work, logits);
 *
 * frame: float [channels][height][width], prepared as for training. logits: float [classes], of all frames since reset.
 */
#ifndef SPIKEREEL_H
#define SPIKEREEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const int32_t *ops;
    const float *weights;
    int32_t op_count, weight_count, state_words, work_words, start_count;
    const int32_t *starts;
    int32_t channels, height, width, classes;
} sr_model;

/* 0, or a number for sr_error: the file is checked once, and a step can then read and write nothing it should not. */
int sr_open(sr_model *model, const void *bytes, size_t size);
const char *sr_error(int code);
size_t sr_state_bytes(const sr_model *model);
size_t sr_work_bytes(const sr_model *model);
void sr_reset(const sr_model *model, void *state);
void sr_step(const sr_model *model, const float *frame, void *state, void *work, float *logits);

#ifdef __cplusplus
}
#endif
#endif
