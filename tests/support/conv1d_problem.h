/* One convolution for the tests: its arrays in device memory with gaps between frames and rows of the batch (NaN to who
 * reads there, kept to who writes there), rows of their own lengths with NaN behind them, and the same in double. */
#ifndef SPIRITLM_TESTS_CONV1D_PROBLEM_H
#define SPIRITLM_TESTS_CONV1D_PROBLEM_H

#include "support/kernel_harness.h"
#include "support/reference_speech.h"

/* What lies between frames: an odd gap, after which no two frames have the same alignment; a gap that keeps every frame on
 * a boundary of 16 bytes where the channels do; or nothing. */
enum conv1d_packing { CONV1D_ODD, CONV1D_ALIGNED, CONV1D_DENSE };

struct conv1d_shape {
    int64_t batch, frames, channels, outputs, kernel, stride, dilation, groups, left, right;
    enum conv1d_packing packing;
};

struct conv1d_problem {
    struct conv1d_shape s;
    enum dtype type;
    int64_t output_frames;
    bool bias, residual, gelu, ragged;
    int64_t lengths[8];
    struct tensor x, weight, bias_values, residual_values, gradient, length_values;
};

/* Rows of the batch are frames * (columns + gap) + gap apart. */
int64_t conv1d_gap(const struct conv1d_problem *q);

/* Random numbers; weights are scaled so that outputs are about 1 in size. integers: small integers instead, whose sums
 * are exact. Ragged rows have all frames, about half of them, none, one, ... */
struct conv1d_problem conv1d_problem(struct rng *rng, struct conv1d_shape s, enum dtype type, bool ragged,
                                     bool integers);
void conv1d_problem_free(struct conv1d_problem *q);

/* A tensor like the output (or like x) whose elements and gaps are 7, as arrays that are written are before. */
struct tensor conv1d_output_like(const struct conv1d_problem *q);
struct tensor conv1d_x_like(const struct conv1d_problem *q);
/* Fails unless all gaps are 7 still. */
void conv1d_check_gaps(const char *what, const struct conv1d_problem *q, struct tensor *tensor, bool output);

/* The elements without gaps; NaN becomes 0. The caller frees. */
double *conv1d_dense(const struct conv1d_problem *q, struct tensor *tensor, bool output);

/* Fails unless every element is within `absolute` (and, in bf16, `roundings`) of the dense expected ones. */
void conv1d_compare(const char *what, const struct conv1d_problem *q, struct tensor *tensor, bool output,
                    const double *expected, double absolute, double roundings);

struct conv1d_forward conv1d_describe(struct conv1d_problem *q, struct tensor *output, struct tensor *pre_activation);

/* The double problem on dense arrays x and weight, which the caller owns. */
struct reference_conv1d conv1d_reference(const struct conv1d_problem *q, const double *x, const double *weight);

#endif
