/* Labels are numbered in the order in which they are first said. */
#include "support/scripted_judges.h"

#include "support/test_support.h"

#include "eval/judges/speech_judge.h"
#include "eval/judges/text_judge.h"

#include <string.h>

enum { MOST_LABELS = 32 };

static struct {
    scripted_text_judge *text;
    scripted_speech_judge *speech;
    const char *labels[MOST_LABELS];
    int32_t count;
} script;
static const struct sha256 fingerprints[2] = {{{1}}, {{2}}};

void scripted_judges_set(scripted_text_judge *text, scripted_speech_judge *speech)
{
    script.text = text;
    script.speech = speech;
}

static struct judgement say(const char *label)
{
    int32_t index = 0;
    if (!label)
        return (struct judgement){JUDGEMENT_NONE, false};
    while (index < script.count && strcmp(script.labels[index], label) != 0)
        index++;
    assert_true(index < MOST_LABELS);
    script.labels[index] = label;
    script.count += index == script.count;
    return (struct judgement){index, false};
}

/* The names that --wrap gives. */
enum status __wrap_text_judge_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                                   struct text_judge **judge);
void __wrap_text_judge_close(struct text_judge *judge);
const char *__wrap_text_judge_label(const struct text_judge *judge, int64_t index);
const struct sha256 *__wrap_text_judge_fingerprint(const struct text_judge *judge);
enum status __wrap_text_judge_run(struct text_judge *judge, const char *const *texts, int64_t count,
                                  struct judgement *judgements, double *logits);
enum status __wrap_speech_judge_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                                     struct speech_judge **judge);
void __wrap_speech_judge_close(struct speech_judge *judge);
const char *__wrap_speech_judge_label(const struct speech_judge *judge, int64_t index);
const struct sha256 *__wrap_speech_judge_fingerprint(const struct speech_judge *judge);
enum status __wrap_speech_judge_run(struct speech_judge *judge, const struct encoder_clip *clips, int64_t count,
                                    struct judgement *judgements, double *logits);

enum status __wrap_text_judge_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                                   struct text_judge **judge)
{
    (void)folder;
    (void)kernels;
    (void)context;
    *judge = (struct text_judge *)&script;
    return STATUS_OK;
}

void __wrap_text_judge_close(struct text_judge *judge)
{
    (void)judge;
}

const char *__wrap_text_judge_label(const struct text_judge *judge, int64_t index)
{
    (void)judge;
    assert_true(index >= 0 && index < script.count);
    return script.labels[index];
}

const struct sha256 *__wrap_text_judge_fingerprint(const struct text_judge *judge)
{
    (void)judge;
    return &fingerprints[0];
}

enum status __wrap_text_judge_run(struct text_judge *judge, const char *const *texts, int64_t count,
                                  struct judgement *judgements, double *logits)
{
    (void)judge;
    assert_null(logits);
    for (int64_t i = 0; i < count; i++)
        judgements[i] = say(script.text(texts[i]));
    return STATUS_OK;
}

enum status __wrap_speech_judge_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                                     struct speech_judge **judge)
{
    (void)folder;
    (void)kernels;
    (void)context;
    *judge = (struct speech_judge *)&script;
    return STATUS_OK;
}

void __wrap_speech_judge_close(struct speech_judge *judge)
{
    (void)judge;
}

const char *__wrap_speech_judge_label(const struct speech_judge *judge, int64_t index)
{
    (void)judge;
    assert_true(index >= 0 && index < script.count);
    return script.labels[index];
}

const struct sha256 *__wrap_speech_judge_fingerprint(const struct speech_judge *judge)
{
    (void)judge;
    return &fingerprints[1];
}

enum status __wrap_speech_judge_run(struct speech_judge *judge, const struct encoder_clip *clips, int64_t count,
                                    struct judgement *judgements, double *logits)
{
    (void)judge;
    assert_null(logits);
    for (int64_t i = 0; i < count; i++)
        judgements[i] = say(script.speech(clips[i].samples, clips[i].count));
    return STATUS_OK;
}
