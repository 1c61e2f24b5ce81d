#include "data/demo_corpus.h"

#include "core/log.h"
#include "core/rng.h"
#include "data/demo_passages.h"
#include "data/demo_sources.h"
#include "data/synthesize.h"
#include "io/atomic_file.h"
#include "io/audio.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VERSION = 1, SPEECH_TRAIN = 0, SPEECH_VALIDATION, TEXT_TRAIN, TEXT_VALIDATION, TEXT_FOR_BPE, FILES };
static const char *const file_names[FILES] = {"speech_train.jsonl", "speech_validation.jsonl", "text_train.jsonl",
                                              "text_validation.jsonl", "text_for_bpe.txt"};

/* Words a second of the synthetic voices, for choosing how many passages fill the minutes asked for. */
static const double words_a_second = 3.15;
static const double held_out_passages = 0.03, held_out_clips = 0.09, held_out_renders = 0.09;

static const char sources[] =
    "# Where this corpus comes from\n\n"
    "- `real/`, rows with source \"asterisk\": the prompts of Debian's asterisk-core-sounds-en-g722, recorded by "
    "Allison\n"
    "  Smith for Digium; CC-BY-SA-3.0. Shards made of them are derived works under the same licence.\n"
    "- `real/`, rows with source \"pocketsphinx\": Debian's pocketsphinx-testdata; BSD.\n"
    "- `synthetic/` and the texts: the King James Bible of Debian's bible-kjv-text, public domain; spoken by flite's\n"
    "  voices slt, rms and awb, labelled synthetic.\n";

struct corpus {
    const struct demo_corpus_options *options;
    struct atomic_directory *directory;
    FILE *streams[FILES];
    char *texts[FILES];
    size_t sizes[FILES];
    struct demo_clips clips;
    struct demo_book book;
    struct demo_passages passages;
};

/* ---- rows ---- */

static enum status print_row(FILE *stream, json_t *row)
{
    char *line = row ? json_text(row, 0) : NULL;
    if (line)
        fputs(line, stream);
    free(line);
    json_decref(row);
    return line ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for a row, or its text is not UTF-8");
}

/* "real/0012.wav" is written into the folder being made; adopted there once all are written. */
static enum status write_sound(const struct corpus *corpus, const char *name, const float *samples, int64_t count)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", atomic_directory_path(corpus->directory), name);
    return audio_write(path, samples, count);
}

static enum status add_clip(struct corpus *corpus, const struct demo_clip *clip, int64_t number)
{
    enum status result = STATUS_OK;
    float *samples = NULL;
    int64_t count = 0;
    char name[64];
    double share = text_share(clip->text, corpus->options->seed);
    bool held_out = share < held_out_clips;
    snprintf(name, sizeof name, "real/%04lld.wav", (long long)number);
    TRY(audio_read(clip->path, -1, &samples, &count));
    TRY(write_sound(corpus, name, samples, count));
    TRY(atomic_directory_adopt(corpus->directory, name));
    TRY(print_row(corpus->streams[held_out ? SPEECH_VALIDATION : SPEECH_TRAIN],
                  json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "id", clip->id, "audio", name, "text", clip->text,
                            "speaker", clip->speaker, "source", clip->source, "synthetic", 0)));
    if (!held_out)
        fprintf(corpus->streams[TEXT_FOR_BPE], "%s\n", clip->text);
fail:
    free(samples);
    return result;
}

static enum status add_clips(struct corpus *corpus)
{
    enum status result = STATUS_OK;
    struct progress progress;
    TRY(demo_prompts_read(&corpus->clips));
    TRY(demo_recordings_read(&corpus->clips));
    progress_start(&progress, "recordings", "clips", corpus->clips.count);
    for (int64_t i = 0; i < corpus->clips.count; i++) {
        TRY(add_clip(corpus, &corpus->clips.list[i], i));
        progress_update(&progress, i + 1, "");
    }
    progress_finish(&progress, corpus->clips.count, "");
fail:
    return result;
}

static enum status add_texts(struct corpus *corpus)
{
    enum status result = STATUS_OK;
    TRY(demo_book_read(&corpus->book));
    TRY(demo_passages_make(&corpus->book, corpus->options->seed, held_out_passages, &corpus->passages));
    for (int64_t i = 0; i < corpus->passages.count; i++) {
        const struct demo_passage *passage = &corpus->passages.list[i];
        char id[32];
        snprintf(id, sizeof id, "passage/%05lld", (long long)i);
        TRY(print_row(corpus->streams[passage->held_out ? TEXT_VALIDATION : TEXT_TRAIN],
                      json_pack("{s:s, s:s}", "id", id, "text", passage->text)));
        if (!passage->held_out)
            fprintf(corpus->streams[TEXT_FOR_BPE], "%s\n", passage->text);
    }
fail:
    return result;
}

/* ---- synthetic speech ---- */

struct render {
    int64_t passage;
    enum synthetic_voice voice;
    enum synthetic_emotion emotion;
};

/* Passages in a random order until each side has its share of the words; voices and emotions by turns. */
static enum status choose_renders(const struct corpus *corpus, struct render **renders, int64_t *count)
{
    const struct demo_passages *passages = &corpus->passages;
    double wanted = corpus->options->synthetic_minutes * 60 * words_a_second;
    double limits[2] = {wanted * (1 - held_out_renders), wanted * held_out_renders}, words[2] = {0, 0};
    struct rng rng = rng_make(corpus->options->seed, RNG_CORPUS, 1, 0);
    int64_t *order = calloc((size_t)passages->count + 1, sizeof *order);
    *renders = calloc((size_t)passages->count + 1, sizeof **renders);
    *count = 0;
    if (!order || !*renders) {
        free(order);
        return status_set(STATUS_INTERNAL, "no memory to choose passages");
    }
    rng_permutation(&rng, order, passages->count);
    for (int64_t i = 0; i < passages->count; i++) {
        const struct demo_passage *passage = &passages->list[order[i]];
        if (passage->words < 40 || passage->words > 80 || words[passage->held_out] >= limits[passage->held_out])
            continue;
        words[passage->held_out] += (double)passage->words;
        (*renders)[*count] = (struct render){order[i], (enum synthetic_voice)(*count % SYNTHETIC_VOICES),
                                             (enum synthetic_emotion)(*count / SYNTHETIC_VOICES % SYNTHETIC_EMOTIONS)};
        (*count)++;
    }
    free(order);
    return STATUS_OK;
}

static json_t *describe_words(const char *text, const struct synthesis *synthesis)
{
    json_t *words = json_array();
    for (int64_t i = 0; i < synthesis->word_count; i++) {
        const struct aligned_word *word = &synthesis->words[i];
        json_array_append_new(words, json_pack("[s%, f, f]", text + word->text_begin,
                                               (size_t)(word->text_end - word->text_begin),
                                               (double)word->start / AUDIO_RATE, (double)word->end / AUDIO_RATE));
    }
    return words;
}

/* Writes synthetic/N.wav and its row, synthetic/N.json. A passage that the voice reads as other words has no row. */
static enum status render(const struct corpus *corpus, const struct render *what, int64_t number)
{
    enum status result = STATUS_OK;
    struct synthesis synthesis = {0};
    const char *text = corpus->passages.list[what->passage].text, *voice = synthetic_voice_names[what->voice];
    char name[64], path[4200], id[64], speaker[32], *line = NULL;
    json_t *row = NULL;
    if (synthesize(text, what->voice, what->emotion, &synthesis) == STATUS_USAGE)
        return STATUS_OK;
    snprintf(name, sizeof name, "synthetic/%04lld.wav", (long long)number);
    snprintf(id, sizeof id, "synthetic/%04lld", (long long)number);
    snprintf(speaker, sizeof speaker, "flite-%s", voice);
    TRY(write_sound(corpus, name, synthesis.samples, synthesis.count));
    row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "id", id, "audio", name, "text", text, "speaker",
                    speaker, "source", "flite", "emotion", synthetic_emotion_names[what->emotion], "synthetic", 1,
                    "words", describe_words(text, &synthesis));
    line = row ? json_text(row, 0) : NULL;
    if (!line)
        FAIL(STATUS_INTERNAL, "no memory for a row");
    snprintf(path, sizeof path, "%s/%s.json", atomic_directory_path(corpus->directory), id);
    TRY(atomic_write(path, line, (int64_t)strlen(line)));
fail:
    synthesis_free(&synthesis);
    json_decref(row);
    free(line);
    return result;
}

/* flite is not for threads: worker w of W is a process that renders every W-th passage. */
static enum status render_all(const struct corpus *corpus, const struct render *renders, int64_t count)
{
    int64_t workers = corpus->options->workers > 0 ? corpus->options->workers : 1;
    pid_t children[64];
    workers = workers > 64 ? 64 : workers;
    fflush(NULL);
    for (int64_t w = 0; w < workers; w++) {
        children[w] = fork();
        if (children[w] < 0)
            return status_set(STATUS_INTERNAL, "cannot start a process to render speech");
        if (children[w] == 0) {
            enum status result = STATUS_OK;
            for (int64_t i = w; i < count && result == STATUS_OK; i += workers)
                result = render(corpus, &renders[i], i);
            if (result != STATUS_OK)
                log_error("%s", status_text());
            _exit((int)result);
        }
    }
    enum status worst = STATUS_OK;
    for (int64_t w = 0; w < workers; w++) {
        int status = 0;
        if (waitpid(children[w], &status, 0) < 0 || !WIFEXITED(status))
            worst = STATUS_INTERNAL;
        else if (WEXITSTATUS(status) > (int)worst)
            worst = (enum status)WEXITSTATUS(status);
    }
    return worst == STATUS_OK ? worst : status_set(worst, "a process that renders speech failed");
}

/* Takes the rows that were rendered into the manifests, in order. */
static enum status collect(struct corpus *corpus, const struct render *renders, int64_t count)
{
    enum status result = STATUS_OK;
    char *line = NULL;
    for (int64_t i = 0; i < count; i++) {
        char path[4200], name[64];
        struct stat information;
        int64_t size;
        snprintf(path, sizeof path, "%s/synthetic/%04lld.json", atomic_directory_path(corpus->directory), (long long)i);
        if (stat(path, &information) != 0)
            continue;
        TRY(file_read(path, 1 << 20, (void **)&line, &size));
        TRY(remove_tree(path));
        bool held_out = corpus->passages.list[renders[i].passage].held_out;
        fputs(line, corpus->streams[held_out ? SPEECH_VALIDATION : SPEECH_TRAIN]);
        free(line);
        line = NULL;
        snprintf(name, sizeof name, "synthetic/%04lld.wav", (long long)i);
        TRY(atomic_directory_adopt(corpus->directory, name));
    }
fail:
    free(line);
    return result;
}

static enum status add_synthetic(struct corpus *corpus)
{
    enum status result = STATUS_OK;
    struct render *renders = NULL;
    int64_t count = 0;
    TRY(choose_renders(corpus, &renders, &count));
    log_info("rendering %lld passages", (long long)count);
    TRY(render_all(corpus, renders, count));
    TRY(collect(corpus, renders, count));
fail:
    free(renders);
    return result;
}

/* ---- the folder ---- */

static json_t *describe_options(const struct demo_corpus_options *options)
{
    return json_pack("{s:i, s:f, s:I}", "version", (int)VERSION, "synthetic_minutes", options->synthetic_minutes,
                     "seed", (json_int_t)options->seed);
}

static bool is_current(const char *folder, const struct demo_corpus_options *options)
{
    char path[4096];
    json_t *found = NULL, *wanted = describe_options(options);
    snprintf(path, sizeof path, "%s/corpus.json", folder);
    bool current = access(path, R_OK) == 0 && json_read(path, &found) == STATUS_OK && json_equal(found, wanted) &&
                   directory_verify(folder, true) == STATUS_OK;
    json_decref(found);
    json_decref(wanted);
    return current;
}

/* Only a corpus is replaced: a folder of the user's own, named by mistake, is not. */
static enum status check_replaceable(const char *folder)
{
    char path[4096];
    if (access(folder, F_OK) != 0)
        return STATUS_OK;
    snprintf(path, sizeof path, "%s/corpus.json", folder);
    if (access(path, F_OK) != 0)
        return status_set(STATUS_USAGE,
                          "%s exists and is no corpus of this program (no corpus.json): name another folder", folder);
    return STATUS_OK;
}

static enum status publish(struct corpus *corpus)
{
    enum status result = STATUS_OK;
    json_t *description = describe_options(corpus->options);
    char *text = json_text(description, 2);
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for corpus.json");
    for (int f = 0; f < FILES; f++) {
        if (fflush(corpus->streams[f]) != 0)
            FAIL(STATUS_INTERNAL, "no memory for %s", file_names[f]);
        TRY(atomic_directory_add(corpus->directory, file_names[f], corpus->texts[f], (int64_t)corpus->sizes[f]));
    }
    TRY(atomic_directory_add(corpus->directory, "SOURCES.md", sources, (int64_t)strlen(sources)));
    TRY(atomic_directory_add(corpus->directory, "corpus.json", text, (int64_t)strlen(text)));
    struct atomic_directory *directory = corpus->directory;
    corpus->directory = NULL;
    TRY(atomic_directory_commit(directory));
fail:
    free(text);
    json_decref(description);
    return result;
}

enum status demo_corpus_make(const char *folder, const struct demo_corpus_options *options, bool *reused)
{
    enum status result = STATUS_OK;
    struct corpus corpus = {.options = options};
    char path[4096];
    *reused = is_current(folder, options);
    if (*reused)
        return STATUS_OK;
    TRY(check_replaceable(folder));
    TRY(atomic_directory_begin(folder, true, &corpus.directory));
    snprintf(path, sizeof path, "%s/real", atomic_directory_path(corpus.directory));
    TRY(make_directories(path));
    snprintf(path, sizeof path, "%s/synthetic", atomic_directory_path(corpus.directory));
    TRY(make_directories(path));
    for (int f = 0; f < FILES; f++) {
        corpus.streams[f] = open_memstream(&corpus.texts[f], &corpus.sizes[f]);
        if (!corpus.streams[f])
            FAIL(STATUS_INTERNAL, "no memory for the manifests");
    }
    TRY(add_clips(&corpus));
    TRY(add_texts(&corpus));
    TRY(add_synthetic(&corpus));
    TRY(publish(&corpus));
fail:
    atomic_directory_abandon(corpus.directory);
    for (int f = 0; f < FILES; f++) {
        if (corpus.streams[f])
            fclose(corpus.streams[f]);
        free(corpus.texts[f]);
    }
    demo_passages_free(&corpus.passages);
    demo_clips_free(&corpus.clips);
    demo_book_free(&corpus.book);
    return result;
}
