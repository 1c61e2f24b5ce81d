/* Everything behind the encoder but the softmax of the layers' weights is linear, so the mean over frames is taken first, of every
 * layer that counts; what is left, two products per clip, is computed on the host, in double. */
#include "models/encoder/clip_classifier.h"

#include "core/path.h"
#include "io/json.h"
#include "models/host_linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_FRAMES = 256 };

struct clip_classifier {
    struct encoder *encoder;
    int64_t width;
    struct host_linear projector, classifier;
    double *shares; /* of what enters each layer, and of the last output; NULL: the last output alone */
    struct sha256 fingerprint;
};

/* ---- reading ---- */

static enum status read_shares(const char *folder, const struct named_tensors *tensors,
                               struct clip_classifier *classifier, struct sha256_stream *hash)
{
    enum status result = STATUS_OK;
    int64_t count = encoder_config(classifier->encoder)->layers + 1;
    char path[PATH_BYTES];
    json_t *root = NULL;
    float weights[ENCODER_MAXIMUM_LAYERS + 1], largest;
    double sum = 0;
    bool weighted = false;
    TRY(path_format(path, "%s/config.json", folder));
    TRY(jdoc_read(path, &root));
    if (jdoc_has(root, "use_weighted_layer_sum"))
        TRY(jdoc_get_bool(path, root, "use_weighted_layer_sum", &weighted));
    sha256_add(hash, &weighted, sizeof weighted);
    if (!weighted)
        goto fail;
    TRY(named_tensors_read(tensors, "layer_weights", 1, &count, weights));
    sha256_add(hash, weights, (size_t)count * sizeof *weights);
    if (!(classifier->shares = malloc((size_t)count * sizeof *classifier->shares)))
        FAIL(STATUS_INTERNAL, "no memory for the weights of %lld layers", (long long)count);
    largest = weights[0];
    for (int64_t i = 1; i < count; i++)
        largest = fmaxf(largest, weights[i]);
    for (int64_t i = 0; i < count; i++)
        sum += classifier->shares[i] = exp((double)weights[i] - (double)largest);
    for (int64_t i = 0; i < count; i++)
        classifier->shares[i] /= sum;
fail:
    json_decref(root);
    return result;
}

enum status clip_classifier_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                                 struct clip_classifier **out)
{
    enum status result = STATUS_OK;
    const struct encoder_options options = {.layer = ENCODER_LAST, .normalize_default = true};
    struct named_tensors *tensors = NULL;
    struct sha256_stream *hash = sha256_start();
    struct clip_classifier *classifier = calloc(1, sizeof *classifier);
    *out = NULL;
    if (!classifier)
        FAIL(STATUS_INTERNAL, "no memory for a classifier of clips");
    TRY(named_tensors_open(folder, &tensors));
    TRY(encoder_create(tensors, &options, kernels, context, &classifier->encoder));
    sha256_add(hash, "clip classifier 1", 17);
    sha256_add(hash, encoder_fingerprint(classifier->encoder), sizeof(struct sha256));
    classifier->width = encoder_width(classifier->encoder, ENCODER_LAST);
    TRY(host_linear_read(tensors, "projector", classifier->width, 0, hash, &classifier->projector));
    TRY(host_linear_read(tensors, "classifier", classifier->projector.out, 0, hash, &classifier->classifier));
    TRY(read_shares(folder, tensors, classifier, hash));
    *out = classifier;
fail:
    named_tensors_close(tensors);
    struct sha256 fingerprint = sha256_finish(hash);
    if (result == STATUS_OK)
        classifier->fingerprint = fingerprint;
    else
        clip_classifier_close(classifier);
    return result;
}

void clip_classifier_close(struct clip_classifier *classifier)
{
    if (!classifier)
        return;
    encoder_close(classifier->encoder);
    host_linear_free(&classifier->projector);
    host_linear_free(&classifier->classifier);
    free(classifier->shares);
    free(classifier);
}

const struct encoder *clip_classifier_encoder(const struct clip_classifier *classifier)
{
    return classifier->encoder;
}

int64_t clip_classifier_size(const struct clip_classifier *classifier)
{
    return classifier->classifier.out;
}

const struct sha256 *clip_classifier_fingerprint(const struct clip_classifier *classifier)
{
    return &classifier->fingerprint;
}

/* ---- computing ---- */

/* The mean over a clip's frames, summed layer by layer. */
struct pool {
    const struct clip_classifier *classifier;
    struct encoder_workspace *workspace;
    float *block;         /* [BLOCK_FRAMES][width] */
    double *mean, *layer; /* [width] each */
};

/* mean += share * the mean of the frames */
static enum status add_frames(struct pool *pool, const struct encoder_output *output, double share)
{
    enum status result = STATUS_OK;
    int64_t width = output->width, frames = output->frames[0];
    memset(pool->layer, 0, (size_t)width * sizeof *pool->layer);
    for (int64_t at = 0; at < frames; at += BLOCK_FRAMES) {
        int64_t count = frames - at < BLOCK_FRAMES ? frames - at : BLOCK_FRAMES;
        TRY(encoder_copy(pool->workspace, output, 0, at, count, pool->block));
        for (int64_t t = 0; t < count; t++)
            for (int64_t i = 0; i < width; i++)
                pool->layer[i] += (double)pool->block[t * width + i];
    }
    for (int64_t i = 0; i < width; i++)
        pool->mean[i] += share * (pool->layer[i] / (double)frames);
fail:
    return result;
}

static enum status take_layer(void *argument, int64_t layer, const struct encoder_output *output)
{
    struct pool *pool = argument;
    return output->frames[0] > 0 ? add_frames(pool, output, pool->classifier->shares[layer]) : STATUS_OK;
}

enum status clip_classifier_run(const struct clip_classifier *classifier, struct encoder_workspace *workspace,
                                const struct encoder_clip *clip, double *logits, int64_t *frames)
{
    enum status result = STATUS_OK;
    struct encoder_output output;
    int64_t width = classifier->width;
    double *vectors = calloc((size_t)(2 * width + classifier->projector.out), sizeof *vectors);
    struct pool pool = {.classifier = classifier,
                        .workspace = workspace,
                        .block = malloc((size_t)(BLOCK_FRAMES * width) * sizeof *pool.block),
                        .mean = vectors,
                        .layer = vectors ? vectors + width : NULL};
    const struct encoder_tap tap = {.take = take_layer, .argument = &pool};
    if (!vectors || !pool.block)
        FAIL(STATUS_INTERNAL, "no memory for the frames of a clip");
    if (classifier->shares)
        TRY(encoder_run_tapped(workspace, clip, 1, &tap, &output));
    else
        TRY(encoder_run(workspace, clip, 1, ENCODER_LAST, &output));
    *frames = output.frames[0];
    if (*frames == 0)
        goto fail;
    if (!classifier->shares)
        TRY(add_frames(&pool, &output, 1));
    double *inner = vectors + 2 * width;
    host_linear_run(&classifier->projector, pool.mean, inner);
    host_linear_run(&classifier->classifier, inner, logits);
fail:
    free(vectors);
    free(pool.block);
    return result;
}
