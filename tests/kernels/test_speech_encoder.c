/* A speech encoder's stack in small (normalised waveform, convolutions with group norm and GELU, LayerNorm, projection,
 * positional convolution), forward and backward, against PyTorch in double (tests/oracles/speech_encoder_golden.py). There
 * each row is computed alone; here both are one padded batch, with NaN behind the shorter one's samples. */
#include "io/safetensors.h"
#include "support/kernel_harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 2, LAYERS = 5, SAMPLES = 1600 };
static const double tolerance = 1e-5, epsilon = 1e-5;
static const int64_t samples[ROWS] = {SAMPLES, 905};

/* The convolutions, the projection among them. */
static const struct layer {
    const char *name;
    int64_t channels, outputs, kernel, stride, groups, left, right;
    bool bias, gelu;
} layers[LAYERS] = {
    {"conv0", 1, 16, 10, 5, 1, 0, 0, false, false}, /* its norm and GELU follow */
    {"conv1", 16, 16, 3, 2, 1, 0, 0, false, true},      {"conv2", 16, 24, 2, 2, 1, 0, 0, false, true},
    {"projection", 24, 32, 1, 1, 1, 0, 0, true, false}, {"positional", 32, 32, 128, 1, 16, 64, 63, true, true},
};

struct state {
    struct safetensors *file;
    int threads;
    int64_t frames[LAYERS + 1]; /* that layer l reads; of the last one, its output's */
    int64_t valid[LAYERS + 1][ROWS];
    struct tensor lengths[LAYERS + 1];
    struct tensor weight[LAYERS], bias[LAYERS], grad_weight[LAYERS], grad_bias[LAYERS];
    struct tensor output[LAYERS], pre[LAYERS];
    struct tensor conv0; /* before its norm */
    struct tensor normalised, features, final;
    struct norm {
        const char *name;
        int64_t channels, groups; /* groups: of statistics */
        struct tensor weight, bias, grad_weight, grad_bias, mean, rstd;
    } norms[3];
};

static const float *golden(const struct state *s, const char *part, const char *name, int64_t *count)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", part, name);
    const struct tensor_info *info = safetensors_find(s->file, full);
    if (!info)
        fail_msg("the golden file has no %s", full);
    *count = info->bytes / 4;
    return safetensors_data(s->file, info);
}

static struct tensor load(const struct state *s, const char *part, const char *name)
{
    int64_t count;
    const float *values = golden(s, part, name, &count);
    return tensor_from(DTYPE_F32, count, values);
}

/* PyTorch's [O][C][K] as [O][K][C]. */
static struct tensor load_weight(const struct state *s, const struct layer *l, const char *part)
{
    char name[64];
    int64_t count, width = l->channels / l->groups;
    snprintf(name, sizeof name, "%s.weight", l->name);
    const float *values = golden(s, part, name, &count);
    assert_int_equal(count, l->outputs * width * l->kernel);
    struct tensor weight = tensor_zero(DTYPE_F32, count);
    for (int64_t o = 0; o < l->outputs; o++)
        for (int64_t k = 0; k < l->kernel; k++)
            for (int64_t c = 0; c < width; c++)
                tensor_set(&weight, (o * l->kernel + k) * width + c, (double)values[(o * width + c) * l->kernel + k]);
    return weight;
}

static void check_close(const char *what, struct tensor *actual, int64_t first, const float *expected, int64_t count)
{
    double largest = 1;
    tensor_read(actual);
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)expected[i]));
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(actual->values[first + i] - (double)expected[i]) <= tolerance * largest))
            fail_msg("%s[%lld]: %.9g, PyTorch has %.9g (values up to %.3g)", what, (long long)i,
                     actual->values[first + i], (double)expected[i], largest);
}

/* Rows of `frames` frames of `channels`: each row's valid frames are the golden file's, the rest 0 when `zeros`. */
static void check_rows(const struct state *s, const char *what, struct tensor *actual, int stage, int64_t channels,
                       bool zeros)
{
    for (int b = 0; b < ROWS; b++) {
        char name[64];
        int64_t count, stride = s->frames[stage] * channels;
        snprintf(name, sizeof name, "%s.%d", what, b);
        const float *expected = golden(s, "", name, &count);
        assert_int_equal(count, s->valid[stage][b] * channels);
        check_close(name, actual, b * stride, expected, count);
        for (int64_t i = count; zeros && i < stride; i++)
            assert_true(actual->values[b * stride + i] == 0);
    }
}

static void open_state(struct state *s, int threads)
{
    *s = (struct state){.threads = threads,
                        .norms = {{.name = "conv0.norm", .channels = 16, .groups = 16},
                                  {.name = "features.norm", .channels = 24, .groups = 1},
                                  {.name = "final.norm", .channels = 32, .groups = 1}}};
    assert_ok(safetensors_open(TEST_GOLDEN_DIRECTORY "/speech_encoder.safetensors", &s->file));
    s->frames[0] = SAMPLES;
    for (int l = 0; l <= LAYERS; l++) {
        for (int b = 0; b < ROWS && l == 0; b++)
            s->valid[0][b] = samples[b];
        for (int b = 0; b < ROWS && l > 0; b++)
            s->valid[l][b] = (s->valid[l - 1][b] + layers[l - 1].left + layers[l - 1].right - layers[l - 1].kernel) /
                                 layers[l - 1].stride +
                             1;
        s->frames[l] = s->valid[l][0];
        s->lengths[l] = tensor_zero(DTYPE_I32, ROWS);
        for (int b = 0; b < ROWS; b++)
            tensor_set(&s->lengths[l], b, (double)s->valid[l][b]);
    }
    for (int l = 0; l < LAYERS; l++) {
        s->weight[l] = load_weight(s, &layers[l], "");
        s->grad_weight[l] = tensor_zero(DTYPE_F32, s->weight[l].count);
        s->bias[l] = layers[l].bias ? load(s, layers[l].name, ".bias") : tensor_zero(DTYPE_F32, layers[l].outputs);
        s->grad_bias[l] = tensor_zero(DTYPE_F32, layers[l].outputs);
        s->output[l] = tensor_make(DTYPE_F32, ROWS * s->frames[l + 1] * layers[l].outputs);
        s->pre[l] = tensor_make(DTYPE_F32, s->output[l].count);
    }
    for (int n = 0; n < 3; n++) {
        struct norm *norm = &s->norms[n];
        int64_t sets = n == 0 ? ROWS * norm->groups : ROWS * s->frames[LAYERS];
        norm->weight = load(s, norm->name, ".weight");
        norm->bias = load(s, norm->name, ".bias");
        norm->grad_weight = tensor_zero(DTYPE_F32, norm->channels);
        norm->grad_bias = tensor_zero(DTYPE_F32, norm->channels);
        norm->mean = tensor_zero(DTYPE_F32, sets);
        norm->rstd = tensor_zero(DTYPE_F32, sets);
    }
    s->conv0 = tensor_make(DTYPE_F32, s->output[0].count);
    s->normalised = tensor_make(DTYPE_F32, ROWS * SAMPLES);
    s->features = tensor_make(DTYPE_F32, s->output[2].count);
    s->final = tensor_make(DTYPE_F32, s->output[4].count);
}

static void close_state(struct state *s)
{
    for (int l = 0; l <= LAYERS; l++)
        tensor_free(&s->lengths[l]);
    for (int l = 0; l < LAYERS; l++) {
        struct tensor *all[] = {&s->weight[l],    &s->bias[l],   &s->grad_weight[l],
                                &s->grad_bias[l], &s->output[l], &s->pre[l]};
        for (int i = 0; i < 6; i++)
            tensor_free(all[i]);
    }
    for (int n = 0; n < 3; n++) {
        struct norm *m = &s->norms[n];
        struct tensor *all[] = {&m->weight, &m->bias, &m->grad_weight, &m->grad_bias, &m->mean, &m->rstd};
        for (int i = 0; i < 6; i++)
            tensor_free(all[i]);
    }
    struct tensor *all[] = {&s->conv0, &s->normalised, &s->features, &s->final};
    for (int i = 0; i < 4; i++)
        tensor_free(all[i]);
    safetensors_close(s->file);
}

/* ---- forward ---- */

static struct conv1d_forward describe(struct state *s, int l, struct tensor *x)
{
    const struct layer *layer = &layers[l];
    return (struct conv1d_forward){.batch = ROWS,
                                   .frames = s->frames[l],
                                   .channels = layer->channels,
                                   .output_frames = s->frames[l + 1],
                                   .output_channels = layer->outputs,
                                   .kernel = layer->kernel,
                                   .stride = layer->stride,
                                   .dilation = 1,
                                   .groups = layer->groups,
                                   .padding_left = layer->left,
                                   .padding_right = layer->right,
                                   .x = tensor_device(x),
                                   .weight = tensor_device(&s->weight[l]),
                                   .bias = layer->bias ? tensor_device(&s->bias[l]) : NULL,
                                   .output = tensor_device(&s->output[l]),
                                   .pre_activation = layer->gelu ? tensor_device(&s->pre[l]) : NULL,
                                   .x_row_stride = layer->channels,
                                   .x_batch_stride = s->frames[l] * layer->channels,
                                   .output_row_stride = layer->outputs,
                                   .output_batch_stride = s->frames[l + 1] * layer->outputs,
                                   .lengths = tensor_device(&s->lengths[l]),
                                   .activation = layer->gelu ? ACTIVATION_GELU : ACTIVATION_NONE};
}

#define RUN(operation, p)                                                                                              \
    assert_ok(test_kernels()->operation(test_context(s->threads, test_kernels()->operation##_scratch_size(p)), p))

static void normalise(struct state *s)
{
    struct tensor wave = tensor_make(DTYPE_F32, ROWS * SAMPLES);
    for (int64_t b = 0; b < ROWS; b++) {
        int64_t count;
        const float *values = golden(s, "wave.", b ? "1" : "0", &count);
        for (int64_t i = 0; i < SAMPLES; i++)
            tensor_set(&wave, b * SAMPLES + i, i < count ? (double)values[i] : NAN);
    }
    struct waveform_normalise p = {.batch = ROWS,
                                   .samples = SAMPLES,
                                   .x = tensor_device(&wave),
                                   .output = tensor_device(&s->normalised),
                                   .x_stride = SAMPLES,
                                   .output_stride = SAMPLES,
                                   .lengths = tensor_device(&s->lengths[0]),
                                   .epsilon = epsilon};
    RUN(waveform_normalise, &p);
    check_rows(s, "normalised", &s->normalised, 0, 1, true);
    tensor_free(&wave);
}

static void layer_norm(struct state *s, int n, struct tensor *x, struct tensor *output)
{
    struct norm *norm = &s->norms[n];
    struct layer_norm_forward p = {.rows = x->count / norm->channels,
                                   .channels = norm->channels,
                                   .x = tensor_device(x),
                                   .weight = tensor_device(&norm->weight),
                                   .bias = tensor_device(&norm->bias),
                                   .output = tensor_device(output),
                                   .mean = tensor_device(&norm->mean),
                                   .rstd = tensor_device(&norm->rstd),
                                   .epsilon = (float)epsilon};
    RUN(layer_norm_forward, &p);
}

static void forward(struct state *s)
{
    normalise(s);
    struct norm *norm = &s->norms[0];
    struct conv1d_group_norm first = {.conv = describe(s, 0, &s->normalised),
                                      .norm_groups = norm->groups,
                                      .norm_weight = tensor_device(&norm->weight),
                                      .norm_bias = tensor_device(&norm->bias),
                                      .mean = tensor_device(&norm->mean),
                                      .rstd = tensor_device(&norm->rstd),
                                      .epsilon = (float)epsilon};
    first.conv.activation = ACTIVATION_GELU;
    RUN(conv1d_group_norm, &first);
    struct conv1d_forward p = describe(s, 1, &s->output[0]);
    RUN(conv1d_forward, &p);
    p = describe(s, 2, &s->output[1]);
    RUN(conv1d_forward, &p);
    check_rows(s, "features", &s->output[2], 3, 24, true);
    layer_norm(s, 1, &s->output[2], &s->features);
    p = describe(s, 3, &s->features);
    RUN(conv1d_forward, &p);
    p = describe(s, 4, &s->output[3]);
    p.residual = p.x;
    RUN(conv1d_forward, &p);
    check_rows(s, "positional", &s->output[4], 5, 32, true);
    layer_norm(s, 2, &s->output[4], &s->final);
    check_rows(s, "final", &s->final, 5, 32, false);
}

/* The same first layer by its two operations: the fused one and they differ by rounding alone. */
static void unfused(struct state *s)
{
    struct conv1d_forward p = describe(s, 0, &s->normalised);
    p.output = tensor_device(&s->conv0);
    RUN(conv1d_forward, &p);
    struct tensor output = tensor_make(DTYPE_F32, s->conv0.count);
    struct norm *norm = &s->norms[0];
    struct group_norm_forward g = {.batch = ROWS,
                                   .frames = s->frames[1],
                                   .channels = 16,
                                   .groups = 16,
                                   .x = tensor_device(&s->conv0),
                                   .weight = tensor_device(&norm->weight),
                                   .bias = tensor_device(&norm->bias),
                                   .lengths = tensor_device(&s->lengths[1]),
                                   .output = tensor_device(&output),
                                   .epsilon = (float)epsilon,
                                   .activation = ACTIVATION_GELU};
    RUN(group_norm_forward, &g);
    assert_tensor("the first layer by two operations", &output, tensor_read(&s->output[0]), 5e-6, 0);
    tensor_free(&output);
}

/* ---- backward ---- */

static struct tensor backward_layer(struct state *s, int l, struct tensor *x, struct tensor *grad_output)
{
    struct tensor grad_x = tensor_make(DTYPE_F32, ROWS * s->frames[l] * layers[l].channels);
    struct conv1d_backward p = {.forward = describe(s, l, x),
                                .grad_output = tensor_device(grad_output),
                                .grad_x = tensor_device(&grad_x),
                                .grad_weight = tensor_device(&s->grad_weight[l]),
                                .grad_bias = layers[l].bias ? tensor_device(&s->grad_bias[l]) : NULL};
    RUN(conv1d_backward, &p);
    return grad_x;
}

static void backward_norm(struct state *s, int n, struct tensor *x, struct tensor *gradient)
{
    struct norm *norm = &s->norms[n];
    struct layer_norm_backward p = {.rows = x->count / norm->channels,
                                    .channels = norm->channels,
                                    .sum = tensor_device(x),
                                    .weight = tensor_device(&norm->weight),
                                    .bias = tensor_device(&norm->bias),
                                    .grad_output = tensor_device(gradient),
                                    .mean = tensor_device(&norm->mean),
                                    .rstd = tensor_device(&norm->rstd),
                                    .grad_sum = tensor_device(gradient),
                                    .grad_weight = tensor_device(&norm->grad_weight),
                                    .grad_bias = tensor_device(&norm->grad_bias),
                                    .overwrite = true};
    RUN(layer_norm_backward, &p);
}

static void backward_group_norm(struct state *s, struct tensor *gradient)
{
    struct norm *norm = &s->norms[0];
    struct group_norm_backward p = {.batch = ROWS,
                                    .frames = s->frames[1],
                                    .channels = 16,
                                    .groups = 16,
                                    .x = tensor_device(&s->conv0),
                                    .weight = tensor_device(&norm->weight),
                                    .bias = tensor_device(&norm->bias),
                                    .grad_output = tensor_device(gradient),
                                    .lengths = tensor_device(&s->lengths[1]),
                                    .mean = tensor_device(&norm->mean),
                                    .rstd = tensor_device(&norm->rstd),
                                    .grad_x = tensor_device(gradient),
                                    .grad_weight = tensor_device(&norm->grad_weight),
                                    .grad_bias = tensor_device(&norm->grad_bias),
                                    .overwrite = true,
                                    .activation = ACTIVATION_GELU};
    RUN(group_norm_backward, &p);
}

static void check_parameters(struct state *s)
{
    for (int l = 0; l < LAYERS; l++) {
        struct tensor expected = load_weight(s, &layers[l], "grad.");
        float *values = malloc((size_t)expected.count * sizeof *values);
        for (int64_t i = 0; i < expected.count; i++)
            values[i] = (float)expected.values[i];
        check_close(layers[l].name, &s->grad_weight[l], 0, values, expected.count);
        free(values);
        tensor_free(&expected);
    }
    for (int i = 0; i < 8; i++) {
        static const char *const names[] = {"conv0.norm.weight",  "conv0.norm.bias",   "features.norm.weight",
                                            "features.norm.bias", "final.norm.weight", "final.norm.bias",
                                            "projection.bias",    "positional.bias"};
        struct norm *norm = &s->norms[i / 2 % 3];
        struct tensor *actual = i >= 6 ? &s->grad_bias[i - 3] : i % 2 ? &norm->grad_bias : &norm->grad_weight;
        int64_t count;
        const float *expected = golden(s, "grad.", names[i], &count);
        check_close(names[i], actual, 0, expected, count);
    }
}

static void backward(struct state *s)
{
    struct tensor gradient = tensor_zero(DTYPE_F32, s->final.count), next;
    for (int b = 0; b < ROWS; b++) {
        int64_t count;
        const float *values = golden(s, "gradient.", b ? "1" : "0", &count);
        for (int64_t i = 0; i < count; i++)
            tensor_set(&gradient, b * s->frames[5] * 32 + i, (double)values[i]);
    }
    backward_norm(s, 2, &s->output[4], &gradient);
    next = backward_layer(s, 4, &s->output[3], &gradient);
    struct convert add = {
        .count = gradient.count, .source = tensor_device(&gradient), .destination = tensor_device(&next), .add = true};
    RUN(convert, &add); /* the residual's */
    tensor_free(&gradient);
    gradient = backward_layer(s, 3, &s->features, &next);
    tensor_free(&next);
    backward_norm(s, 1, &s->output[2], &gradient);
    next = backward_layer(s, 2, &s->output[1], &gradient);
    tensor_free(&gradient);
    gradient = backward_layer(s, 1, &s->output[0], &next);
    tensor_free(&next);
    backward_group_norm(s, &gradient);
    next = backward_layer(s, 0, &s->normalised, &gradient);
    check_rows(s, "grad.normalised", &next, 0, 1, true);
    tensor_free(&gradient);
    tensor_free(&next);
    check_parameters(s);
}

static void a_padded_batch_equals_pytorch(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        struct state s;
        open_state(&s, threads);
        forward(&s);
        unfused(&s);
        backward(&s);
        close_state(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_padded_batch_equals_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
