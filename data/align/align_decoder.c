/* What the aligner does with pocketsphinx. A decoder carries much from one utterance to the next: the Gaussians that were
 * best in the last frame (they break ties, and stay where a frame has no energy), means, words that were added. So each
 * utterance gets a decoder of its own, which costs about ten milliseconds as long as it does not read the
 * dictionary; the words of the text are copied from another one, which has read it and never decodes. */
#include "data/align/align_internal.h"

#include "core/array.h"
#include "core/log.h"
#include "core/path.h"
#include "data/align/pronounce.h"
#include "io/atomic_file.h"

#include <math.h>
#include <pthread.h>
#include <sphinxbase/ckd_alloc.h>
#include <sphinxbase/err.h>
#include <sphinxbase/fsg_model.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL_DIRECTORY "/usr/share/pocketsphinx/model/en-us"

/* Raise it when the same audio and text would be aligned otherwise. */
#define ALIGNER_VERSION "aligner 2"

enum {
    MAXIMUM_PHONES = 512, /* bytes of a pronunciation */
    MODEL_LIMIT = 1 << 28,
};

/* pocketsphinx's scores are logarithms to the base 1.0001, divided by 1024; ours are nats. */
static const double nats_per_score = 0.10239488;

/* ---- decoders ---- */

static pthread_once_t setup_once = PTHREAD_ONCE_INIT;
static _Thread_local char last_message[256]; /* pocketsphinx's last message, for our own errors */
/* True while this thread is inside pocketsphinx, which ends the program when it gets no memory. */
static _Thread_local bool inside;

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

/* pocketsphinx calls exit() when memory runs out; this ends the program as our own shortage of memory does. */
static void end_as_we_do(void)
{
    if (!inside)
        return;
    log_error("alignment: pocketsphinx gave up, most likely out of memory (fewer prepare.threads need less)%s%s",
              last_message[0] ? ": " : "", last_message);
    _exit(STATUS_INTERNAL);
}

static void set_up(void)
{
    err_set_callback(keep_message, NULL);
    atexit(end_as_we_do);
}

/* Silence must not be removed (times would shift), nor noise (removing it blurs the scores of short clips). */
static ps_decoder_t *create_decoder(const char *dictionary)
{
    pthread_once(&setup_once, set_up);
    inside = true;
    err_set_logfp(NULL); /* this thread's; its table of options is printed without the callback */
    cmd_ln_t *config =
        cmd_ln_init(NULL, ps_args(), TRUE, "-hmm", MODEL_DIRECTORY "/en-us", "-remove_silence", "no", "-remove_noise",
                    "no", "-fsgusealtpron", "yes", "-fsgusefiller", "yes", "-bestpath", "no", "-beam", "1e-100",
                    "-wbeam", "1e-80", "-pbeam", "1e-100", dictionary ? "-dict" : NULL, dictionary, NULL);
    ps_decoder_t *decoder = config ? ps_init(config) : NULL; /* which keeps the configuration */
    if (config)
        cmd_ln_free_r(config);
    inside = false;
    return decoder;
}

enum status aligner_open(struct sphinx_aligner **aligner)
{
    static const char *const files[] = {MODEL_DIRECTORY "/en-us/mdef", MODEL_DIRECTORY "/cmudict-en-us.dict"};
    *aligner = NULL;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (access(files[i], R_OK) != 0) /* without this check pocketsphinx would end the program */
            return status_set(STATUS_USAGE,
                              "%s: missing: alignment needs Debian's package pocketsphinx-en-us "
                              "(scripts/install-dependencies installs it)",
                              files[i]);
    struct sphinx_aligner *made = calloc(1, sizeof *made);
    if (made == NULL)
        return status_set(STATUS_INTERNAL, "out of memory for an aligner");
    made->dictionary = create_decoder(files[1]);
    if (made->dictionary == NULL) {
        free(made);
        return status_set(STATUS_INTERNAL, "pocketsphinx cannot start with the model in %s: %s", MODEL_DIRECTORY,
                          last_message);
    }
    *aligner = made;
    return STATUS_OK;
}

enum status sphinx_fingerprint(struct sha256 *fingerprint)
{
    static const char *const names[] = {"en-us/feat.params", "en-us/mdef",        "en-us/means",
                                        "en-us/noisedict",   "en-us/sendump",     "en-us/transition_matrices",
                                        "en-us/variances",   "cmudict-en-us.dict"};
    struct sha256_stream *stream = sha256_start();
    enum status result = STATUS_OK;
    sha256_add(stream, ALIGNER_VERSION, sizeof ALIGNER_VERSION);
    for (size_t i = 0; i < sizeof names / sizeof *names && result == STATUS_OK; i++) {
        char path[PATH_BYTES];
        void *data = NULL;
        int64_t size = 0;
        result = path_format(path, "%s/%s", MODEL_DIRECTORY, names[i]);
        if (result == STATUS_OK)
            result = file_read(path, MODEL_LIMIT, &data, &size);
        if (result == STATUS_OK)
            sha256_add(stream, data, (size_t)size);
        free(data);
    }
    *fingerprint = sha256_finish(stream);
    return result == STATUS_OK ? STATUS_OK
                               : status_prefix(result, "alignment needs Debian's package pocketsphinx-en-us");
}

void aligner_close(struct sphinx_aligner *aligner)
{
    aligner_end(aligner);
    ps_free(aligner->dictionary);
    free(aligner);
}

enum status aligner_begin(struct sphinx_aligner *aligner)
{
    aligner_end(aligner);
    aligner->decoder = create_decoder(NULL);
    if (aligner->decoder == NULL)
        return status_set(STATUS_INTERNAL, "pocketsphinx cannot start with the model in %s: %s", MODEL_DIRECTORY,
                          last_message);
    return STATUS_OK;
}

void aligner_end(struct sphinx_aligner *aligner)
{
    if (aligner->decoder != NULL)
        ps_free(aligner->decoder);
    aligner->decoder = NULL;
}

/* ---- words ---- */

/* The first pronunciation in the dictionary. */
static bool look_up(struct sphinx_aligner *aligner, const char *word, char *phones, size_t size)
{
    char *known = ps_lookup_word(aligner->dictionary, word);
    bool found = known != NULL && strlen(known) < size;
    if (found)
        memcpy(phones, known, strlen(known) + 1);
    if (known != NULL)
        ckd_free(known);
    return found;
}

/* Copies "the", "the(2)", "the(3)" ... from the dictionary. */
static bool copy_pronunciations(struct sphinx_aligner *aligner, const char *word)
{
    char name[SPOKEN_WORD_BYTES + 16], phones[MAXIMUM_PHONES];
    snprintf(name, sizeof name, "%s", word);
    int number = 1;
    for (; look_up(aligner, name, phones, sizeof phones); snprintf(name, sizeof name, "%s(%d)", word, ++number))
        if (ps_add_word(aligner->decoder, name, phones, FALSE) < 0)
            return number > 1;
    return number > 1;
}

static bool know_word(struct sphinx_aligner *aligner, const char *word)
{
    char phones[MAXIMUM_PHONES];
    char *known = ps_lookup_word(aligner->decoder, word);
    if (known != NULL) {
        ckd_free(known);
        return true;
    }
    if (copy_pronunciations(aligner, word))
        return true;
    size_t length = strlen(word);
    bool genitive = length > 2 && strcmp(word + length - 2, "'s") == 0;
    char base[SPOKEN_WORD_BYTES];
    memcpy(base, word, length + 1);
    if (genitive)
        base[length - 2] = '\0';
    bool pronounced = genitive && look_up(aligner, base, phones, sizeof phones);
    if (!pronounced && !pronounce(base, phones, sizeof phones))
        return false;
    if (genitive && !pronounce_genitive(phones, sizeof phones))
        return false;
    return ps_add_word(aligner->decoder, word, phones, FALSE) >= 0;
}

bool aligner_know_word(struct sphinx_aligner *aligner, const char *word)
{
    inside = true;
    bool known = know_word(aligner, word);
    inside = false;
    return known;
}

/* ---- grammar ---- */

static enum status load_grammar(struct sphinx_aligner *aligner, const struct grammar *grammar)
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

enum status aligner_load_grammar(struct sphinx_aligner *aligner, const struct grammar *grammar)
{
    inside = true;
    enum status result = load_grammar(aligner, grammar);
    inside = false;
    return result;
}

/* ---- decoding ---- */

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

static enum status decode(struct sphinx_aligner *aligner, const float *samples, int64_t count,
                          struct segments *segments)
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

enum status aligner_decode(struct sphinx_aligner *aligner, const float *samples, int64_t count,
                           struct segments *segments)
{
    inside = true;
    enum status result = decode(aligner, samples, count, segments);
    inside = false;
    return result;
}
