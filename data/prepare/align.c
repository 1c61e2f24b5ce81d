/* Forced alignment: one linear grammar per utterance, with a branch for each reading of a token, decoded by
 * pocketsphinx's grammar search; the words of the best path give the times. */
#include "data/prepare/align.h"

#include "core/array.h"
#include "data/prepare/pronounce.h"
#include "io/audio/audio.h"
#include "text/english/spell.h"
#include "text/unicode.h"

#include <math.h>
#include <pocketsphinx.h>
#include <pthread.h>
#include <sphinxbase/err.h>
#include <sphinxbase/fsg_model.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL_DIRECTORY "/usr/share/pocketsphinx/model/en-us"

enum {
    FRAME_SAMPLES = AUDIO_RATE / 100, /* pocketsphinx looks at the sound every 10 ms, 25.6 ms at a time */
    /* Taking the middle of that window, a frame would begin 7.8 ms after its first sample; compared with flite's own
     * word times, 5 ms gives the smallest median errors. */
    FRAME_OFFSET = AUDIO_RATE / 200,
    MINIMUM_SAMPLES = AUDIO_RATE / 10,
    MAXIMUM_SAMPLES = AUDIO_RATE * 60 * 20,
    WINDOW_FRAMES = 20,
    MAXIMUM_PHONES = 512, /* bytes of a pronunciation */
};

/* pocketsphinx's scores are logarithms to the base 1.0001, divided by 1024; ours are nats. */
static const double nats_per_score = 0.10239488;
static const double worst_window_weight = 0.4;

const double ALIGNER_DEFAULT_THRESHOLD = -2.2;

struct aligner {
    cmd_ln_t *config;
    ps_decoder_t *decoder;
};

/* ---- one decoder ---- */

static pthread_mutex_t creation_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local char last_message[256]; /* pocketsphinx's last message, for our own errors */

static void keep_message(void *unused, err_lvl_t level, const char *format, ...)
{
    (void)unused;
    if (level < ERR_ERROR)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_message, sizeof last_message, format, arguments);
    va_end(arguments);
    last_message[strcspn(last_message, "\n")] = '\0';
}

enum status aligner_create(struct aligner **aligner)
{
    enum status result = STATUS_OK;
    static const char *const files[] = {MODEL_DIRECTORY "/en-us/mdef", MODEL_DIRECTORY "/cmudict-en-us.dict"};
    *aligner = NULL;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (access(files[i], R_OK) != 0) /* without this check pocketsphinx would end the program */
            return status_set(STATUS_USAGE,
                              "%s: missing: alignment needs Debian's package pocketsphinx-en-us "
                              "(scripts/install-dependencies installs it)",
                              files[i]);
    struct aligner *made = calloc(1, sizeof *made);
    if (made == NULL)
        return status_set(STATUS_INTERNAL, "out of memory for an aligner");
    pthread_mutex_lock(&creation_mutex);
    err_set_callback(keep_message, NULL);
    err_set_logfp(NULL); /* its table of options is printed without the callback */
    /* Silence must not be removed (times would shift), nor noise (removing it blurs the scores of short clips). */
    made->config = cmd_ln_init(NULL, ps_args(), TRUE, "-hmm", MODEL_DIRECTORY "/en-us", "-dict",
                               MODEL_DIRECTORY "/cmudict-en-us.dict", "-remove_silence", "no", "-remove_noise", "no",
                               "-fsgusealtpron", "yes", "-fsgusefiller", "yes", "-bestpath", "no", "-beam", "1e-100",
                               "-wbeam", "1e-80", "-pbeam", "1e-100", NULL);
    made->decoder = made->config == NULL ? NULL : ps_init(made->config);
    pthread_mutex_unlock(&creation_mutex);
    if (made->decoder == NULL)
        FAIL(STATUS_INTERNAL, "pocketsphinx cannot start with the model in %s: %s", MODEL_DIRECTORY, last_message);
    *aligner = made;
    return STATUS_OK;
fail:
    aligner_destroy(made);
    return result;
}

void aligner_destroy(struct aligner *aligner)
{
    if (aligner == NULL)
        return;
    if (aligner->decoder != NULL)
        ps_free(aligner->decoder);
    if (aligner->config != NULL)
        cmd_ln_free_r(aligner->config);
    free(aligner);
}

/* Makes sure that the decoder's dictionary has the word. */
static bool know_word(struct aligner *aligner, const char *word)
{
    char phones[MAXIMUM_PHONES];
    char *known = ps_lookup_word(aligner->decoder, word);
    if (known != NULL) {
        ckd_free(known);
        return true;
    }
    size_t length = strlen(word);
    bool genitive = length > 2 && strcmp(word + length - 2, "'s") == 0;
    char base[SPOKEN_WORD_BYTES];
    memcpy(base, word, length + 1);
    if (genitive)
        base[length - 2] = '\0';
    known = genitive ? ps_lookup_word(aligner->decoder, base) : NULL;
    bool pronounced = known != NULL && strlen(known) < sizeof phones;
    if (pronounced)
        memcpy(phones, known, strlen(known) + 1);
    if (known != NULL)
        ckd_free(known);
    if (!pronounced && !pronounce(base, phones, sizeof phones))
        return false;
    if (genitive && !pronounce_genitive(phones, sizeof phones))
        return false;
    return ps_add_word(aligner->decoder, word, phones, FALSE) >= 0;
}

/* ---- the grammar ---- */

/* A word that leads from one state to another. Arcs are sorted by the state that they leave. */
struct arc {
    int from, to;
    int64_t word;  /* in the spoken text */
    int64_t token; /* the token of which it is a part */
};

struct grammar {
    struct spoken_text spoken;
    struct arc *arcs;
    int64_t arc_count;
    int64_t *first_arc; /* of each state; arc_count after the last */
    int states, end;    /* state 0 is the start */
};

static void grammar_free(struct grammar *grammar)
{
    spoken_text_free(&grammar->spoken);
    free(grammar->arcs);
    free(grammar->first_arc);
}

static bool reading_known(struct aligner *aligner, const struct spoken_text *spoken,
                          const struct spoken_reading *reading)
{
    for (int64_t i = 0; i < reading->count; i++)
        if (!know_word(aligner, spoken->words[reading->first + i]))
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
static enum status build_grammar(struct aligner *aligner, const char *text, struct grammar *grammar,
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

static enum status load_grammar(struct aligner *aligner, const struct grammar *grammar)
{
    fsg_model_t *model = fsg_model_init("transcript", ps_get_logmath(aligner->decoder), 1.0f, grammar->states);
    if (model == NULL)
        return status_set(STATUS_INTERNAL, "pocketsphinx cannot make a grammar: %s", last_message);
    for (int64_t i = 0; i < grammar->arc_count; i++) {
        const struct arc *arc = &grammar->arcs[i];
        int word = fsg_model_word_add(model, grammar->spoken.words[arc->word]);
        fsg_model_trans_add(model, arc->from, arc->to, 0, word);
    }
    model->start_state = 0;
    model->final_state = grammar->end;
    int failed = ps_set_fsg(aligner->decoder, "transcript", model);
    fsg_model_free(model);
    if (failed || ps_set_search(aligner->decoder, "transcript") != 0)
        return status_set(STATUS_INTERNAL, "pocketsphinx refuses a grammar of %lld words: %s",
                          (long long)grammar->arc_count, last_message);
    return STATUS_OK;
}

/* ---- decoding ---- */

struct segment {
    char word[SPOKEN_WORD_BYTES];
    int first, last; /* frames */
    double score;    /* nats, summed over all frames */
    bool spoken;     /* not silence or noise */
};

struct segments {
    struct segment *list;
    int64_t count, room;
};

static enum status add_segment(struct segments *segments, ps_seg_t *from)
{
    enum status result = array_grow(&segments->list, &segments->room, segments->count + 1, "segments of an alignment");
    if (result != STATUS_OK)
        return result;
    struct segment segment = {0};
    const char *word = ps_seg_word(from);
    if (word[0] == '(') /* a transition without a word takes no time */
        return STATUS_OK;
    int32 score = 0, unused_language = 0, unused_backoff = 0;
    ps_seg_prob(from, &score, &unused_language, &unused_backoff);
    ps_seg_frames(from, &segment.first, &segment.last);
    segment.score = score * nats_per_score;
    segment.spoken = word[0] != '<' && word[0] != '[';
    size_t length = segment.spoken ? strcspn(word, "(") : 0; /* "the(2)" is a second pronunciation of "the" */
    if (length >= sizeof segment.word)
        length = sizeof segment.word - 1;
    memcpy(segment.word, word, length);
    segments->list[segments->count++] = segment;
    return STATUS_OK;
}

/* The best path through the grammar; no segments when there is none. */
static enum status decode(struct aligner *aligner, const float *samples, int64_t count, struct segments *segments)
{
    enum status result = STATUS_OK;
    ps_decoder_t *decoder = aligner->decoder;
    int16 *integers = malloc((size_t)count * sizeof *integers);
    if (integers == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for %lld samples", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        float scaled = samples[i] * 32767.0f;
        scaled = scaled > 32767.0f ? 32767.0f : scaled < -32768.0f ? -32768.0f : scaled;
        integers[i] = (int16)lrintf(scaled);
    }
    if (ps_start_utt(decoder) < 0)
        FAIL(STATUS_INTERNAL, "pocketsphinx cannot start an utterance: %s", last_message);
    int frames = ps_process_raw(decoder, integers, (size_t)count, FALSE, TRUE);
    if (ps_end_utt(decoder) < 0 || frames < 0)
        FAIL(STATUS_INTERNAL, "pocketsphinx cannot process an utterance: %s", last_message);
    int32 path_score;
    if (ps_get_hyp(decoder, &path_score) != NULL)
        for (ps_seg_t *segment = ps_seg_iter(decoder); segment != NULL; segment = ps_seg_next(segment)) {
            result = add_segment(segments, segment);
            if (result != STATUS_OK) {
                ps_seg_free(segment);
                goto fail;
            }
        }
fail:
    free(integers);
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

enum status aligner_align(struct aligner *aligner, const float *samples, int64_t count, const char *text,
                          struct alignment *alignment, const char **reason)
{
    enum status result = STATUS_OK;
    struct grammar grammar = {0};
    struct segments segments = {0};
    *alignment = (struct alignment){0};
    *reason = NULL;
    if (count < MINIMUM_SAMPLES) {
        *reason = "audio too short";
        return STATUS_OK;
    }
    if (count > MAXIMUM_SAMPLES) {
        *reason = "audio longer than 20 minutes";
        return STATUS_OK;
    }
    TRY(build_grammar(aligner, text, &grammar, reason));
    if (*reason == NULL && grammar.spoken.token_count * 3 > count / FRAME_SAMPLES)
        *reason = "audio too short"; /* every word has at least one phone, and every phone three states */
    if (*reason != NULL)
        goto fail;
    TRY(load_grammar(aligner, &grammar));
    TRY(decode(aligner, samples, count, &segments));
    TRY(fill_alignment(text, &grammar, &segments, count, alignment, reason));
fail:
    free(segments.list);
    grammar_free(&grammar);
    return result;
}

void alignment_free(struct alignment *alignment)
{
    free(alignment->words);
    *alignment = (struct alignment){0};
}
