/* The network is runtime/models/encoder; here logits become labels. */
#include "eval/judges/speech_judge.h"

#include "eval/judges/labels.h"
#include "models/encoder/clip_classifier.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct speech_judge {
    char *folder;
    struct clip_classifier *classifier;
    struct encoder_workspace *workspace;
    struct judge_labels labels;
    double *logits; /* [size] */
    struct sha256 fingerprint;
};

static struct sha256 fingerprint_of(const struct speech_judge *judge)
{
    struct sha256_stream *hash = sha256_start();
    sha256_add(hash, "speech judge 1", 14);
    sha256_add(hash, clip_classifier_fingerprint(judge->classifier), sizeof(struct sha256));
    judge_labels_hash(&judge->labels, hash);
    return sha256_finish(hash);
}

enum status speech_judge_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                              struct speech_judge **out)
{
    enum status result = STATUS_OK;
    struct speech_judge *judge = calloc(1, sizeof *judge);
    *out = NULL;
    if (!judge || !(judge->folder = strdup(folder)))
        FAIL(STATUS_INTERNAL, "no memory for a judge");
    TRY(clip_classifier_open(folder, kernels, context, &judge->classifier));
    const struct encoder *encoder = clip_classifier_encoder(judge->classifier);
    if (encoder_config(encoder)->sample_rate != SPEECH_JUDGE_RATE)
        FAIL(STATUS_CORRUPT, "%s/preprocessor_config.json: sampling_rate is %" PRId64 ", only %d is supported", folder,
             encoder_config(encoder)->sample_rate, SPEECH_JUDGE_RATE);
    TRY(judge_labels_read(folder, clip_classifier_size(judge->classifier), &judge->labels));
    TRY(encoder_workspace_create(encoder, context, &judge->workspace));
    if (!(judge->logits = malloc((size_t)judge->labels.count * sizeof *judge->logits)))
        FAIL(STATUS_INTERNAL, "no memory for a judge");
    judge->fingerprint = fingerprint_of(judge);
    *out = judge;
    judge = NULL;
fail:
    speech_judge_close(judge);
    return result;
}

void speech_judge_close(struct speech_judge *judge)
{
    if (!judge)
        return;
    encoder_workspace_destroy(judge->workspace);
    clip_classifier_close(judge->classifier);
    judge_labels_free(&judge->labels);
    free(judge->logits);
    free(judge->folder);
    free(judge);
}

int64_t speech_judge_size(const struct speech_judge *judge)
{
    return judge->labels.count;
}

const char *speech_judge_label(const struct speech_judge *judge, int64_t index)
{
    return judge->labels.names[index];
}

const struct sha256 *speech_judge_fingerprint(const struct speech_judge *judge)
{
    return &judge->fingerprint;
}

enum status speech_judge_run(struct speech_judge *judge, const struct encoder_clip *clips, int64_t count,
                             struct judgement *judgements, double *logits)
{
    enum status result = STATUS_OK;
    int64_t size = judge->labels.count, frames;
    for (int64_t i = 0; i < count; i++) {
        double *own = logits ? logits + i * size : judge->logits;
        memset(own, 0, (size_t)size * sizeof *own);
        judgements[i] = (struct judgement){.label = JUDGEMENT_NONE};
        TRY(clip_classifier_run(judge->classifier, judge->workspace, &clips[i], own, &frames));
        if (frames > 0)
            TRY(judge_choose(judge->folder, own, size, &judgements[i].label));
    }
fail:
    return result;
}
