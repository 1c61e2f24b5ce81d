/* The operations that speech encoders and vocoders need beside those of language models; operations.h, which includes this
 * file, says what holds for all of them. */
#ifndef SPIRITLM_KERNELS_SPEECH_OPERATIONS_H
#define SPIRITLM_KERNELS_SPEECH_OPERATIONS_H

#include "core/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Frames are [B][T][C], channels last. Rows of a batch may have their own lengths (`lengths`, NULL: all frames): frames
 * from a row's length on are not read and count as zeros, and operations write zeros there, so that a padded row has the
 * values of the same row alone. Row-stable over b. */

/* What an operation applies to its result before a residual is added, or to what it reads.
 *   GELU        x * Phi(x) with the normal distribution's Phi (Hendrycks and Gimpel 2016): the exact form by erf, not by tanh
 *   RELU        max(x, 0)
 *   LEAKY_RELU  x where x > 0, else `slope` * x (Maas, Hannun and Ng 2013); the slope stands beside the activation
 *   SILU        x * sigmoid(x);  SIGMOID  1 / (1 + exp(-x));  TANH  tanh(x)
 * NaN stays NaN. The gradients know GELU alone. */
enum activation {
    ACTIVATION_NONE,
    ACTIVATION_GELU,
    ACTIVATION_RELU,
    ACTIVATION_LEAKY_RELU,
    ACTIVATION_SILU,
    ACTIVATION_TANH,
    ACTIVATION_SIGMOID,
};

/* output = activation(x), element by element. */
struct activate {
    int64_t count;
    const void *x;
    void *output; /* may equal x */
    enum activation activation;
    float slope;
    enum dtype type;
};

/* grad_x = grad_output * GELU'(x), element by element: the gradient of `activate` with GELU. */
struct gelu_backward {
    int64_t count;
    const void *x, *grad_output;
    void *grad_x; /* may equal x or grad_output */
    enum dtype type;
};

/* The gated linear unit (Dauphin et al. 2017): output[n][c] = x[n][c] * sigmoid(x[n][C + c]). Row-stable. */
struct glu {
    int64_t rows, channels; /* C */
    const void *x;          /* [N][2C] */
    void *output;           /* [N][C] */
    enum dtype type;
};

/* Rows of a table by id, each repeated, written into columns of a wider output: output[t][c] = table[ids[n]][c] for c < C,
 * where n is the token of frame t. Token n has the frames [ends[n - 1], ends[n]), the first one from 0 on; without `ends`
 * frame t belongs to token t / repeat, and frames past the last token's to the last token. The columns of a row that lie
 * past C are not touched, so that several tables fill one output side by side. */
struct gather_repeat {
    int64_t tokens, channels, rows, frames;
    const int32_t *ids;  /* [N] in [0, rows) */
    const int32_t *ends; /* [N] non-decreasing, in [0, frames], the last one `frames`; or NULL */
    int64_t repeat;      /* at least 1; not looked at with `ends` */
    const void *table;   /* [rows][C] */
    void *output;        /* [frames] rows, output_row_stride apart */
    int64_t output_row_stride;
    enum dtype type;
};

/* One-dimensional convolution (a cross-correlation, as PyTorch's conv1d):
 *   y[b][t][o] = bias[o] + sum over k, i of weight[o][k][i] * x'[b][t * stride + k * dilation - padding_left][g * Cg + i]
 *   output = activation(y) + residual,   g = o / Og the group of o,   Cg = C / groups,   Og = O / groups,
 *   x' = input_activation(x), which is NONE, RELU or LEAKY_RELU, in [0, a row's length) and 0 outside. In bf16 x' may be rounded
 *   to bf16.
 * The weight is [O][K][Cg], so that for one group and dilation 1 the K * C
 * numbers that a frame is multiplied with lie in x one after the other: the product of a matrix whose rows overlap, and
 * no unfolded copy of x exists. Each number is summed in one order, whatever frames
 * and rows are computed with it.
 * output_frames is conv1d_frames(p, frames). A padding_right that is one less than padding_left drops the last frame of
 * an even kernel (wav2vec2's positional convolution: K = 128, paddings 64 and 63). */
struct conv1d_forward {
    int64_t batch, frames, channels;
    int64_t output_frames, output_channels;
    int64_t kernel, stride, dilation, groups, padding_left, padding_right;
    const void *x;                        /* [B][T][C] */
    const void *weight;                   /* [O][K][C / groups] */
    const void *bias;                     /* [O], or NULL */
    const void *residual;                 /* like output with its strides, or NULL; may equal output */
    void *output;                         /* [B][output_frames][O] */
    void *pre_activation;                 /* y, like output; NULL: no backward follows, or no activation */
    int64_t x_row_stride, x_batch_stride; /* between frames, between rows of the batch */
    int64_t output_row_stride, output_batch_stride;
    const int32_t *lengths; /* [B] frames of x, in [0, T], or NULL */
    enum activation activation, input_activation;
    float slope, input_slope; /* of each where it is LEAKY_RELU */
    enum dtype type;
};

/* Output frames that a row of `length` frames has. */
static inline int64_t conv1d_frames(const struct conv1d_forward *p, int64_t length)
{
    int64_t room = length + p->padding_left + p->padding_right - (p->kernel - 1) * p->dilation - 1;
    return length > 0 && room >= 0 ? room / p->stride + 1 : 0;
}

/* The gradients of conv1d_forward's x, weight and bias, each left out where its pointer is NULL. Of `forward`, output,
 * residual and bias are not read; pre_activation is, with an activation. The residual's gradient is grad_output. There is no
 * gradient through an input_activation, nor through activations other than GELU. */
struct conv1d_backward {
    struct conv1d_forward forward;
    const void *grad_output; /* like output; frames past a row's are not read */
    void *grad_x;            /* like x, with its strides */
    float *grad_weight;      /* [O][K][C / groups] */
    float *grad_bias;        /* [O] */
    bool overwrite;
};

/* The transpose of a convolution in one group, which makes `stride` frames of one (as PyTorch's ConvTranspose1d with
 * dilation 1 and output_padding 0):
 *   y[b][u][o] = bias[o] + sum over k, t with t * stride + k - padding = u, and over c, of weight[k][o][c] * x'[b][t][c]
 *   output = activation(y),   x' as in conv1d_forward.
 * The weight is [K][O][C]. A frame u is a sum over the taps k = (u + padding) mod stride, + stride, + 2 stride, ... alone, so
 * the work is that of `stride` convolutions with K / stride taps each. output_frames is conv1d_transposed_frames(p, frames). */
struct conv1d_transposed {
    int64_t batch, frames, channels;
    int64_t output_frames, output_channels;
    int64_t kernel, stride, padding;
    const void *x;                        /* [B][T][C] */
    const void *weight;                   /* [K][O][C] */
    const void *bias;                     /* [O], or NULL */
    void *output;                         /* [B][output_frames][O] */
    int64_t x_row_stride, x_batch_stride; /* between frames, between rows of the batch */
    int64_t output_row_stride, output_batch_stride;
    const int32_t *lengths; /* [B] frames of x, in [0, T], or NULL */
    enum activation activation, input_activation;
    float slope, input_slope;
    enum dtype type;
};

/* Output frames that a row of `length` frames has. */
static inline int64_t conv1d_transposed_frames(const struct conv1d_transposed *p, int64_t length)
{
    int64_t frames = (length - 1) * p->stride + p->kernel - 2 * p->padding;
    return length > 0 && frames > 0 ? frames : 0;
}

/* output = activation((sum - mean) * rstd * weight + bias) over the C channels of each of N rows, sum = x + residual (or
 * x alone), rstd = 1/sqrt(variance + epsilon) with the variance of the population (Ba, Kiros and Hinton 2016). At most
 * LAYER_NORM_CHANNELS channels: a GPU keeps a row in the registers of one block. */
enum { LAYER_NORM_CHANNELS = 4096 };
struct layer_norm_forward {
    int64_t rows, channels;
    const void *x, *residual;  /* [N][C]; residual may be NULL */
    const void *weight, *bias; /* [C] */
    void *sum;                 /* [N][C]; may equal x or residual; NULL: not wanted */
    void *output;              /* [N][C]; may equal x */
    float *mean, *rstd;        /* [N]; NULL when no backward follows */
    float epsilon;
    enum activation activation;
    float slope;
    enum dtype type;
};

/* grad_sum = d output / d sum applied to grad_output, plus grad_residual (NULL for none), as rmsnorm_backward. */
struct layer_norm_backward {
    int64_t rows, channels;
    const void *sum, *weight, *bias, *grad_output, *grad_residual;
    const float *mean, *rstd;
    void *grad_sum;                 /* may equal grad_output or grad_residual */
    float *grad_weight, *grad_bias; /* [C] */
    bool overwrite;
    enum activation activation;
    float slope;
    enum dtype type;
};

/* output = activation((x - mean) * rstd * weight + bias), mean and variance (of the population) over the C / groups
 * channels and all of a row's frames (Wu and He 2018). With groups = C the statistics are a channel's over time, as in
 * wav2vec2's first layer. Arrays are dense. */
struct group_norm_forward {
    int64_t batch, frames, channels, groups;
    const void *x;             /* [B][T][C] */
    const void *weight, *bias; /* [C] */
    const int32_t *lengths;    /* [B] in [0, T], or NULL */
    void *output;              /* [B][T][C]; may equal x */
    float *mean, *rstd;        /* [B][groups]; NULL when no backward follows */
    float epsilon;
    enum activation activation;
    float slope;
    enum dtype type;
};
struct group_norm_backward {
    int64_t batch, frames, channels, groups;
    const void *x, *weight, *bias, *grad_output;
    const int32_t *lengths;
    const float *mean, *rstd;
    void *grad_x;                   /* may equal grad_output */
    float *grad_weight, *grad_bias; /* [C] */
    bool overwrite;
    enum activation activation;
    float slope;
    enum dtype type;
};

/* A convolution and the group norm behind it: output = activation(norm(conv(x))). `conv` describes the convolution and
 * where the result goes; its activation comes after the norm; it has no residual, pre_activation or input_activation.
 * The two are one operation because the statistics need the whole of a result that is many times as large as x
 * (wav2vec2's first layer: 512 channels for 5 samples). A backend may compute the convolution twice, first for its
 * statistics and then for its output, which so is written once and never read; what it writes between is its own affair,
 * and a caller need not know which is cheaper. y is not rounded to `type` before the norm.
 * For the gradients: conv1d_forward again (without activation), group_norm_backward with the mean and rstd that were
 * left here, conv1d_backward. */
struct conv1d_group_norm {
    struct conv1d_forward conv;
    int64_t norm_groups;
    const void *norm_weight, *norm_bias; /* [O] */
    float *mean, *rstd;                  /* [B][norm_groups]; NULL when no backward follows */
    float epsilon;
};

/* output = (x - mean) / sqrt(variance + epsilon) over the samples of each row; statistics in double. wav2vec2's models
 * with `normalize` want this of their input, with epsilon 1e-5 (fairseq) or 1e-7 (Hugging Face). */
struct waveform_normalise {
    int64_t batch, samples;
    const float *x; /* rows of `samples`, x_stride apart */
    void *output;   /* likewise, output_stride apart; may equal x when type is F32 and the strides are equal */
    int64_t x_stride, output_stride;
    const int32_t *lengths; /* [B] in [0, samples], or NULL */
    double epsilon;
    enum dtype type; /* of output */
};

/* output[b][t][m] = ln(max(floor, sum over n of band m's weight of bin n * S[t][n])), where S is the spectrum of the
 * `window_size` samples from t * hop - padding on, times window: re^2 + im^2 + offset, or its root with `magnitude`.
 * Samples before a row's start and after its end are the row mirrored without repeating its end (x[-1] = x[1]) with
 * `mirrored` in rows longer than `padding`; else 0. A row of L samples has log_mel_frames_of(p, L) frames; frames past them
 * are 0. Of a band only bins [first, first + length) are looked at: its weights follow each other in `weights` from
 * offsets[m] on.
 * Tables are in double: the cpu computes in double and rounds once. A GPU may compute in f32. */
struct log_mel_spectrum {
    int64_t batch, samples, frames, bands;
    int64_t window_size, hop, padding; /* window_size: a power of two from 256 to 2048 */
    const float *x;                    /* rows of `samples`, x_stride apart */
    int64_t x_stride;
    const int32_t *lengths;     /* [B] in [0, samples], or NULL */
    const double *window;       /* [window_size] */
    const double *weights;      /* [weight_count] */
    int64_t weight_count;       /* at most 2^31 - 1 */
    const int32_t *band_first;  /* [M] in [0, window_size / 2] */
    const int32_t *band_length; /* [M], first + length <= window_size / 2 + 1 */
    const int32_t *band_offset; /* [M], offset + length <= weight_count */
    float *output;              /* [B][frames][M] */
    double offset, floor;
    bool magnitude, mirrored;
};

/* Frames of a row of `length` samples, those that begin at most `padding` before its start and end as much after it. */
static inline int64_t log_mel_frames_of(const struct log_mel_spectrum *p, int64_t length)
{
    int64_t room = length + 2 * p->padding - p->window_size;
    return length > 0 && room >= 0 ? room / p->hop + 1 : 0;
}

/* labels[n] = the centroid with the least sum over c of (x[n][c] - centroid[c])^2, ties to the lowest; distances[n] that
 * sum. Sums are f32; on the cpu in order of c. A point all of whose distances are NaN or infinite gets label 0 and an
 * infinite distance. A GPU may choose by |c|^2 - 2 x c where the two best are not close, and by this sum where they are.
 * `every` receives the sums themselves, which a search for the least path through time wants. Row-stable. */
struct kmeans_assign {
    int64_t rows, channels, clusters;
    const float *x;         /* [N][C], x_row_stride apart */
    const float *centroids; /* [K][C] */
    int64_t x_row_stride;
    int32_t *labels;  /* [N], or NULL */
    float *distances; /* [N], or NULL */
    float *every;     /* [N][K], or NULL */
};

#define KERNEL_OPERATIONS_SPEECH(X)                                                                                    \
    X(activate)                                                                                                        \
    X(gelu_backward)                                                                                                   \
    X(glu)                                                                                                             \
    X(gather_repeat)                                                                                                   \
    X(conv1d_transposed)                                                                                               \
    X(conv1d_forward)                                                                                                  \
    X(conv1d_backward)                                                                                                 \
    X(layer_norm_forward)                                                                                              \
    X(layer_norm_backward)                                                                                             \
    X(group_norm_forward)                                                                                              \
    X(group_norm_backward)                                                                                             \
    X(conv1d_group_norm)                                                                                               \
    X(waveform_normalise)                                                                                              \
    X(log_mel_spectrum)                                                                                                \
    X(kmeans_assign)

#endif
