/* Plain double versions, one loop for each index of a definition. */
#include "support/reference_speech.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double reference_gelu(double x)
{
    return x * 0.5 * erfc(-x / sqrt(2));
}

double reference_gelu_slope(double x)
{
    return 0.5 * erfc(-x / sqrt(2)) + x * exp(-x * x / 2) / sqrt(2 * acos(-1));
}

double reference_activate(enum activation activation, double slope, double x)
{
    switch (activation) {
    case ACTIVATION_GELU:
        return reference_gelu(x);
    case ACTIVATION_RELU:
        return x <= 0 ? 0 : x;
    case ACTIVATION_LEAKY_RELU:
        return x <= 0 ? slope * x : x;
    case ACTIVATION_SILU:
        return x / (1 + exp(-x));
    case ACTIVATION_TANH:
        return tanh(x);
    case ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-x));
    case ACTIVATION_NONE:
        break;
    }
    return x;
}

int64_t reference_conv1d_frames(const struct reference_conv1d *p, int64_t length)
{
    int64_t frames = 0;
    if (length == 0)
        return 0;
    while (frames * p->stride + (p->kernel - 1) * p->dilation - p->left < length + p->right)
        frames++;
    return frames;
}

/* Calls for every product of the sum: indices of y, weight and x. */
struct product {
    int64_t y, weight, x;
};

static void for_each_product(const struct reference_conv1d *p, void (*visit)(void *, const struct product *),
                             void *argument)
{
    int64_t all = reference_conv1d_frames(p, p->frames), width = p->channels / p->groups;
    for (int64_t b = 0; b < p->batch; b++)
        for (int64_t t = 0; t < reference_conv1d_frames(p, p->lengths[b]); t++)
            for (int64_t o = 0; o < p->outputs; o++)
                for (int64_t k = 0; k < p->kernel; k++) {
                    int64_t s = t * p->stride + k * p->dilation - p->left, group = o / (p->outputs / p->groups);
                    for (int64_t i = 0; s >= 0 && s < p->lengths[b] && i < width; i++)
                        visit(argument,
                              &(struct product){(b * all + t) * p->outputs + o, (o * p->kernel + k) * width + i,
                                                (b * p->frames + s) * p->channels + group * width + i});
                }
}

struct conv1d_arrays {
    const struct reference_conv1d *p;
    double *y, *grad_x, *grad_weight;
    const double *grad_y;
};

static void add_forward(void *argument, const struct product *at)
{
    struct conv1d_arrays *a = argument;
    a->y[at->y] += a->p->weight[at->weight] * a->p->x[at->x];
}

static void add_backward(void *argument, const struct product *at)
{
    struct conv1d_arrays *a = argument;
    a->grad_x[at->x] += a->p->weight[at->weight] * a->grad_y[at->y];
    a->grad_weight[at->weight] += a->p->x[at->x] * a->grad_y[at->y];
}

void reference_conv1d(const struct reference_conv1d *p, double *y)
{
    int64_t all = reference_conv1d_frames(p, p->frames);
    memset(y, 0, (size_t)(p->batch * all * p->outputs) * sizeof *y);
    for (int64_t b = 0; p->bias && b < p->batch; b++)
        for (int64_t i = 0; i < reference_conv1d_frames(p, p->lengths[b]) * p->outputs; i++)
            y[b * all * p->outputs + i] = p->bias[i % p->outputs];
    struct conv1d_arrays arrays = {.p = p, .y = y};
    for_each_product(p, add_forward, &arrays);
}

void reference_conv1d_backward(const struct reference_conv1d *p, const double *grad_y, double *grad_x,
                               double *grad_weight, double *grad_bias)
{
    int64_t all = reference_conv1d_frames(p, p->frames);
    memset(grad_x, 0, (size_t)(p->batch * p->frames * p->channels) * sizeof *grad_x);
    for (int64_t b = 0; b < p->batch; b++)
        for (int64_t i = 0; i < reference_conv1d_frames(p, p->lengths[b]) * p->outputs; i++)
            grad_bias[i % p->outputs] += grad_y[b * all * p->outputs + i];
    struct conv1d_arrays arrays = {.p = p, .grad_x = grad_x, .grad_weight = grad_weight, .grad_y = grad_y};
    for_each_product(p, add_backward, &arrays);
}

/* The set of numbers of a row and group: how many, and the index of each. */
static int64_t set_size(const struct reference_norm *p, int64_t b)
{
    return p->lengths[b] * (p->channels / p->groups);
}

static int64_t set_index(const struct reference_norm *p, int64_t b, int64_t group, int64_t number, int64_t *channel)
{
    int64_t width = p->channels / p->groups;
    *channel = group * width + number % width;
    return (b * p->frames + number / width) * p->channels + *channel;
}

static void measure(const struct reference_norm *p, int64_t b, int64_t group, double *mean, double *rstd)
{
    int64_t count = set_size(p, b), channel;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++)
        sum += p->x[set_index(p, b, group, i, &channel)];
    *mean = count ? sum / (double)count : 0;
    for (int64_t i = 0; i < count; i++)
        squares += pow(p->x[set_index(p, b, group, i, &channel)] - *mean, 2);
    *rstd = count ? 1 / sqrt(squares / (double)count + p->epsilon) : 0;
}

void reference_norm(const struct reference_norm *p, double *output, double *mean, double *rstd)
{
    memset(output, 0, (size_t)(p->batch * p->frames * p->channels) * sizeof *output);
    for (int64_t b = 0; b < p->batch; b++)
        for (int64_t group = 0; group < p->groups; group++) {
            double *m = mean + b * p->groups + group, *r = rstd + b * p->groups + group;
            measure(p, b, group, m, r);
            for (int64_t i = 0, c; i < set_size(p, b); i++) {
                int64_t at = set_index(p, b, group, i, &c);
                double z = (p->x[at] - *m) * *r * p->weight[c] + p->bias[c];
                output[at] = p->gelu ? reference_gelu(z) : z;
            }
        }
}

void reference_norm_backward(const struct reference_norm *p, const double *grad_output, double *grad_x,
                             double *grad_weight, double *grad_bias)
{
    memset(grad_x, 0, (size_t)(p->batch * p->frames * p->channels) * sizeof *grad_x);
    for (int64_t b = 0; b < p->batch; b++)
        for (int64_t group = 0; group < p->groups; group++) {
            int64_t count = set_size(p, b), c;
            double mean, rstd, sum = 0, dot = 0;
            double *scaled = calloc((size_t)count + 1, sizeof *scaled);
            measure(p, b, group, &mean, &rstd);
            for (int64_t i = 0; i < count; i++) {
                int64_t at = set_index(p, b, group, i, &c);
                double normal = (p->x[at] - mean) * rstd, gradient = grad_output[at];
                if (p->gelu)
                    gradient *= reference_gelu_slope(normal * p->weight[c] + p->bias[c]);
                grad_weight[c] += gradient * normal;
                grad_bias[c] += gradient;
                scaled[i] = gradient * p->weight[c];
                sum += scaled[i];
                dot += scaled[i] * normal;
            }
            for (int64_t i = 0; i < count; i++) {
                int64_t at = set_index(p, b, group, i, &c);
                double normal = (p->x[at] - mean) * rstd;
                grad_x[at] = rstd * (scaled[i] - sum / (double)count - normal * dot / (double)count);
            }
            free(scaled);
        }
}
