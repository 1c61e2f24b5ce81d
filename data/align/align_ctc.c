/* Alignment by a CTC model: its emissions over the whole clip, the best path of the text's characters through them, and from the
 * path the times of the words.
 *
 * A word reaches from the first frame of its first letter to the last of its last one, and a frame's time is the hop around the
 * middle of what it sees. Nothing is as long as the emissions, 4 bytes per frame and character that the text has. */
#include "data/align/align_kinds.h"
#include "data/align/align_sound.h"
#include "data/align/ctc_path.h"
#include "io/audio/audio.h"
#include "models/encoder/ctc_model.h"
#include "text/ctc_vocabulary.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Raise it when the same audio and text would be aligned otherwise. */
#define CTC_VERSION "ctc aligner 2"

_Static_assert((int)CTC_ANY == (int)CTC_WILDCARD, "a text's wildcard is a column of the model");

enum {
    MINIMUM_SAMPLES = AUDIO_RATE / 10,
    MAXIMUM_SAMPLES = AUDIO_RATE * 60 * 60 * 4,
};

struct ctc_aligner_model {
    const struct kernels *kernels;
    struct device_context context;
    bool context_open;
    struct ctc_model *model;
    struct ctc_vocabulary *vocabulary;
    pthread_mutex_t lock; /* contexts are opened and closed one at a time */
};

struct ctc_aligner {
    struct aligner base;
    struct ctc_aligner_model *model;
    struct device_context context;
    bool context_open;
    struct ctc_workspace *workspace;
};

/* ---- the model ---- */

static enum status open_model(const struct aligner_options *options, struct ctc_aligner_model *model)
{
    enum status result = STATUS_OK;
    if (!options->folder || !options->folder[0])
        FAIL(STATUS_USAGE, "prepare.aligner: ctc needs prepare.aligner_folder, the folder of a CTC model");
    if (!options->kernels)
        FAIL(STATUS_USAGE, "prepare.aligner: ctc needs a device that computes it");
    TRY(ctc_vocabulary_open(options->folder, &model->vocabulary));
    TRY(device_context_create(model->kernels, NULL, 0, &model->context));
    model->context_open = true;
    TRY(ctc_model_open(options->folder, model->kernels, &model->context, &model->model));
    const struct encoder_config *config = ctc_model_config(model->model);
    if (config->sample_rate != AUDIO_RATE)
        FAIL(STATUS_CORRUPT, "%s: a model of audio at %lld Hz, expected %d Hz", options->folder,
             (long long)config->sample_rate, AUDIO_RATE);
    if (ctc_vocabulary_size(model->vocabulary) > ctc_model_size(model->model))
        FAIL(STATUS_CORRUPT, "%s: vocab.json has the id %d, lm_head only %d characters", options->folder,
             ctc_vocabulary_size(model->vocabulary) - 1, ctc_model_size(model->model));
fail:
    return result;
}

enum status ctc_aligner_model_open(const struct aligner_options *options, struct ctc_aligner_model **out,
                                   struct sha256 *fingerprint)
{
    struct ctc_aligner_model *model = calloc(1, sizeof *model);
    *out = NULL;
    if (!model)
        return status_set(STATUS_INTERNAL, "out of memory for an aligner");
    model->kernels = options->kernels;
    pthread_mutex_init(&model->lock, NULL);
    enum status result = open_model(options, model);
    if (result != STATUS_OK) {
        ctc_aligner_model_close(model);
        return result;
    }
    struct sha256_stream *hash = sha256_start();
    sha256_add(hash, CTC_VERSION, sizeof CTC_VERSION);
    sha256_add(hash, ctc_model_fingerprint(model->model), sizeof(struct sha256));
    sha256_add(hash, ctc_vocabulary_fingerprint(model->vocabulary), sizeof(struct sha256));
    *fingerprint = sha256_finish(hash);
    *out = model;
    return STATUS_OK;
}

void ctc_aligner_model_close(struct ctc_aligner_model *model)
{
    if (!model)
        return;
    ctc_model_close(model->model);
    if (model->context_open)
        device_context_destroy(model->kernels, &model->context);
    ctc_vocabulary_close(model->vocabulary);
    pthread_mutex_destroy(&model->lock);
    free(model);
}

/* ---- one thread's ---- */

static void destroy(struct aligner *base)
{
    struct ctc_aligner *aligner = (struct ctc_aligner *)base;
    ctc_workspace_destroy(aligner->workspace);
    pthread_mutex_lock(&aligner->model->lock);
    if (aligner->context_open)
        device_context_destroy(aligner->model->kernels, &aligner->context);
    pthread_mutex_unlock(&aligner->model->lock);
    free(aligner);
}

/* ---- the text's characters as columns ---- */

/* Column 0 is the blank's, the last one that of the greatest emission. ids[column] of those between, which the text has, and its
 * labels as columns. */
struct columns {
    int32_t *ids, *labels;
    int64_t count;
};

static void columns_free(struct columns *columns)
{
    free(columns->ids);
    free(columns->labels);
}

static enum status find_columns(const struct ctc_vocabulary *vocabulary, const struct ctc_text *text,
                                struct columns *columns)
{
    enum status result = STATUS_OK;
    int32_t size = ctc_vocabulary_size(vocabulary) + 1; /* and the wildcard */
    int32_t *place = calloc((size_t)size, sizeof *place);
    columns->ids = malloc(((size_t)size + 1) * sizeof *columns->ids);
    columns->labels = malloc((size_t)text->label_count * sizeof *columns->labels);
    if (!place || !columns->ids || !columns->labels)
        FAIL(STATUS_INTERNAL, "out of memory for %lld labels", (long long)text->label_count);
    columns->ids[0] = ctc_vocabulary_blank(vocabulary);
    columns->count = 1;
    for (int64_t i = 0; i < text->label_count; i++) {
        int32_t *column = place + (text->labels[i] == CTC_WILDCARD ? size - 1 : text->labels[i]);
        if (*column == 0) {
            columns->ids[columns->count] = text->labels[i];
            *column = (int32_t)columns->count++;
        }
        columns->labels[i] = *column;
    }
    columns->ids[columns->count++] = CTC_GREATEST;
fail:
    free(place);
    return result;
}

/* ---- from the path to words ---- */

/* Emissions and the path through them. */
struct track {
    struct ctc_problem problem;
    float *emissions;
    int32_t *states;
};

static int32_t column_of(const struct track *track, int32_t state)
{
    return state % 2 ? track->problem.labels[state / 2] : 0;
}

/* What the path's label lies below the model's own choice in a frame. A wildcard, which is many characters at once, may lie above. */
static double frame_score(const struct track *track, int64_t frame)
{
    const float *emissions = track->emissions + frame * track->problem.columns;
    double score =
        (double)emissions[column_of(track, track->states[frame])] - (double)emissions[track->problem.columns - 1];
    return score < 0 ? score : 0;
}

/* The mean over all frames, and that of the `window` frames in a row where it is least; half of both. */
static double track_score(const struct track *track, int64_t window)
{
    int64_t frames = track->problem.frames;
    double sum = 0, inside = 0, worst = 0;
    window = window < frames ? window : frames;
    for (int64_t frame = 0; frame < frames; frame++) {
        double score = frame_score(track, frame);
        sum += score;
        inside += score;
        if (frame >= window)
            inside -= frame_score(track, frame - window);
        worst = inside < worst ? inside : worst;
    }
    return 0.5 * sum / (double)frames + 0.5 * worst / (double)window;
}

static enum status fill_words(const struct encoder_config *config, const struct ctc_text *text,
                              const struct track *track, struct alignment *alignment)
{
    const int64_t hop = encoder_config_hop(config), offset = (encoder_config_samples(config, 1) - hop) / 2;
    const struct ctc_problem *problem = &track->problem;
    int64_t frame = 0;
    alignment->words = calloc((size_t)text->word_count, sizeof *alignment->words);
    alignment->word_scores = calloc((size_t)text->word_count, sizeof *alignment->word_scores);
    if (!alignment->words || !alignment->word_scores)
        return status_set(STATUS_INTERNAL, "out of memory for an alignment of %lld words", (long long)text->word_count);
    for (int64_t i = 0; i < text->word_count; i++) {
        const struct ctc_word *word = text->words + i;
        int64_t first_state = 2 * word->first + 1, last_state = 2 * (word->first + word->count) - 1;
        double sum = 0;
        while (track->states[frame] < first_state)
            frame++;
        int64_t begin = frame;
        for (; frame < problem->frames && track->states[frame] <= last_state; frame++)
            sum += frame_score(track, frame);
        alignment->words[i] = (struct aligned_word){.start = (int32_t)(begin * hop + offset),
                                                    .end = (int32_t)(frame * hop + offset),
                                                    .text_begin = word->text_begin,
                                                    .text_end = word->text_end};
        alignment->word_scores[i] = sum / (double)(frame - begin);
    }
    alignment->word_count = text->word_count;
    alignment->score = track_score(track, AUDIO_RATE / hop);
    return STATUS_OK;
}

static enum status find_track(struct ctc_aligner *aligner, const struct encoder_clip *clip, const struct ctc_text *text,
                              struct track *track, struct alignment *alignment, const char **reason)
{
    enum status result = STATUS_OK;
    const struct encoder_config *config = ctc_model_config(aligner->model->model);
    struct columns columns = {0};
    bool found = false;
    double sum = 0;
    int64_t frames = encoder_config_frames(config, clip->count);
    TRY(find_columns(aligner->model->vocabulary, text, &columns));
    if (frames < ctc_path_least_frames(columns.labels, text->label_count)) {
        *reason = "more letters than the audio has frames";
        goto fail;
    }
    track->emissions = malloc((size_t)(frames * columns.count) * sizeof *track->emissions);
    track->states = malloc((size_t)frames * sizeof *track->states);
    if (!track->emissions || !track->states)
        FAIL(STATUS_INTERNAL, "out of memory for %lld frames of %lld characters", (long long)frames,
             (long long)columns.count);
    const struct ctc_columns wanted = {
        .ids = columns.ids, .count = columns.count, .blank = ctc_vocabulary_blank(aligner->model->vocabulary)};
    TRY(ctc_model_run(aligner->workspace, clip, &wanted, track->emissions));
    track->problem = (struct ctc_problem){.emissions = track->emissions,
                                          .frames = frames,
                                          .columns = columns.count,
                                          .labels = columns.labels,
                                          .label_count = text->label_count};
    TRY(ctc_path_find(&track->problem, track->states, &sum, &found));
    if (found)
        TRY(fill_words(config, text, track, alignment));
    else
        *reason = "no path through the audio";
fail:
    columns_free(&columns);
    return result;
}

static enum status align(struct aligner *base, const float *samples, int64_t count, const char *text,
                         struct alignment *alignment, const char **reason)
{
    enum status result = STATUS_OK;
    struct ctc_aligner *aligner = (struct ctc_aligner *)base;
    const struct encoder_clip clip = {.samples = samples, .count = count};
    struct sound sound = {0};
    struct ctc_text read = {0};
    struct track track = {0};
    *reason = count < MINIMUM_SAMPLES   ? "audio too short"
              : count > MAXIMUM_SAMPLES ? "audio longer than 4 hours"
                                        : NULL;
    if (*reason != NULL)
        return STATUS_OK;
    TRY(sound_find(samples, count, &sound));
    TRY(ctc_vocabulary_read(aligner->model->vocabulary, text, &read));
    if (sound.sounding == 0)
        *reason = ALIGNER_NO_SOUND;
    else if (read.word_count == 0)
        *reason = "no words";
    else
        TRY(find_track(aligner, &clip, &read, &track, alignment, reason));
fail:
    if (result != STATUS_OK)
        alignment_free(alignment);
    free(track.emissions);
    free(track.states);
    ctc_text_free(&read);
    sound_free(&sound);
    return result;
}

static const struct aligner_methods methods = {.destroy = destroy, .align = align};

enum status ctc_aligner_create(struct ctc_aligner_model *model, struct aligner **out)
{
    enum status result = STATUS_OK;
    struct ctc_aligner *aligner = calloc(1, sizeof *aligner);
    *out = NULL;
    if (!aligner)
        return status_set(STATUS_INTERNAL, "out of memory for an aligner");
    *aligner = (struct ctc_aligner){.base.methods = &methods, .model = model};
    pthread_mutex_lock(&model->lock);
    result = device_context_create(model->kernels, NULL, 0, &aligner->context);
    pthread_mutex_unlock(&model->lock);
    TRY(result);
    aligner->context_open = true;
    TRY(ctc_workspace_create(model->model, &aligner->context, &aligner->workspace));
    *out = &aligner->base;
    return STATUS_OK;
fail:
    destroy(&aligner->base);
    return result;
}
