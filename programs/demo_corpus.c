/* demo_corpus: real and synthetic speech with texts, from what Debian ships (docs/demo.md). */
#include "data/demo/demo_corpus.h"
#include "data/demo/demo_stories.h"

#include "core/log.h"
#include "core/path.h"
#include "core/thread_pool.h"
#include "programs/common/program.h"

#include <stdlib.h>

static const struct program_option options[] = {
    {"--output", "DIR", "folder of the corpus; an existing one that verifies is reused", false},
    {"--synthetic-minutes", "N", "minutes of speech by flite (default 40)", false},
    {"--seed", "N", "seed of splits and choices (default 1)", false},
    {"--stories", "FILE", "instead, from a corpus that is there: a .tar in StoryCloze's layout; needs --dataset",
     false},
    {"--dataset", "DIR", "of --stories: what prepare made of the corpus's speech_validation.jsonl", false},
    {"--wrong", "N", "of --stories: wrong endings per right one, at most (default 5)", false},
    {"--same-speaker", NULL, "of --stories: wrong endings by the speaker of the right one alone", false},
    {"--swapped", NULL, "of --stories: right and wrong endings change places", false},
};

static const struct program program = {
    .name = "demo_corpus",
    .usage = "--output DIR [--synthetic-minutes N] [--seed N] | --output DIR --stories FILE --dataset DIR [--wrong N] "
             "[--same-speaker] [--swapped]",
    .summary =
        "Makes the demo's corpus: recorded prompts and test sentences, passages of the Bible spoken by flite with "
        "its word times, and texts, split so that no sentence is on both sides. From its held-out speech it also makes "
        "stories, of which `evaluate storycloze` asks whether a model prefers an utterance's own second half.",
    .example = "demo_corpus --output out/demo/corpus",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

static enum status make_stories(const struct program_arguments *arguments, const char *corpus, const char *path)
{
    enum status result = STATUS_OK;
    char manifest[PATH_BYTES];
    struct demo_stories_totals totals;
    struct demo_stories_options how = {.manifest = manifest,
                                       .dataset = program_value(arguments, "--dataset", NULL),
                                       .same_speaker = program_flag(arguments, "--same-speaker"),
                                       .swapped = program_flag(arguments, "--swapped")};
    if (!how.dataset)
        FAIL(STATUS_USAGE, "--dataset is missing: name what prepare made of %s/speech_validation.jsonl", corpus);
    TRY(program_integer(arguments, "--wrong", 1, DEMO_STORIES_MOST_WRONG, 5, &how.wrong));
    TRY(path_format(manifest, "%s/speech_validation.jsonl", corpus));
    TRY(demo_stories_make(path, &how, &totals));
    log_info("%s made: %lld stories of %lld halves of %lld utterances", path, (long long)totals.stories,
             (long long)totals.windows, (long long)totals.utterances);
fail:
    return result;
}

static enum status run(const struct program_arguments *arguments)
{
    enum status result = STATUS_OK;
    const char *folder = program_value(arguments, "--output", NULL);
    int64_t minutes = 0, seed = 0;
    bool reused = false;
    struct demo_corpus_totals totals;
    if (!folder)
        FAIL(STATUS_USAGE, "--output is missing: name the folder of the corpus");
    if (program_value(arguments, "--stories", NULL))
        return make_stories(arguments, folder, program_value(arguments, "--stories", NULL));
    TRY(program_integer(arguments, "--synthetic-minutes", 0, 100000, 40, &minutes));
    TRY(program_integer(arguments, "--seed", 0, INT64_MAX, 1, &seed));
    struct demo_corpus_options how = {
        .synthetic_minutes = (double)minutes, .seed = (uint64_t)seed, .workers = thread_pool_default_threads()};
    TRY(demo_corpus_make(folder, &how, &reused, &totals));
    double held_out = totals.real_minutes[1] + totals.synthetic_minutes[1];
    double all = held_out + totals.real_minutes[0] + totals.synthetic_minutes[0];
    log_info("%s %s: %.1f minutes of real and %.1f of synthetic speech, %.1f %% held out; %lld words of text, %.1f %% "
             "held out",
             folder, reused ? "verified and reused" : "made", totals.real_minutes[0] + totals.real_minutes[1],
             totals.synthetic_minutes[0] + totals.synthetic_minutes[1], 100 * held_out / all,
             (long long)(totals.words[0] + totals.words[1]),
             100 * (double)totals.words[1] / (double)(totals.words[0] + totals.words[1]));
fail:
    return result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
