/* The argument checks of the operations that speech encoders need (check.h). */
#include "kernels/check.h"

#include <math.h>

#define LL(x) ((long long)(x))

/* Frames that a kernel spans, and frames between its outputs, at most: tiles of the backends hold that many. */
enum { MAXIMUM_KERNEL_EXTENT = 16384 };

/* An activation that exists, with a slope that is a number. */
static enum status check_activation(enum activation activation, float slope, const char *name)
{
    CHECK(activation >= ACTIVATION_NONE && activation <= ACTIVATION_SIGMOID, "%s: activation %d", name,
          (int)activation);
    CHECK(activation != ACTIVATION_LEAKY_RELU || isfinite(slope), "%s: a slope of %g", name, (double)slope);
    return STATUS_OK;
}

/* One that may be applied to an input: those that vocoders have there, which keep the zeros around a row. */
static enum status check_input_activation(enum activation activation, float slope, const char *name)
{
    CHECK(activation == ACTIVATION_NONE || activation == ACTIVATION_RELU || activation == ACTIVATION_LEAKY_RELU,
          "%s: input activation %d, expected none, RELU or LEAKY_RELU", name, (int)activation);
    return check_activation(activation, slope, name);
}

/* One that has a gradient. */
static enum status check_gradient(enum activation activation, const char *name)
{
    CHECK(activation == ACTIVATION_NONE || activation == ACTIVATION_GELU,
          "%s: activation %d, but only none and GELU have a gradient", name, (int)activation);
    return STATUS_OK;
}

/* ---- element by element ---- */

enum status check_gelu_backward(const struct gelu_backward *p)
{
    CHECK(p->count >= 0, "gelu_backward: %lld elements", LL(p->count));
    CHECK(is_compute_type(p->type), "gelu_backward: type %d", (int)p->type);
    CHECK(p->count == 0 || (p->x && p->grad_output && p->grad_x), "gelu_backward: a null array");
    return STATUS_OK;
}

enum status check_activate(const struct activate *p)
{
    CHECK(p->count >= 0, "activate: %lld elements", LL(p->count));
    CHECK(is_compute_type(p->type), "activate: type %d", (int)p->type);
    CHECK(p->count == 0 || (p->x && p->output), "activate: a null array");
    return check_activation(p->activation, p->slope, "activate");
}

enum status check_glu(const struct glu *p)
{
    CHECK(p->rows >= 0 && p->channels > 0, "glu: %lld rows of %lld", LL(p->rows), LL(p->channels));
    CHECK(is_compute_type(p->type), "glu: type %d", (int)p->type);
    CHECK(p->rows == 0 || (p->x && p->output), "glu: a null array");
    return STATUS_OK;
}

enum status check_gather_repeat(const struct gather_repeat *p)
{
    CHECK(p->tokens >= 0 && p->tokens <= INT32_MAX && p->channels > 0 && p->rows > 0 && p->frames >= 0 &&
              p->frames <= INT32_MAX,
          "gather_repeat: %lld tokens, %lld channels, %lld rows, %lld frames", LL(p->tokens), LL(p->channels),
          LL(p->rows), LL(p->frames));
    CHECK(p->frames == 0 || p->tokens > 0, "gather_repeat: %lld frames of no token", LL(p->frames));
    CHECK(p->ends || p->repeat >= 1, "gather_repeat: repeat %lld", LL(p->repeat));
    CHECK(p->output_row_stride >= p->channels, "gather_repeat: a row stride of %lld for %lld channels",
          LL(p->output_row_stride), LL(p->channels));
    CHECK(is_compute_type(p->type), "gather_repeat: type %d", (int)p->type);
    CHECK(p->frames == 0 || (p->ids && p->table && p->output), "gather_repeat: a null array");
    return STATUS_OK;
}

/* ---- convolution ---- */

static enum status check_conv1d_shape(const struct conv1d_forward *p, const char *name)
{
    CHECK(p->batch >= 0 && p->frames >= 0 && p->frames <= INT32_MAX && p->channels > 0 && p->output_channels > 0,
          "%s: %lld rows of %lld frames, %lld channels to %lld", name, LL(p->batch), LL(p->frames), LL(p->channels),
          LL(p->output_channels));
    CHECK(p->groups > 0 && p->channels % p->groups == 0 && p->output_channels % p->groups == 0,
          "%s: %lld groups of %lld channels and %lld outputs", name, LL(p->groups), LL(p->channels),
          LL(p->output_channels));
    CHECK(p->kernel > 0 && p->stride > 0 && p->dilation > 0 && p->padding_left >= 0 && p->padding_right >= 0,
          "%s: kernel %lld, stride %lld, dilation %lld, paddings %lld and %lld", name, LL(p->kernel), LL(p->stride),
          LL(p->dilation), LL(p->padding_left), LL(p->padding_right));
    CHECK(p->kernel <= MAXIMUM_KERNEL_EXTENT && p->dilation <= MAXIMUM_KERNEL_EXTENT &&
              (p->kernel - 1) * p->dilation < MAXIMUM_KERNEL_EXTENT && p->stride <= MAXIMUM_KERNEL_EXTENT &&
              p->padding_left <= INT32_MAX && p->padding_right <= INT32_MAX,
          "%s: a kernel, stride or padding that is too large", name);
    CHECK(p->output_frames == conv1d_frames(p, p->frames), "%s: %lld output frames, %lld frames give %lld", name,
          LL(p->output_frames), LL(p->frames), LL(conv1d_frames(p, p->frames)));
    CHECK(p->x_row_stride >= p->channels && p->output_row_stride >= p->output_channels,
          "%s: a row stride is smaller than the channels", name);
    CHECK(is_compute_type(p->type), "%s: type %d", name, (int)p->type);
    enum status result = check_activation(p->activation, p->slope, name);
    return result == STATUS_OK ? check_input_activation(p->input_activation, p->input_slope, name) : result;
}

static bool conv1d_is_empty(const struct conv1d_forward *p)
{
    return p->batch == 0 || p->output_frames == 0;
}

enum status check_conv1d_forward(const struct conv1d_forward *p)
{
    enum status result = check_conv1d_shape(p, "conv1d_forward");
    if (result != STATUS_OK)
        return result;
    CHECK(conv1d_is_empty(p) || (p->x && p->weight && p->output), "conv1d_forward: a null array");
    return STATUS_OK;
}

enum status check_conv1d_backward(const struct conv1d_backward *p)
{
    const struct conv1d_forward *f = &p->forward;
    enum status result = check_conv1d_shape(f, "conv1d_backward");
    if (result != STATUS_OK)
        return result;
    result = check_gradient(f->activation, "conv1d_backward");
    if (result != STATUS_OK)
        return result;
    CHECK(f->input_activation == ACTIVATION_NONE,
          "conv1d_backward: input activation %d, through which it has no gradient", (int)f->input_activation);
    CHECK(conv1d_is_empty(f) || (p->grad_output && (f->activation == ACTIVATION_NONE || f->pre_activation)),
          "conv1d_backward: a null array");
    CHECK(conv1d_is_empty(f) || ((!p->grad_x || f->weight) && (!p->grad_weight || f->x)),
          "conv1d_backward: a null array");
    return STATUS_OK;
}

enum status check_conv1d_group_norm(const struct conv1d_group_norm *p)
{
    const struct conv1d_forward *c = &p->conv;
    enum status result = check_conv1d_shape(c, "conv1d_group_norm");
    if (result != STATUS_OK)
        return result;
    CHECK(p->norm_groups > 0 && c->output_channels % p->norm_groups == 0,
          "conv1d_group_norm: %lld groups of %lld channels", LL(p->norm_groups), LL(c->output_channels));
    CHECK(!c->residual && !c->pre_activation, "conv1d_group_norm: a residual or a pre_activation");
    CHECK(c->input_activation == ACTIVATION_NONE, "conv1d_group_norm: input activation %d", (int)c->input_activation);
    CHECK(!p->mean == !p->rstd, "conv1d_group_norm: mean and rstd go together");
    CHECK(p->epsilon >= 0, "conv1d_group_norm: epsilon %g", (double)p->epsilon);
    CHECK(conv1d_is_empty(c) || (c->x && c->weight && c->output && p->norm_weight && p->norm_bias),
          "conv1d_group_norm: a null array");
    return STATUS_OK;
}

enum status check_conv1d_transposed(const struct conv1d_transposed *p)
{
    CHECK(p->batch >= 0 && p->frames >= 0 && p->frames <= INT32_MAX && p->channels > 0 && p->output_channels > 0,
          "conv1d_transposed: %lld rows of %lld frames, %lld channels to %lld", LL(p->batch), LL(p->frames),
          LL(p->channels), LL(p->output_channels));
    CHECK(p->kernel > 0 && p->kernel <= MAXIMUM_KERNEL_EXTENT && p->stride > 0 && p->stride <= MAXIMUM_KERNEL_EXTENT &&
              p->padding >= 0 && p->padding <= INT32_MAX,
          "conv1d_transposed: kernel %lld, stride %lld, padding %lld", LL(p->kernel), LL(p->stride), LL(p->padding));
    CHECK(p->output_frames == conv1d_transposed_frames(p, p->frames) && p->output_frames <= INT32_MAX,
          "conv1d_transposed: %lld output frames, %lld frames give %lld", LL(p->output_frames), LL(p->frames),
          LL(conv1d_transposed_frames(p, p->frames)));
    CHECK(p->x_row_stride >= p->channels && p->output_row_stride >= p->output_channels,
          "conv1d_transposed: a row stride is smaller than the channels");
    CHECK(is_compute_type(p->type), "conv1d_transposed: type %d", (int)p->type);
    CHECK(p->batch == 0 || p->output_frames == 0 || (p->x && p->weight && p->output),
          "conv1d_transposed: a null array");
    enum status result = check_activation(p->activation, p->slope, "conv1d_transposed");
    return result == STATUS_OK ? check_input_activation(p->input_activation, p->input_slope, "conv1d_transposed")
                               : result;
}

/* ---- norms ---- */

enum status check_layer_norm_forward(const struct layer_norm_forward *p)
{
    CHECK(p->rows >= 0 && p->channels > 0, "layer_norm_forward: %lld rows of %lld", LL(p->rows), LL(p->channels));
    CHECK(p->channels <= LAYER_NORM_CHANNELS, "layer_norm_forward: %lld channels, at most %d", LL(p->channels),
          LAYER_NORM_CHANNELS);
    CHECK(is_compute_type(p->type), "layer_norm_forward: type %d", (int)p->type);
    CHECK(p->rows == 0 || (p->x && p->weight && p->bias && p->output), "layer_norm_forward: a null array");
    CHECK(!p->mean == !p->rstd, "layer_norm_forward: mean and rstd go together");
    CHECK(p->epsilon >= 0, "layer_norm_forward: epsilon %g", (double)p->epsilon);
    return check_activation(p->activation, p->slope, "layer_norm_forward");
}

enum status check_layer_norm_backward(const struct layer_norm_backward *p)
{
    CHECK(p->rows >= 0 && p->channels > 0, "layer_norm_backward: %lld rows of %lld", LL(p->rows), LL(p->channels));
    CHECK(p->channels <= LAYER_NORM_CHANNELS, "layer_norm_backward: %lld channels, at most %d", LL(p->channels),
          LAYER_NORM_CHANNELS);
    CHECK(is_compute_type(p->type), "layer_norm_backward: type %d", (int)p->type);
    CHECK(p->rows == 0 || (p->sum && p->weight && p->bias && p->grad_output && p->mean && p->rstd && p->grad_sum),
          "layer_norm_backward: a null array");
    CHECK((p->rows == 0 && !p->overwrite) || (p->grad_weight && p->grad_bias), "layer_norm_backward: a null array");
    return check_gradient(p->activation, "layer_norm_backward");
}

static enum status check_group_norm(int64_t batch, int64_t frames, int64_t channels, int64_t groups, enum dtype type,
                                    const char *name)
{
    CHECK(batch >= 0 && frames >= 0 && frames <= INT32_MAX && channels > 0 && channels <= INT32_MAX,
          "%s: %lld rows of %lld frames of %lld", name, LL(batch), LL(frames), LL(channels));
    CHECK(groups > 0 && channels % groups == 0, "%s: %lld groups of %lld channels", name, LL(groups), LL(channels));
    CHECK(is_compute_type(type), "%s: type %d", name, (int)type);
    return STATUS_OK;
}

enum status check_group_norm_forward(const struct group_norm_forward *p)
{
    enum status result = check_group_norm(p->batch, p->frames, p->channels, p->groups, p->type, "group_norm_forward");
    if (result != STATUS_OK)
        return result;
    CHECK(!p->mean == !p->rstd, "group_norm_forward: mean and rstd go together");
    CHECK(p->epsilon >= 0, "group_norm_forward: epsilon %g", (double)p->epsilon);
    CHECK(p->batch == 0 || p->frames == 0 || (p->x && p->weight && p->bias && p->output),
          "group_norm_forward: a null array");
    return check_activation(p->activation, p->slope, "group_norm_forward");
}

enum status check_group_norm_backward(const struct group_norm_backward *p)
{
    enum status result = check_group_norm(p->batch, p->frames, p->channels, p->groups, p->type, "group_norm_backward");
    if (result != STATUS_OK)
        return result;
    bool empty = p->batch == 0 || p->frames == 0;
    CHECK(empty || (p->x && p->weight && p->bias && p->grad_output && p->mean && p->rstd && p->grad_x),
          "group_norm_backward: a null array");
    CHECK((empty && !p->overwrite) || (p->grad_weight && p->grad_bias), "group_norm_backward: a null array");
    return check_gradient(p->activation, "group_norm_backward");
}

/* ---- features ---- */

enum status check_waveform_normalise(const struct waveform_normalise *p)
{
    CHECK(p->batch >= 0 && p->samples >= 0 && p->samples <= INT32_MAX, "waveform_normalise: %lld rows of %lld samples",
          LL(p->batch), LL(p->samples));
    CHECK(p->x_stride >= p->samples && p->output_stride >= p->samples,
          "waveform_normalise: strides of %lld and %lld for %lld samples", LL(p->x_stride), LL(p->output_stride),
          LL(p->samples));
    CHECK(p->epsilon >= 0, "waveform_normalise: epsilon %g", p->epsilon);
    CHECK(is_compute_type(p->type), "waveform_normalise: type %d", (int)p->type);
    CHECK((const void *)p->x != p->output || !p->x || (p->type == DTYPE_F32 && p->x_stride == p->output_stride),
          "waveform_normalise: an output of another type or stride in x's place");
    CHECK(p->batch == 0 || p->samples == 0 || (p->x && p->output), "waveform_normalise: a null array");
    return STATUS_OK;
}

enum status check_log_mel_spectrum(const struct log_mel_spectrum *p)
{
    CHECK(p->batch >= 0 && p->samples >= 0 && p->samples <= INT32_MAX && p->bands > 0,
          "log_mel_spectrum: %lld rows of %lld samples, %lld bands", LL(p->batch), LL(p->samples), LL(p->bands));
    CHECK(p->window_size >= 256 && p->window_size <= 2048 && (p->window_size & (p->window_size - 1)) == 0,
          "log_mel_spectrum: a window of %lld, not 256, 512, 1024 or 2048", LL(p->window_size));
    CHECK(p->hop > 0 && p->padding >= 0 && p->padding < p->window_size, "log_mel_spectrum: hop %lld, padding %lld",
          LL(p->hop), LL(p->padding));
    CHECK(p->frames == log_mel_frames_of(p, p->samples), "log_mel_spectrum: %lld frames, %lld samples give %lld",
          LL(p->frames), LL(p->samples), LL(log_mel_frames_of(p, p->samples)));
    CHECK(p->x_stride >= p->samples, "log_mel_spectrum: a stride of %lld for %lld samples", LL(p->x_stride),
          LL(p->samples));
    CHECK(p->weight_count >= 0 && p->weight_count < INT32_MAX, "log_mel_spectrum: %lld weights", LL(p->weight_count));
    CHECK(p->offset >= 0 && p->floor > 0 && isfinite(p->floor), "log_mel_spectrum: offset %g, floor %g", p->offset,
          p->floor);
    CHECK(p->batch == 0 || p->frames == 0 ||
              (p->x && p->window && (p->weight_count == 0 || p->weights) && p->band_first && p->band_length &&
               p->band_offset && p->output),
          "log_mel_spectrum: a null array");
    return STATUS_OK;
}

enum status check_kmeans_assign(const struct kmeans_assign *p)
{
    CHECK(p->rows >= 0 && p->channels > 0 && p->clusters > 0 && p->clusters <= INT32_MAX,
          "kmeans_assign: %lld points of %lld, %lld clusters", LL(p->rows), LL(p->channels), LL(p->clusters));
    CHECK(p->x_row_stride >= p->channels, "kmeans_assign: a row stride of %lld for %lld channels", LL(p->x_row_stride),
          LL(p->channels));
    CHECK(p->rows == 0 || (p->x && p->centroids && (p->labels || p->distances || p->every)),
          "kmeans_assign: a null array");
    return STATUS_OK;
}
