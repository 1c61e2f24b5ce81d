/* The argument checks of the operations that speech encoders need (check.h). */
#include "kernels/check.h"

#include <math.h>

#define LL(x) ((long long)(x))

/* Frames that a kernel spans, and frames between its outputs, at most: tiles of the backends hold that many. */
enum { MAXIMUM_KERNEL_EXTENT = 16384 };

static bool is_activation(enum activation activation)
{
    return activation == ACTIVATION_NONE || activation == ACTIVATION_GELU;
}

/* ---- element by element ---- */

enum status check_gelu_forward(const struct gelu_forward *p)
{
    CHECK(p->count >= 0, "gelu_forward: %lld elements", LL(p->count));
    CHECK(is_compute_type(p->type), "gelu_forward: type %d", (int)p->type);
    CHECK(p->count == 0 || (p->x && p->output), "gelu_forward: a null array");
    return STATUS_OK;
}

enum status check_gelu_backward(const struct gelu_backward *p)
{
    CHECK(p->count >= 0, "gelu_backward: %lld elements", LL(p->count));
    CHECK(is_compute_type(p->type), "gelu_backward: type %d", (int)p->type);
    CHECK(p->count == 0 || (p->x && p->grad_output && p->grad_x), "gelu_backward: a null array");
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
    CHECK(is_activation(p->activation), "%s: activation %d", name, (int)p->activation);
    CHECK(is_compute_type(p->type), "%s: type %d", name, (int)p->type);
    return STATUS_OK;
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
    CHECK(!p->mean == !p->rstd, "conv1d_group_norm: mean and rstd go together");
    CHECK(p->epsilon >= 0, "conv1d_group_norm: epsilon %g", (double)p->epsilon);
    CHECK(conv1d_is_empty(c) || (c->x && c->weight && c->output && p->norm_weight && p->norm_bias),
          "conv1d_group_norm: a null array");
    return STATUS_OK;
}

/* ---- norms ---- */

enum status check_layer_norm_forward(const struct layer_norm_forward *p)
{
    CHECK(p->rows >= 0 && p->channels > 0, "layer_norm_forward: %lld rows of %lld", LL(p->rows), LL(p->channels));
    CHECK(p->channels <= LAYER_NORM_CHANNELS, "layer_norm_forward: %lld channels, at most %d", LL(p->channels),
          LAYER_NORM_CHANNELS);
    CHECK(is_compute_type(p->type), "layer_norm_forward: type %d", (int)p->type);
    CHECK(is_activation(p->activation), "layer_norm_forward: activation %d", (int)p->activation);
    CHECK(p->rows == 0 || (p->x && p->weight && p->bias && p->output), "layer_norm_forward: a null array");
    CHECK(!p->mean == !p->rstd, "layer_norm_forward: mean and rstd go together");
    CHECK(p->epsilon >= 0, "layer_norm_forward: epsilon %g", (double)p->epsilon);
    return STATUS_OK;
}

enum status check_layer_norm_backward(const struct layer_norm_backward *p)
{
    CHECK(p->rows >= 0 && p->channels > 0, "layer_norm_backward: %lld rows of %lld", LL(p->rows), LL(p->channels));
    CHECK(p->channels <= LAYER_NORM_CHANNELS, "layer_norm_backward: %lld channels, at most %d", LL(p->channels),
          LAYER_NORM_CHANNELS);
    CHECK(is_compute_type(p->type), "layer_norm_backward: type %d", (int)p->type);
    CHECK(is_activation(p->activation), "layer_norm_backward: activation %d", (int)p->activation);
    CHECK(p->rows == 0 || (p->sum && p->weight && p->bias && p->grad_output && p->mean && p->rstd && p->grad_sum),
          "layer_norm_backward: a null array");
    CHECK((p->rows == 0 && !p->overwrite) || (p->grad_weight && p->grad_bias), "layer_norm_backward: a null array");
    return STATUS_OK;
}

static enum status check_group_norm(int64_t batch, int64_t frames, int64_t channels, int64_t groups,
                                    enum activation activation, enum dtype type, const char *name)
{
    CHECK(batch >= 0 && frames >= 0 && frames <= INT32_MAX && channels > 0 && channels <= INT32_MAX,
          "%s: %lld rows of %lld frames of %lld", name, LL(batch), LL(frames), LL(channels));
    CHECK(groups > 0 && channels % groups == 0, "%s: %lld groups of %lld channels", name, LL(groups), LL(channels));
    CHECK(is_activation(activation), "%s: activation %d", name, (int)activation);
    CHECK(is_compute_type(type), "%s: type %d", name, (int)type);
    return STATUS_OK;
}

enum status check_group_norm_forward(const struct group_norm_forward *p)
{
    enum status result =
        check_group_norm(p->batch, p->frames, p->channels, p->groups, p->activation, p->type, "group_norm_forward");
    if (result != STATUS_OK)
        return result;
    CHECK(!p->mean == !p->rstd, "group_norm_forward: mean and rstd go together");
    CHECK(p->epsilon >= 0, "group_norm_forward: epsilon %g", (double)p->epsilon);
    CHECK(p->batch == 0 || p->frames == 0 || (p->x && p->weight && p->bias && p->output),
          "group_norm_forward: a null array");
    return STATUS_OK;
}

enum status check_group_norm_backward(const struct group_norm_backward *p)
{
    enum status result =
        check_group_norm(p->batch, p->frames, p->channels, p->groups, p->activation, p->type, "group_norm_backward");
    if (result != STATUS_OK)
        return result;
    bool empty = p->batch == 0 || p->frames == 0;
    CHECK(empty || (p->x && p->weight && p->bias && p->grad_output && p->mean && p->rstd && p->grad_x),
          "group_norm_backward: a null array");
    CHECK((empty && !p->overwrite) || (p->grad_weight && p->grad_bias), "group_norm_backward: a null array");
    return STATUS_OK;
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
