/* What one core, and two, can do at most: bytes moved and arithmetic.
 *     gcc -O3 -march=native -pthread benchmarks/words/limits.c -o limits && ./limits [threads] [repeats]
 * Each line is the best of the repeats, all threads started together, each on memory of its own (rows: one shared table).
 * Time is each thread's own processor time, so that other programs on the machine do not count; they still take bandwidth.
 */
#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MB (1ul << 20)
#define MAX_THREADS 64
static size_t size = 512 * MB;
static pthread_barrier_t barrier;
static float *mine[MAX_THREADS], *table;
static size_t rows, width; /* of the table, width in floats, a multiple of 16 */
static double result[MAX_THREADS];
static volatile float sink;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

typedef double (*work_t)(int id); /* does the work, returns how much it was */

static double stream_read(int id) {
    const float *p = mine[id];
    __m512 a[8];
    _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++) a[k] = _mm512_setzero_ps();
    for (size_t i = 0; i < size / 4; i += 128)
        _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++) a[k] = _mm512_add_ps(a[k], _mm512_load_ps(p + i + 16 * k));
    _Pragma("GCC unroll 8") for (int k = 1; k < 8; k++) a[0] = _mm512_add_ps(a[0], a[k]);
    sink = _mm512_reduce_add_ps(a[0]);
    return size;
}

static double stream_write(int id) { /* ordinary stores: the line is read first, and not counted */
    float *p = mine[id];
    __m512 v = _mm512_set1_ps(1.f);
    for (size_t i = 0; i < size / 4; i += 16) _mm512_store_ps(p + i, v);
    return size;
}

static double stream_write_nt(int id) {
    float *p = mine[id];
    __m512 v = _mm512_set1_ps(2.f);
    for (size_t i = 0; i < size / 4; i += 16) _mm512_stream_ps(p + i, v);
    _mm_sfence();
    return size;
}

static double stream_update(int id) { /* read, change, write in place, as rows of a table are: counted twice */
    float *p = mine[id];
    __m512 v = _mm512_set1_ps(1e-3f);
    for (size_t i = 0; i < size / 4; i += 16) _mm512_store_ps(p + i, _mm512_add_ps(_mm512_load_ps(p + i), v));
    return 2.0 * size;
}

#define AHEAD 8
static uint32_t order[1 << 16];

static double rows_update(int id) { /* rows at random, prefetched 8 ahead, read and written: counted twice */
    __m512 v = _mm512_set1_ps(1e-3f);
    size_t n = sizeof order / sizeof *order;
    for (int again = 0; again < 16; again++)
        for (size_t i = 0; i < n; i++) {
            const char *next = (const char *)(table + (size_t)order[(i + AHEAD + 7919 * id) % n] * width);
            for (size_t b = 0; b < width * 4; b += 64) _mm_prefetch(next + b, _MM_HINT_T0);
            float *p = table + (size_t)order[(i + 7919 * id) % n] * width;
            for (size_t k = 0; k < width; k += 16) _mm512_store_ps(p + k, _mm512_add_ps(_mm512_load_ps(p + k), v));
        }
    return 16.0 * n * width * 8;
}

static double l1_read(int id) { /* 16 KB again and again */
    const float *p = mine[id];
    __m512 a[8];
    _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++) a[k] = _mm512_setzero_ps();
    for (int again = 0; again < 200000; again++) {
        for (size_t i = 0; i < 4096; i += 128)
            _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++) a[k] = _mm512_add_ps(a[k], _mm512_load_ps(p + i + 16 * k));
        __asm__ volatile("" ::: "memory");
    }
    _Pragma("GCC unroll 8") for (int k = 1; k < 8; k++) a[0] = _mm512_add_ps(a[0], a[k]);
    sink = _mm512_reduce_add_ps(a[0]);
    return 200000.0 * 16384;
}

#define FMA_STEPS 40000000l
static double fma512(int id) {
    (void)id;
    __m512 a[12], x = _mm512_set1_ps(.999f), y = _mm512_set1_ps(.001f);
    _Pragma("GCC unroll 12") for (int k = 0; k < 12; k++) a[k] = _mm512_set1_ps(k);
    for (long i = 0; i < FMA_STEPS; i++)
        _Pragma("GCC unroll 12") for (int k = 0; k < 12; k++) {
            a[k] = _mm512_fmadd_ps(a[k], x, y);
            __asm__("" : "+v"(a[k]));
        }
    _Pragma("GCC unroll 12") for (int k = 1; k < 12; k++) a[0] = _mm512_add_ps(a[0], a[k]);
    sink = _mm512_reduce_add_ps(a[0]);
    return FMA_STEPS * 12.0 * 16 * 2;
}

static double fma256(int id) {
    (void)id;
    __m256 a[12], x = _mm256_set1_ps(.999f), y = _mm256_set1_ps(.001f);
    _Pragma("GCC unroll 12") for (int k = 0; k < 12; k++) a[k] = _mm256_set1_ps(k);
    for (long i = 0; i < FMA_STEPS; i++)
        _Pragma("GCC unroll 12") for (int k = 0; k < 12; k++) {
            a[k] = _mm256_fmadd_ps(a[k], x, y);
            __asm__("" : "+x"(a[k]));
        }
    _Pragma("GCC unroll 12") for (int k = 1; k < 12; k++) a[0] = _mm256_add_ps(a[0], a[k]);
    float out[8];
    _mm256_storeu_ps(out, a[0]);
    sink = out[0];
    return FMA_STEPS * 12.0 * 8 * 2;
}

struct job { int id; work_t work; double start, end; };

static void *thread(void *argument) {
    struct job *job = argument;
    pthread_barrier_wait(&barrier);
    job->start = now();
    result[job->id] = job->work(job->id);
    job->end = now();
    return NULL;
}

static void measure(const char *name, work_t work, int threads, int repeats, const char *unit) {
    double best = 0;
    for (int r = 0; r < repeats; r++) {
        pthread_t t[MAX_THREADS];
        struct job jobs[MAX_THREADS];
        pthread_barrier_init(&barrier, NULL, threads);
        for (int i = 0; i < threads; i++) {
            jobs[i] = (struct job){i, work, 0, 0};
            pthread_create(&t[i], NULL, thread, &jobs[i]);
        }
        double rate = 0;
        for (int i = 0; i < threads; i++) {
            pthread_join(t[i], NULL);
            rate += result[i] / (jobs[i].end - jobs[i].start);
        }
        pthread_barrier_destroy(&barrier);
        if (rate > best) best = rate;
    }
    printf("%-58s %8.1f %s\n", name, best * 1e-9, unit);
    fflush(stdout);
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1, repeats = argc > 2 ? atoi(argv[2]) : 5;
    for (int i = 0; i < threads; i++) {
        mine[i] = aligned_alloc(4096, size);
        memset(mine[i], 0, size);
    }
    printf("threads: %d\n", threads);
    measure("read, 512 MB a thread", stream_read, threads, repeats, "GB/s");
    measure("write, 512 MB a thread", stream_write, threads, repeats, "GB/s");
    measure("write past the caches, 512 MB a thread", stream_write_nt, threads, repeats, "GB/s");
    measure("read and write in place, 512 MB a thread (both counted)", stream_update, threads, repeats, "GB/s");
    size_t widths[] = {112, 304}, counts[] = {70000, 1000000};
    for (int c = 0; c < 2; c++)
        for (int w = 0; w < 2; w++) {
            width = widths[w], rows = counts[c];
            table = aligned_alloc(4096, rows * width * 4 / 4096 * 4096 + 4096);
            memset(table, 0, rows * width * 4);
            uint64_t random = 1;
            for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
                random = random * 6364136223846793005ul + 1442695040888963407ul;
                order[i] = (random >> 33) % rows;
            }
            char name[100];
            snprintf(name, sizeof name, "rows of %zu floats of %zu at random, read and written", width, rows);
            measure(name, rows_update, threads, repeats, "GB/s");
            free(table);
        }
    measure("read, 16 KB in L1", l1_read, threads, repeats, "GB/s");
    measure("FMA, 512 bits", fma512, threads, repeats, "GFLOP/s");
    measure("FMA, 256 bits", fma256, threads, repeats, "GFLOP/s");
    return 0;
}
