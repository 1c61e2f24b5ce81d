/* A waveform from magnitudes alone: Griffin and Lim, "Signal estimation from modified short-time Fourier transform",
 * IEEE ASSP 1984, with the momentum of Perraudin, Balazs and Soendergaard, "A fast Griffin-Lim algorithm", WASPAA 2013
 * (0.99). Window: periodic Hann of 1024; hop 256; frame t is centred on sample 256 t + 128. */
#ifndef SPIRITLM_SPEECH_EMBEDDED_GRIFFIN_LIM_H
#define SPIRITLM_SPEECH_EMBEDDED_GRIFFIN_LIM_H

#include "core/status.h"
#include "core/thread_pool.h"
#include "speech/embedded/log_mel.h"

#include <stdint.h>

enum { GRIFFIN_LIM_HOP = 256, GRIFFIN_LIM_BINS = LOG_MEL_BINS };

static inline int64_t griffin_lim_frames(int64_t samples)
{
    return (samples + GRIFFIN_LIM_HOP - 1) / GRIFFIN_LIM_HOP;
}

/* magnitudes [griffin_lim_frames(count)][GRIFFIN_LIM_BINS] to samples [count], in `iterations` rounds from phases drawn
 * by rng(seed, RNG_VOCODER, stream). The same bits for any number of threads. */
enum status griffin_lim(const float *magnitudes, int64_t count, int iterations, uint64_t seed, uint64_t stream,
                        struct thread_pool *pool, float *samples);

/* Non-negative linear magnitudes [LOG_MEL_BINS] whose mel bands come nearest to exp(log_mel [bands of mel]), by Lee and
 * Seung's multiplicative updates ("Algorithms for non-negative matrix factorization", NIPS 2000) from the transposed
 * bank. */
void mel_to_magnitudes(const struct log_mel *mel, const float *log_mel, float *magnitudes);

#endif
