/* The operations of speech encoders written plainly in double from their definitions: what the fast ones are held to. */
#ifndef SPIRITLM_TESTS_REFERENCE_SPEECH_H
#define SPIRITLM_TESTS_REFERENCE_SPEECH_H

#include "kernels/operations.h"

double reference_gelu(double x);
double reference_gelu_slope(double x);
double reference_activate(enum activation activation, double slope, double x);

/* Dense arrays: x [B][T][C], weight [O][K][C/groups], bias [O] or NULL. Row b's frames from lengths[b] on are not read. */
struct reference_conv1d {
    int64_t batch, frames, channels, outputs, kernel, stride, dilation, groups, left, right;
    const double *x, *weight, *bias;
    const int64_t *lengths; /* [B] */
};

/* Output frames of a row of `length` frames, by trying each. */
int64_t reference_conv1d_frames(const struct reference_conv1d *p, int64_t length);

/* y [B][output frames][O]; 0 in frames that a row does not have. */
void reference_conv1d(const struct reference_conv1d *p, double *y);
/* grad_x is overwritten, grad_weight and grad_bias added to. */
void reference_conv1d_backward(const struct reference_conv1d *p, const double *grad_y, double *grad_x,
                               double *grad_weight, double *grad_bias);

/* Normalises each set of numbers to mean 0 and variance 1 and applies weight, bias and (gelu) GELU. A set is the channels
 * of a group in the first lengths[b] frames of a row; LayerNorm is a row of one frame and one group. */
struct reference_norm {
    int64_t batch, frames, channels, groups;
    const double *x, *weight, *bias;
    const int64_t *lengths;
    double epsilon;
    bool gelu;
};
/* mean, rstd [B][groups]. Frames that a row does not have are 0. */
void reference_norm(const struct reference_norm *p, double *output, double *mean, double *rstd);
/* grad_x is overwritten, grad_weight and grad_bias added to. */
void reference_norm_backward(const struct reference_norm *p, const double *grad_output, double *grad_x,
                             double *grad_weight, double *grad_bias);

#endif
