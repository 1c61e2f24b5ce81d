/* The stages of f0.h's pYAAPT, shared only by the f0_*.c files. The algorithm: K. Kasi and S. Zahorian, "Yet another
 * algorithm for pitch tracking", ICASSP 2002; S. Zahorian and H. Hu, "A spectral/temporal method for robust fundamental
 * frequency tracking", JASA 123(6), 2008. Constants and quirks are those of AMFM_decompy 1.0.12, called with frames of
 * 20 ms every 5 ms, NCCF frames of 25 ms, NCCF threshold 0.25. Frame f looks at the padded signal from 80 f on. */
#ifndef SPIRITLM_SPEECH_F0_STAGES_H
#define SPIRITLM_SPEECH_F0_STAGES_H

#include "core/fft.h"
#include "core/status.h"
#include "speech/f0/f0.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    F0_RATE = 16000,
    F0_FRAME = 320,      /* samples: 20 ms */
    F0_PADDING = 160,    /* zeros before and after the signal: half a frame */
    F0_NCCF_FRAME = 400, /* 25 ms */
    F0_SHC_FRAME = 640,  /* two frames */
    F0_FFT = 8192,
    F0_SHC_FFT = F0_FFT / 4, /* length of the transform it is made from */
    F0_TAPS = 151,           /* of the band-pass filter */
    F0_SHC_CANDIDATES = 4,
    F0_NCCF_CANDIDATES = 3, /* from each of the two signals */
    F0_ROWS = 6,            /* candidates of a frame in the last search */
    F0_ROW_TRACK = 3,
    F0_ROW_MEDIAN = 4,
    F0_TRACK_MEDIAN = 5, /* lengths of the median filters */
    F0_REFINE_MEDIAN = 7,
};

#define F0_LOWEST 60.0   /* Hz */
#define F0_HIGHEST 400.0 /* Hz */
#define F0_BIN ((double)F0_RATE / F0_FFT)
#define F0_VOICED_ENERGY 0.75 /* NLFER above which a frame counts as voiced */
#define F0_SILENT_ENERGY 0.1  /* NLFER up to which a frame has no pitch, whatever is found */

/* A candidate; pitch 0 stands for "unvoiced". */
struct f0_candidate {
    double pitch; /* Hz */
    double merit;
};

/* Fill the tables of the stages below: call each once, before any stage. */
void f0_filter_prepare(void);
void f0_energy_prepare(void);
void f0_harmonics_prepare(void);

/* The causal 150th-order FIR band-pass 50-1500 Hz with zero initial state. output != input. */
void f0_filter(const double *input, int64_t count, double *output);

/* Normalised low-frequency energy of every frame of the filtered signal: its spectrum's magnitudes summed from 117 to
 * 398 Hz over the mean of that sum. False (energy all 0) when the signal is silent. */
bool f0_energy(const double *filtered, int64_t frames, double *energy);

/* Spectral harmonics correlation of one frame of the squared signal: up to 3 candidates, best first, the rest filled
 * with the best; all pitches 0 when none stands out. `squared` holds F0_SHC_FRAME samples. The workspace serves one
 * thread; `fft` has the length F0_SHC_FFT and outlives it. */
struct f0_harmonics;
enum status f0_harmonics_create(const struct fft *fft, struct f0_harmonics **harmonics);
void f0_harmonics_destroy(struct f0_harmonics *harmonics);
void f0_harmonics_find(struct f0_harmonics *harmonics, const double *squared,
                       struct f0_candidate found[F0_SHC_CANDIDATES]);

/* The spectral track: one smooth pitch per frame (never 0) from the candidates of the frames that have any, and its
 * deviation in Hz. `candidates` (frames x F0_SHC_CANDIDATES) is reordered and overwritten. */
enum status f0_spectral_track(struct f0_candidate *candidates, int64_t frames, double *track, double *deviation);

/* Piecewise cubic Hermite interpolation (Fritsch and Butland 1984) through the frames where value > 0, evaluated at
 * every frame. The first and last frame must have values. */
enum status f0_pchip(double *values, int64_t frames);

/* Normalised cross-correlation candidates of every frame near the track, best first, F0_NCCF_CANDIDATES per frame, at
 * candidates[frame * F0_ROWS]. `signal` (80 (frames - 1) + F0_NCCF_FRAME samples) is changed: each frame's mean is
 * subtracted in place, so the next frames, which overlap it, see it. Frames with needed[frame] == 0 get no
 * candidates. */
void f0_nccf_track(double *signal, const double *track, double deviation, int64_t frames, const uint8_t *needed,
                   struct f0_candidate *candidates);

/* Sorts each frame's F0_ROWS candidates, and puts among them the unvoiced one, the spectral track (row F0_ROW_TRACK)
 * and the median of the best (row F0_ROW_MEDIAN; 0 where the frame counts as unvoiced). */
enum status f0_refine(struct f0_candidate *rows, const double *track, const double *energy, const uint8_t *voiced,
                      int64_t frames);

/* The pitches along the cheapest path through the refined rows. */
enum status f0_final_path(const struct f0_candidate *rows, const double *energy, int64_t frames, double *result);

/* Pairwise summation in NumPy's order: two paths of the same cost are common (a pitch between its neighbours' may take
 * any value between them), and which is cheaper is then decided by the last bits of sums like these. */
double f0_sum(const double *values, int64_t count);

/* Median of `length` (odd, at most F0_REFINE_MEDIAN) values around each, zeros beyond the ends. output != input. */
void f0_median(const double *input, int64_t count, int length, double *output);

/* The pitches along the path of least cost through `frames` x `rows` candidates (rows <= F0_ROWS): the sum of 1 - merit
 * and of transition(context, frame, from, to), the cost of going from pitch `from` in frame - 1 to pitch `to`. Of equal
 * costs the highest row wins, and a cost that is not a number beats all others. */
typedef double f0_transition(const void *context, int64_t frame, double from, double to);
enum status f0_cheapest_path(const struct f0_candidate *candidates, int rows, int64_t frames, f0_transition *transition,
                             const void *context, double *result);

#endif
