/* The ceiling of what streams weights: a pass over memory by all threads that only reads. Each piece is read in three places at once,
 * which is a third faster than from its beginning to its end on a Zen 3 (SPEED.md), so that nothing that reads well can look better than
 * the memory is. */
#ifndef SPIRITLM_BENCHMARKS_READ_PASS_H
#define SPIRITLM_BENCHMARKS_READ_PASS_H

#include "core/thread_pool.h"

#include <stdint.h>
#include <string.h>

enum { READ_PIECE = 3 << 18, READ_PLACES = 3, READ_WIDTH = 128 };

struct read_pass {
    struct thread_pool *pool;
    const void *memory;
    int64_t bytes;
    uint64_t sum; /* of all threads, so that the reading is not left out */
};

static inline void read_piece(void *argument, int64_t task, int worker)
{
    (void)worker;
    typedef uint64_t wide __attribute__((vector_size(32)));
    struct read_pass *pass = argument;
    const char *from = (const char *)pass->memory + task * READ_PIECE;
    const int64_t left = pass->bytes - task * READ_PIECE, bytes = left < READ_PIECE ? left : READ_PIECE;
    const int64_t part = bytes / (READ_PLACES * READ_WIDTH) * READ_WIDTH;
    wide sum[READ_PLACES] = {{0}};
    for (int64_t i = 0; i < part; i += READ_WIDTH)
        for (int place = 0; place < READ_PLACES; place++)
            for (int v = 0; v < READ_WIDTH / 32; v++) {
                wide word;
                memcpy(&word, from + place * part + i + 32 * v, sizeof word);
                sum[place] ^= word;
            }
    const wide all = sum[0] ^ sum[1] ^ sum[2];
    __atomic_fetch_xor(&pass->sum, all[0] ^ all[1] ^ all[2] ^ all[3], __ATOMIC_RELAXED);
}

/* The last bytes, fewer than 400 a piece, are left out. */
static inline void read_pass_run(void *argument)
{
    struct read_pass *pass = argument;
    thread_pool_run(pass->pool, (pass->bytes + READ_PIECE - 1) / READ_PIECE, read_piece, pass);
}

#endif
