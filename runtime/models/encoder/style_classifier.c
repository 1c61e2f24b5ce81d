/* The head is so small beside the encoder, two products per second of speech, that it is computed on the host, in double. The mean
 * over frames and the first layer are both linear, so the mean is taken first. */
#include "models/encoder/style_classifier.h"

#include "core/path.h"
#include "io/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES_LIMIT = 1 << 16 };

struct style_classifier {
    struct encoder *encoder;
    int64_t width, inner, classes;
    float *projector, *projector_bias;   /* [inner][width], [inner] */
    float *classifier, *classifier_bias; /* [classes][inner], [classes] */
    struct sha256 fingerprint;
};

/* ---- reading ---- */

/* A linear layer, whose number of outputs the file decides within limits. */
static enum status load_linear(const struct named_tensors *tensors, const char *weight_name, const char *bias_name,
                               int64_t in, struct sha256_stream *hash, float **weight, float **bias, int64_t *out)
{
    enum status result = STATUS_OK;
    const struct stored_tensor *tensor = named_tensors_find(tensors, weight_name);
    *out = tensor && tensor->rank == 2 ? tensor->shape[0] : 1;
    if (*out < 1 || *out > CLASSES_LIMIT)
        FAIL(STATUS_CORRUPT, "%s: tensor %s has %" PRId64 " rows", named_tensors_path(tensors), weight_name, *out);
    *weight = malloc((size_t)(*out * in) * sizeof **weight);
    *bias = malloc((size_t)*out * sizeof **bias);
    if (!*weight || !*bias)
        FAIL(STATUS_INTERNAL, "no memory for a style classifier");
    TRY(named_tensors_read(tensors, weight_name, 2, (int64_t[]){*out, in}, *weight));
    TRY(named_tensors_read(tensors, bias_name, 1, out, *bias));
    sha256_add(hash, *weight, (size_t)(*out * in) * sizeof **weight);
    sha256_add(hash, *bias, (size_t)*out * sizeof **bias);
fail:
    return result;
}

static enum status refuse_variants(const char *folder)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    json_t *root = NULL;
    bool weighted = false;
    TRY(path_format(path, "%s/config.json", folder));
    TRY(jdoc_read(path, &root));
    if (jdoc_has(root, "use_weighted_layer_sum"))
        TRY(jdoc_get_bool(path, root, "use_weighted_layer_sum", &weighted));
    if (weighted)
        FAIL(STATUS_CORRUPT, "%s: use_weighted_layer_sum is not supported", path);
fail:
    json_decref(root);
    return result;
}

enum status style_classifier_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                                  struct style_classifier **out)
{
    enum status result = STATUS_OK;
    const struct encoder_options options = {.layer = ENCODER_LAST, .normalize_default = true};
    struct named_tensors *tensors = NULL;
    struct sha256_stream *hash = sha256_start();
    struct style_classifier *classifier = calloc(1, sizeof *classifier);
    *out = NULL;
    if (!classifier)
        FAIL(STATUS_INTERNAL, "no memory for a style classifier");
    TRY(named_tensors_open(folder, &tensors));
    TRY(encoder_create(tensors, &options, kernels, context, &classifier->encoder));
    TRY(refuse_variants(folder));
    sha256_add(hash, "style classifier 1", 18);
    sha256_add(hash, encoder_fingerprint(classifier->encoder), sizeof(struct sha256));
    classifier->width = encoder_width(classifier->encoder, ENCODER_LAST);
    TRY(load_linear(tensors, "projector.weight", "projector.bias", classifier->width, hash, &classifier->projector,
                    &classifier->projector_bias, &classifier->inner));
    TRY(load_linear(tensors, "classifier.weight", "classifier.bias", classifier->inner, hash, &classifier->classifier,
                    &classifier->classifier_bias, &classifier->classes));
    *out = classifier;
fail:
    named_tensors_close(tensors);
    struct sha256 fingerprint = sha256_finish(hash);
    if (result == STATUS_OK)
        classifier->fingerprint = fingerprint;
    else
        style_classifier_close(classifier);
    return result;
}

void style_classifier_close(struct style_classifier *classifier)
{
    if (!classifier)
        return;
    encoder_close(classifier->encoder);
    free(classifier->projector);
    free(classifier->projector_bias);
    free(classifier->classifier);
    free(classifier->classifier_bias);
    free(classifier);
}

const struct encoder *style_classifier_encoder(const struct style_classifier *classifier)
{
    return classifier->encoder;
}

int64_t style_classifier_size(const struct style_classifier *classifier)
{
    return classifier->classes;
}

const struct sha256 *style_classifier_fingerprint(const struct style_classifier *classifier)
{
    return &classifier->fingerprint;
}

static int64_t styles_of(int64_t frames)
{
    return (frames + STYLE_FRAMES - 1) / STYLE_FRAMES;
}

int64_t style_classifier_count(const struct style_classifier *classifier, int64_t samples)
{
    return styles_of(encoder_config_frames(encoder_config(classifier->encoder), samples));
}

/* ---- computing ---- */

static void multiply(const float *weight, const float *bias, int64_t in, int64_t out, const double *x, double *y)
{
    for (int64_t o = 0; o < out; o++) {
        double sum = 0;
        for (int64_t i = 0; i < in; i++)
            sum += (double)weight[o * in + i] * x[i];
        y[o] = sum + (double)bias[o];
    }
}

/* What one second's frames give; `mean` [width] and `inner` [inner] are memory to work in. */
static int32_t classify(const struct style_classifier *classifier, const float *frames, int64_t count, double *mean,
                        double *inner, double *logits)
{
    int64_t best = 0;
    memset(mean, 0, (size_t)classifier->width * sizeof *mean);
    for (int64_t t = 0; t < count; t++)
        for (int64_t i = 0; i < classifier->width; i++)
            mean[i] += (double)frames[t * classifier->width + i];
    for (int64_t i = 0; i < classifier->width; i++)
        mean[i] /= (double)count;
    multiply(classifier->projector, classifier->projector_bias, classifier->width, classifier->inner, mean, inner);
    multiply(classifier->classifier, classifier->classifier_bias, classifier->inner, classifier->classes, inner,
             logits);
    for (int64_t i = 1; i < classifier->classes; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

enum status style_classifier_run(const struct style_classifier *classifier, struct encoder_workspace *workspace,
                                 const struct encoder_clip *clips, int64_t count, int32_t *const *styles,
                                 double *logits)
{
    enum status result = STATUS_OK;
    struct encoder_output output;
    size_t sums = (size_t)(classifier->width + classifier->inner + classifier->classes);
    float *frames = malloc((size_t)(STYLE_FRAMES * classifier->width) * sizeof *frames);
    double *mean = malloc(sums * sizeof *mean);
    if (!frames || !mean)
        FAIL(STATUS_INTERNAL, "no memory for a second of frames");
    double *inner = mean + classifier->width, *own = inner + classifier->inner;
    TRY(encoder_run(workspace, clips, count, ENCODER_LAST, &output));
    for (int64_t clip = 0; clip < count; clip++)
        for (int64_t second = 0; second < styles_of(output.frames[clip]); second++) {
            int64_t first = second * STYLE_FRAMES, left = output.frames[clip] - first;
            int64_t taken = left < STYLE_FRAMES ? left : STYLE_FRAMES;
            TRY(encoder_copy(workspace, &output, clip, first, taken, frames));
            styles[clip][second] = classify(classifier, frames, taken, mean, inner, logits ? logits : own);
            logits = logits ? logits + classifier->classes : NULL;
        }
fail:
    free(frames);
    free(mean);
    return result;
}
