/* Rows of a table in an order that the processor cannot guess: read, and read and written in place.
 * Compiled and called by limits.py; each thread has an order of its own over the one table.
 */
#include <stdint.h>

#define AHEAD 12

static inline void fetch(const float *row, int64_t width) {
    for (int64_t i = 0; i < width; i += 16) __builtin_prefetch(row + i, 0, 3);
}

/* The sum of all that was read, so that nothing is left out. */
float read_rows(const float *table, const int64_t *ids, int64_t count, int64_t width) {
    float sums[16] = {0};
    for (int64_t n = 0; n < count; n++) {
        if (n + AHEAD < count) fetch(table + ids[n + AHEAD] * width, width);
        const float *row = table + ids[n] * width;
        for (int64_t i = 0; i < width; i += 16)
            for (int k = 0; k < 16; k++) sums[k] += row[i + k];
    }
    float sum = 0;
    for (int k = 0; k < 16; k++) sum += sums[k];
    return sum;
}

void update_rows(float *table, const int64_t *ids, int64_t count, int64_t width) {
    for (int64_t n = 0; n < count; n++) {
        if (n + AHEAD < count) fetch(table + ids[n + AHEAD] * width, width);
        float *row = table + ids[n] * width;
        for (int64_t i = 0; i < width; i += 16)
            for (int k = 0; k < 16; k++) row[i + k] += 1e-9f;
    }
}
