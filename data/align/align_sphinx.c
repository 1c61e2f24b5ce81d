/* Forced alignment: one linear grammar per utterance, with a branch for each reading of a token, decoded by
 * pocketsphinx's grammar search; the words of the best path give the times. */
#include "data/align/align_internal.h"

#include "core/array.h"
#include "text/unicode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Taking the middle of a frame's window, it would begin 7.8 ms after its first sample; compared with flite's own
     * word times, 5 ms gives the smallest median errors. */
    FRAME_OFFSET = AUDIO_RATE / 200,
    MINIMUM_SAMPLES = AUDIO_RATE / 10,
    MAXIMUM_SAMPLES = AUDIO_RATE * 60 * 20,
    WINDOW_FRAMES = 20,
};

static const double worst_window_weight = 0.4;

/* ---- the grammar ---- */

static void grammar_free(struct grammar *grammar)
{
    spoken_text_free(&grammar->spoken);
    free(grammar->arcs);
    free(grammar->first_arc);
}

static bool reading_known(struct sphinx_aligner *aligner, const struct spoken_text *spoken,
                          const struct spoken_reading *reading)
{
    for (int64_t i = 0; i < reading->count; i++)
        if (!aligner_know_word(aligner, spoken->words[reading->first + i]))
            return false;
    return true;
}

static int compare_arcs(const void *a, const void *b)
{
    const struct arc *left = a, *right = b;
    if (left->from != right->from)
        return left->from < right->from ? -1 : 1;
    return left->word < right->word ? -1 : left->word > right->word;
}

/* Readings that contain a word without pronunciation are left out; a token without any other reading makes it
 * impossible to align the text. */
static enum status build_grammar(struct sphinx_aligner *aligner, const char *text, struct grammar *grammar,
                                 const char **reason)
{
    enum status result = STATUS_OK;
    *grammar = (struct grammar){0};
    TRY(spell_readings(text, &grammar->spoken));
    struct spoken_text *spoken = &grammar->spoken;
    if (spoken->token_count == 0) {
        *reason = "no words";
        return STATUS_OK;
    }
    grammar->arcs = malloc((size_t)spoken->word_count * sizeof *grammar->arcs);
    if (grammar->arcs == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for the grammar of %lld words", (long long)spoken->word_count);
    int state = 0, next_state = 1;
    for (int64_t t = 0; t < spoken->token_count; t++) {
        const struct spoken_token *token = &spoken->tokens[t];
        int end = next_state++;
        int64_t arcs_before = grammar->arc_count;
        for (int r = 0; r < token->reading_count; r++) {
            const struct spoken_reading *reading = &spoken->readings[token->first_reading + r];
            if (!reading_known(aligner, spoken, reading))
                continue;
            int at = state;
            for (int64_t k = 0; k < reading->count; k++) {
                int to = k + 1 == reading->count ? end : next_state++;
                grammar->arcs[grammar->arc_count++] =
                    (struct arc){.from = at, .to = to, .word = reading->first + k, .token = t};
                at = to;
            }
        }
        if (grammar->arc_count == arcs_before) {
            *reason = "a word without pronunciation";
            return STATUS_OK;
        }
        state = end;
    }
    grammar->states = next_state;
    grammar->end = state;
    qsort(grammar->arcs, (size_t)grammar->arc_count, sizeof *grammar->arcs, compare_arcs);
    grammar->first_arc = malloc(((size_t)next_state + 1) * sizeof *grammar->first_arc);
    if (grammar->first_arc == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for the grammar of %d states", next_state);
    for (int64_t s = 0, a = 0; s <= next_state; s++) {
        grammar->first_arc[s] = a;
        while (a < grammar->arc_count && grammar->arcs[a].from == s)
            a++;
    }
    return STATUS_OK;
fail:
    grammar_free(grammar);
    *grammar = (struct grammar){0};
    return result;
}

/* ---- from segments to tokens ---- */

/* One way to read the segments so far: the arc of the last one, and the step before it. */
struct step {
    int64_t arc, before; /* index of the step before; -1: the first */
};

struct steps {
    struct step *list;
    int64_t count, room;
};

/* Adds all ways to go on from state `from` with the segment's word; two ways that lead to the same state count as
 * one. */
static enum status follow(const struct grammar *grammar, const struct segment *segment, int from, int64_t before,
                          int64_t begin, struct steps *steps)
{
    for (int64_t a = grammar->first_arc[from]; a < grammar->first_arc[from + 1]; a++) {
        const struct arc *arc = &grammar->arcs[a];
        bool known = strcmp(grammar->spoken.words[arc->word], segment->word) != 0;
        for (int64_t i = begin; i < steps->count && !known; i++)
            known = grammar->arcs[steps->list[i].arc].to == arc->to;
        if (known)
            continue;
        enum status result = array_grow(&steps->list, &steps->room, steps->count + 1, "steps of an alignment");
        if (result != STATUS_OK)
            return result;
        steps->list[steps->count++] = (struct step){.arc = a, .before = before};
    }
    return STATUS_OK;
}

/* Finds which arcs the spoken segments took and puts them into arcs[segments]. *complete: they lead to the end
 * state. */
static enum status trace(const struct grammar *grammar, const struct segments *segments, int64_t *arcs, bool *complete)
{
    enum status result = STATUS_OK;
    struct steps steps = {0};
    int64_t begin = 0, end = 0, last = -1;
    bool first = true;
    *complete = false;
    for (int64_t s = 0; s < segments->count; s++) {
        if (!segments->list[s].spoken)
            continue;
        if (first)
            TRY(follow(grammar, &segments->list[s], 0, -1, 0, &steps));
        for (int64_t i = begin; i < end; i++)
            TRY(follow(grammar, &segments->list[s], grammar->arcs[steps.list[i].arc].to, i, end, &steps));
        first = false;
        begin = end;
        end = steps.count;
    }
    for (int64_t i = begin; i < end; i++)
        if (grammar->arcs[steps.list[i].arc].to == grammar->end)
            last = i;
    *complete = last >= 0;
    for (int64_t s = segments->count - 1; s >= 0 && last >= 0; s--) {
        if (!segments->list[s].spoken)
            continue;
        arcs[s] = steps.list[last].arc;
        last = steps.list[last].before;
    }
fail:
    free(steps.list);
    return result;
}

/* Combines the mean score per frame of the utterance with that of the worst stretch of whole segments that lasts
 * WINDOW_FRAMES or more: a word too many or too few spoils a stretch more than the mean. */
static double score_segments(const struct segments *segments)
{
    double total = 0, worst = INFINITY;
    int64_t frames = 0;
    for (int64_t i = 0; i < segments->count; i++) {
        double sum = 0;
        int64_t length = 0;
        total += segments->list[i].score;
        frames += segments->list[i].last - segments->list[i].first + 1;
        for (int64_t k = i; k < segments->count && length < WINDOW_FRAMES; k++) {
            sum += segments->list[k].score;
            length += segments->list[k].last - segments->list[k].first + 1;
        }
        if (length >= WINDOW_FRAMES && sum / (double)length < worst)
            worst = sum / (double)length;
    }
    double mean = total / (double)frames;
    if (isinf(worst))
        worst = mean;
    return (1 - worst_window_weight) * mean + worst_window_weight * worst;
}

/* Where a frame begins, in samples. */
static int32_t frame_sample(int frame, int64_t count)
{
    int64_t sample = frame == 0 ? 0 : (int64_t)frame * FRAME_SAMPLES + FRAME_OFFSET;
    return (int32_t)(sample < count ? sample : count);
}

/* A word's bytes include the punctuation that touches it; between two words without a space it belongs to the left
 * one. */
static void text_range(const char *text, const struct spoken_text *spoken, int64_t token, int32_t previous_end,
                       struct aligned_word *word)
{
    bool last = token + 1 == spoken->token_count;
    word->text_begin = spoken->tokens[token].text_begin;
    word->text_end = spoken->tokens[token].text_end;
    while (text[word->text_end] != '\0' && unicode_space_at(text + word->text_end, SIZE_MAX) == 0 &&
           (last || word->text_end < spoken->tokens[token + 1].text_begin))
        word->text_end++;
    while (word->text_begin > previous_end && unicode_space_before(text, (size_t)word->text_begin) == 0)
        word->text_begin--;
}

static enum status fill_alignment(const char *text, const struct grammar *grammar, const struct segments *segments,
                                  int64_t count, struct alignment *alignment, const char **reason)
{
    enum status result = STATUS_OK;
    const struct spoken_text *spoken = &grammar->spoken;
    bool complete = false;
    int64_t *arcs = calloc((size_t)segments->count + 1, sizeof *arcs);
    struct aligned_word *words = calloc((size_t)spoken->token_count, sizeof *words);
    if (arcs == NULL || words == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for an alignment of %lld words", (long long)spoken->token_count);
    TRY(trace(grammar, segments, arcs, &complete));
    if (!complete) {
        *reason = "no path through the audio";
        goto fail;
    }
    int64_t token_before = -1;
    for (int64_t s = 0; s < segments->count; s++) {
        const struct segment *segment = &segments->list[s];
        if (!segment->spoken)
            continue;
        int64_t token = grammar->arcs[arcs[s]].token;
        if (token != token_before)
            words[token].start = frame_sample(segment->first, count);
        words[token].end = frame_sample(segment->last + 1, count);
        token_before = token;
    }
    for (int64_t t = 0; t < spoken->token_count; t++)
        text_range(text, spoken, t, t > 0 ? words[t - 1].text_end : 0, &words[t]);
    *alignment =
        (struct alignment){.words = words, .word_count = spoken->token_count, .score = score_segments(segments)};
    words = NULL;
fail:
    free(words);
    free(arcs);
    return result;
}

static enum status align_words(struct sphinx_aligner *aligner, const float *samples, int64_t count, const char *text,
                               const struct sound *sound, struct alignment *alignment, const char **reason)
{
    enum status result = STATUS_OK;
    struct grammar grammar = {0};
    struct segments segments = {0};
    TRY(aligner_begin(aligner));
    TRY(build_grammar(aligner, text, &grammar, reason));
    if (*reason == NULL && grammar.spoken.token_count * 3 > count / FRAME_SAMPLES)
        *reason = "audio too short"; /* every word has at least one phone, and every phone three states */
    if (*reason != NULL)
        goto fail;
    TRY(aligner_load_grammar(aligner, &grammar));
    TRY(aligner_decode(aligner, samples, count, &segments));
    TRY(fill_alignment(text, &grammar, &segments, count, alignment, reason));
    if (*reason == NULL && (*reason = sound_against(sound, &segments)) != NULL)
        alignment_free(alignment);
fail:
    aligner_end(aligner);
    free(segments.list);
    grammar_free(&grammar);
    return result;
}

static enum status align(struct aligner *base, const float *samples, int64_t count, const char *text,
                         struct alignment *alignment, const char **reason)
{
    enum status result = STATUS_OK;
    struct sphinx_aligner *aligner = (struct sphinx_aligner *)base;
    struct sound sound = {0};
    *reason = count < MINIMUM_SAMPLES   ? "audio too short"
              : count > MAXIMUM_SAMPLES ? "audio longer than 20 minutes"
                                        : NULL;
    if (*reason != NULL)
        return STATUS_OK;
    TRY(sound_find(samples, count, &sound));
    if (sound.sounding == 0)
        *reason = ALIGNER_NO_SOUND;
    else
        TRY(align_words(aligner, samples, count, text, &sound, alignment, reason));
fail:
    sound_free(&sound);
    return result;
}

static void destroy(struct aligner *base)
{
    aligner_close((struct sphinx_aligner *)base);
}

enum status sphinx_aligner_create(struct aligner **out)
{
    static const struct aligner_methods methods = {.destroy = destroy, .align = align};
    struct sphinx_aligner *aligner;
    enum status result = aligner_open(&aligner);
    *out = NULL;
    if (result != STATUS_OK)
        return result;
    aligner->base.methods = &methods;
    *out = &aligner->base;
    return STATUS_OK;
}
