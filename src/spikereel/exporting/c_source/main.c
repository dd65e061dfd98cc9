/* Reads frames from standard input, float [channels][height][width] each, and prints the logits after every frame.
 *
 *     ./spikereel model.spkc < frames.f32
 */
#include <stdio.h>
#include <stdlib.h>

#include "spikereel.h"

static void *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    const long end = ftell(file);
    rewind(file);
    void *bytes = end > 0 ? malloc((size_t)end) : NULL;
    *size = bytes ? fread(bytes, 1, (size_t)end, file) : 0;
    fclose(file);
    return bytes;
}

int main(int count, char **words) {
    sr_model model;
    size_t size = 0;
    void *bytes = count == 2 ? read_file(words[1], &size) : NULL;
    if (!bytes) {
        fprintf(stderr, "usage: %s model.spkc < frames.f32\n", words[0]);
        return 2;
    }
    const int error = sr_open(&model, bytes, size);
    if (error) {
        fprintf(stderr, "%s: %s\n", words[1], sr_error(error));
        free(bytes);
        return 1;
    }
    const size_t pixels = (size_t)model.channels * model.height * model.width;
    float *frame = malloc(pixels * sizeof *frame), *logits = malloc((size_t)model.classes * sizeof *logits);
    void *state = malloc(sr_state_bytes(&model)), *work = malloc(sr_work_bytes(&model));
    const int ready = frame && logits && state && work;
    if (ready) {
        fprintf(stderr, "%d x %d x %d, %d classes; state %zu bytes, work %zu bytes, weights %zu bytes\n", model.channels,
                model.height, model.width, model.classes, sr_state_bytes(&model), sr_work_bytes(&model), size);
        sr_reset(&model, state);
    } else {
        fprintf(stderr, "no memory\n");
    }
    while (ready && fread(frame, sizeof *frame, pixels, stdin) == pixels) {
        sr_step(&model, frame, state, work, logits);
        for (int i = 0; i < model.classes; i++) printf(i ? " %.6f" : "%.6f", (double)logits[i]);
        printf("\n");
    }
    free(frame), free(logits), free(state), free(work), free(bytes);
    return !ready;
}
