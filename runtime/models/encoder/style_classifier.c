/* The head is so small beside the encoder, two products per second of speech, that it is computed on the host, in double. The mean
 * over frames and the first layer are both linear, so the mean is taken first. */
#include "models/encoder/style_classifier.h"

#include "core/path.h"
#include "io/json.h"
#include "models/host_linear.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct style_classifier {
    struct encoder *encoder;
    int64_t width;
    struct host_linear projector, classifier;
    struct sha256 fingerprint;
};

/* ---- reading ---- */

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
    TRY(host_linear_read(tensors, "projector", classifier->width, 0, hash, &classifier->projector));
    TRY(host_linear_read(tensors, "classifier", classifier->projector.out, 0, hash, &classifier->classifier));
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
    host_linear_free(&classifier->projector);
    host_linear_free(&classifier->classifier);
    free(classifier);
}

const struct encoder *style_classifier_encoder(const struct style_classifier *classifier)
{
    return classifier->encoder;
}

int64_t style_classifier_size(const struct style_classifier *classifier)
{
    return classifier->classifier.out;
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
    host_linear_run(&classifier->projector, mean, inner);
    host_linear_run(&classifier->classifier, inner, logits);
    for (int64_t i = 1; i < classifier->classifier.out; i++)
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
    size_t sums = (size_t)(classifier->width + classifier->projector.out + classifier->classifier.out);
    float *frames = malloc((size_t)(STYLE_FRAMES * classifier->width) * sizeof *frames);
    double *mean = malloc(sums * sizeof *mean);
    if (!frames || !mean)
        FAIL(STATUS_INTERNAL, "no memory for a second of frames");
    double *inner = mean + classifier->width, *own = inner + classifier->projector.out;
    TRY(encoder_run(workspace, clips, count, ENCODER_LAST, &output));
    for (int64_t clip = 0; clip < count; clip++)
        for (int64_t second = 0; second < styles_of(output.frames[clip]); second++) {
            int64_t first = second * STYLE_FRAMES, left = output.frames[clip] - first;
            int64_t taken = left < STYLE_FRAMES ? left : STYLE_FRAMES;
            TRY(encoder_copy(workspace, &output, clip, first, taken, frames));
            styles[clip][second] = classify(classifier, frames, taken, mean, inner, logits ? logits : own);
            logits = logits ? logits + classifier->classifier.out : NULL;
        }
fail:
    free(frames);
    free(mean);
    return result;
}
