/* Makes the demo's corpus from its sources. The seed and the texts decide, before anything is rendered, which documents
 * are held out and which passages are spoken by whom, and what was rendered is collected in that order, so the corpus
 * does not depend on the number of processes. Everything is written into a folder that appears whole or not at all. */
#include "data/demo/demo_corpus.h"

#include "core/log.h"
#include "core/path.h"
#include "core/rng.h"
#include "data/demo/demo_passages.h"
#include "data/demo/demo_render.h"
#include "data/demo/demo_sources.h"
#include "data/demo/demo_split.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VERSION = 3 };
enum { SPEECH_TRAIN, SPEECH_VALIDATION, TEXT_TRAIN, TEXT_VALIDATION, TEXT_FOR_BPE, FILES };
static const char *const file_names[FILES] = {"speech_train.jsonl", "speech_validation.jsonl", "text_train.jsonl",
                                              "text_validation.jsonl", "text_for_bpe.txt"};

/* Words per second of the synthetic voices (measured), for choosing how many passages fill the minutes asked for. */
static const double words_a_second = 3.15;
/* Slightly more than the share that is wanted, since what shares a sentence with another text is never held out. */
static const double held_out_clips = 0.11, held_out_passages = 0.035;
static const double held_out_renders = 0.09; /* share of the words that are rendered */

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
    struct demo_split *split; /* documents: the clips, then the passages */
    struct demo_corpus_totals *totals;
};

static bool clip_held_out(const struct corpus *corpus, int64_t clip)
{
    return demo_split_held_out(corpus->split, clip, held_out_clips);
}

static bool passage_held_out(const struct corpus *corpus, int64_t passage)
{
    return demo_split_held_out(corpus->split, corpus->clips.count + passage, held_out_passages);
}

/* ---- rows ---- */

static enum status print_row(FILE *stream, json_t *row)
{
    char *line = row ? jdoc_text(row, 0) : NULL;
    if (line)
        fputs(line, stream);
    free(line);
    json_decref(row);
    return line ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for a row, or its text is not UTF-8");
}

/* The sound is written into the folder that is being made, which adopts it once all are written. */
static enum status write_sound(const struct corpus *corpus, const char *name, const float *samples, int64_t count)
{
    char path[PATH_BYTES];
    enum status result = path_format(path, "%s/%s", atomic_directory_path(corpus->directory), name);
    return result == STATUS_OK ? wav_write(path, samples, count) : result;
}

static enum status add_clip(struct corpus *corpus, int64_t number)
{
    enum status result = STATUS_OK;
    const struct demo_clip *clip = &corpus->clips.list[number];
    bool held_out = clip_held_out(corpus, number);
    float *samples = NULL;
    int64_t count = 0;
    char name[PATH_BYTES];
    TRY(path_format(name, "real/%s.wav", clip->id));
    for (char *c = name + strlen("real/"); *c; c++)
        *c = *c == '/' ? '_' : *c;
    TRY(audio_read(clip->path, -1, &samples, &count));
    TRY(write_sound(corpus, name, samples, count));
    TRY(atomic_directory_adopt(corpus->directory, name));
    TRY(print_row(corpus->streams[held_out ? SPEECH_VALIDATION : SPEECH_TRAIN],
                  json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "id", clip->id, "audio", name, "text", clip->text,
                            "speaker", clip->speaker, "source", clip->source, "synthetic", 0)));
    if (!held_out)
        fprintf(corpus->streams[TEXT_FOR_BPE], "%s\n", clip->text);
    corpus->totals->clips[held_out]++;
    corpus->totals->real_minutes[held_out] += (double)count / AUDIO_RATE / 60;
fail:
    free(samples);
    return result;
}

static enum status add_clips(struct corpus *corpus)
{
    enum status result = STATUS_OK;
    struct progress progress;
    progress_start(&progress, "recordings", "clips", corpus->clips.count);
    for (int64_t i = 0; i < corpus->clips.count; i++) {
        TRY(add_clip(corpus, i));
        progress_update(&progress, i + 1, "");
    }
    progress_finish(&progress, corpus->clips.count, "");
fail:
    return result;
}

static enum status add_texts(struct corpus *corpus)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < corpus->passages.count; i++) {
        const struct demo_passage *passage = &corpus->passages.list[i];
        bool held_out = passage_held_out(corpus, i);
        char id[64];
        snprintf(id, sizeof id, "kjv/%s", passage->name);
        TRY(print_row(corpus->streams[held_out ? TEXT_VALIDATION : TEXT_TRAIN],
                      json_pack("{s:s, s:s, s:s}", "id", id, "text", passage->text, "source", "kjv")));
        if (!held_out)
            fprintf(corpus->streams[TEXT_FOR_BPE], "%s\n", passage->text);
        corpus->totals->passages[held_out]++;
        corpus->totals->words[held_out] += passage->words;
    }
fail:
    return result;
}

/* Collects everything that is written or said, and decides which of it may be held out. */
static enum status read_sources(struct corpus *corpus)
{
    enum status result = STATUS_OK;
    TRY(demo_prompts_read(&corpus->clips));
    TRY(demo_recordings_read(&corpus->clips));
    TRY(demo_book_read(&corpus->book));
    TRY(demo_passages_make(&corpus->book, &corpus->passages));
    TRY(demo_split_create(corpus->options->seed, &corpus->split));
    for (int64_t i = 0; i < corpus->clips.count; i++)
        TRY(demo_split_add(corpus->split, corpus->clips.list[i].text));
    for (int64_t i = 0; i < corpus->passages.count; i++)
        TRY(demo_split_add(corpus->split, corpus->passages.list[i].text));
    demo_split_finish(corpus->split);
fail:
    return result;
}

/* ---- synthetic speech ---- */

/* Chooses passages in a random order until each side has its share of the words; voices and emotions take turns. */
static enum status choose_renders(const struct corpus *corpus, struct demo_render **renders, int64_t *count)
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
        bool held_out = passage_held_out(corpus, order[i]),
             fits = passage->words >= PASSAGE_WORDS_MINIMUM && passage->words <= PASSAGE_WORDS_MAXIMUM;
        if (!fits || !passage->plain || words[held_out] >= limits[held_out])
            continue;
        words[held_out] += (double)passage->words;
        (*renders)[*count] =
            (struct demo_render){order[i], (enum synthetic_voice)(*count % SYNTHETIC_VOICES),
                                 (enum synthetic_emotion)(*count / SYNTHETIC_VOICES % SYNTHETIC_EMOTIONS)};
        (*count)++;
    }
    free(order);
    return STATUS_OK;
}

/* Adds the rows that were rendered to the manifests, in order. */
static enum status collect(struct corpus *corpus, const struct demo_render *renders, int64_t count,
                           const int64_t *samples)
{
    enum status result = STATUS_OK;
    char *line = NULL;
    for (int64_t i = 0; i < count; i++) {
        char path[PATH_BYTES], name[64];
        int64_t size;
        if (samples[i] == 0)
            continue;
        TRY(path_format(path, "%s/synthetic/%04lld.json", atomic_directory_path(corpus->directory), (long long)i));
        TRY(file_read(path, 1 << 20, (void **)&line, &size));
        TRY(remove_tree(path));
        bool held_out = passage_held_out(corpus, renders[i].passage);
        fputs(line, corpus->streams[held_out ? SPEECH_VALIDATION : SPEECH_TRAIN]);
        free(line);
        line = NULL;
        snprintf(name, sizeof name, "synthetic/%04lld.wav", (long long)i);
        TRY(atomic_directory_adopt(corpus->directory, name));
        corpus->totals->renders[held_out]++;
        corpus->totals->synthetic_minutes[held_out] += (double)samples[i] / AUDIO_RATE / 60;
    }
fail:
    free(line);
    return result;
}

static enum status add_synthetic(struct corpus *corpus)
{
    enum status result = STATUS_OK;
    struct demo_render *renders = NULL;
    int64_t *samples = NULL;
    int64_t count = 0;
    TRY(choose_renders(corpus, &renders, &count));
    samples = calloc((size_t)count + 1, sizeof *samples);
    if (!samples)
        FAIL(STATUS_INTERNAL, "no memory to render %lld passages", (long long)count);
    TRY(demo_render_all(atomic_directory_path(corpus->directory), &corpus->passages, renders, count,
                        corpus->options->workers, samples));
    TRY(collect(corpus, renders, count, samples));
fail:
    free(samples);
    free(renders);
    return result;
}

/* ---- the folder ---- */

static json_t *describe_options(const struct demo_corpus_options *options)
{
    return json_pack("{s:i, s:f, s:I}", "version", (int)VERSION, "synthetic_minutes", options->synthetic_minutes,
                     "seed", (json_int_t)options->seed);
}

/* Both sides' totals, training first. */
static json_t *describe_totals(const struct demo_corpus_totals *totals)
{
    return json_pack("{s:[I,I], s:[f,f], s:[I,I], s:[f,f], s:[I,I], s:[I,I]}", "clips", (json_int_t)totals->clips[0],
                     (json_int_t)totals->clips[1], "real_minutes", totals->real_minutes[0], totals->real_minutes[1],
                     "renders", (json_int_t)totals->renders[0], (json_int_t)totals->renders[1], "synthetic_minutes",
                     totals->synthetic_minutes[0], totals->synthetic_minutes[1], "passages",
                     (json_int_t)totals->passages[0], (json_int_t)totals->passages[1], "words",
                     (json_int_t)totals->words[0], (json_int_t)totals->words[1]);
}

static bool read_totals(json_t *json, struct demo_corpus_totals *totals)
{
    json_int_t integers[8];
    bool read =
        json_unpack(json, "{s:[I,I], s:[F,F], s:[I,I], s:[F,F], s:[I,I], s:[I,I]}", "clips", &integers[0], &integers[1],
                    "real_minutes", &totals->real_minutes[0], &totals->real_minutes[1], "renders", &integers[2],
                    &integers[3], "synthetic_minutes", &totals->synthetic_minutes[0], &totals->synthetic_minutes[1],
                    "passages", &integers[4], &integers[5], "words", &integers[6], &integers[7]) == 0;
    for (int side = 0; side < 2 && read; side++) {
        totals->clips[side] = integers[side];
        totals->renders[side] = integers[2 + side];
        totals->passages[side] = integers[4 + side];
        totals->words[side] = integers[6 + side];
    }
    return read;
}

/* Looks at what is already in the corpus's place: nothing or an empty folder; a corpus of ours, the wanted one or a
 * different one; or something else, which is left alone. */
static enum status look_at(const char *folder, const struct demo_corpus_options *options, bool *current,
                           struct demo_corpus_totals *totals)
{
    char path[PATH_BYTES];
    json_t *found = NULL, *wanted = NULL;
    *current = false;
    enum status fits = path_format(path, "%s/corpus.json", folder);
    if (fits != STATUS_OK)
        return fits;
    if (access(path, F_OK) != 0) {
        if (access(folder, F_OK) == 0 && rmdir(folder) != 0)
            return status_set(STATUS_USAGE, "%s: exists and is not a demo corpus; name another folder, or remove it",
                              folder);
        return STATUS_OK;
    }
    wanted = describe_options(options);
    *current = jdoc_read(path, &found) == STATUS_OK && json_equal(json_object_get(found, "options"), wanted) &&
               read_totals(json_object_get(found, "totals"), totals) && directory_verify(folder, true) == STATUS_OK;
    json_decref(found);
    json_decref(wanted);
    return STATUS_OK;
}

static enum status publish(struct corpus *corpus)
{
    enum status result = STATUS_OK;
    json_t *description = json_pack("{s:o, s:o}", "options", describe_options(corpus->options), "totals",
                                    describe_totals(corpus->totals));
    char *text = description ? jdoc_text(description, 2) : NULL;
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for corpus.json");
    for (int f = 0; f < FILES; f++) {
        if (fflush(corpus->streams[f]) != 0 || ferror(corpus->streams[f]))
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

enum status demo_corpus_make(const char *folder, const struct demo_corpus_options *options, bool *reused,
                             struct demo_corpus_totals *totals)
{
    static const char *const subfolders[] = {"real", "synthetic"};
    enum status result = STATUS_OK;
    struct corpus corpus = {.options = options, .totals = totals};
    TRY(look_at(folder, options, reused, totals));
    if (*reused)
        return STATUS_OK;
    *totals = (struct demo_corpus_totals){0};
    TRY(read_sources(&corpus)); /* before anything is written */
    TRY(atomic_directory_begin(folder, true, &corpus.directory));
    for (int i = 0; i < 2; i++) {
        char path[PATH_BYTES];
        TRY(path_format(path, "%s/%s", atomic_directory_path(corpus.directory), subfolders[i]));
        TRY(make_directories(path));
    }
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
    demo_split_destroy(corpus.split);
    demo_passages_free(&corpus.passages);
    demo_clips_free(&corpus.clips);
    demo_book_free(&corpus.book);
    return result;
}
