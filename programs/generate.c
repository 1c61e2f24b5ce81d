/* generate: continues prompts of text and speech (docs/generate.md). Prompts are read and encoded first, those that cannot be
 * used are set aside with their reason, the others are decoded together, and each result is delivered when it and those
 * before it are whole. */
#include "core/log.h"
#include "core/path.h"
#include "core/utf8.h"
#include "generate/describe.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/text_file.h"
#include "io/wav.h"
#include "package/model.h"
#include "programs/common/program.h"
#include "programs/model/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_ERRORS = 10, SHOWN_PROMPT = 400 };
static const int64_t longest_text = (int64_t)64 << 20;

static const struct program_option options[] = {
    {"--model", "RUN_OR_CHECKPOINT", "a run's folder (its newest checkpoint) or a checkpoint", false},
    {"--prompt", "STRING", "the whole prompt, its tags and units spelled out: [Text]the cat[Speech][Hu12]", false},
    {"--text", "TEXT", "a piece of the prompt; - reads it from standard input", true},
    {"--speech", "FILE", "a piece of the prompt: a sound file of any sample rate", true},
    {"--units", "STRING", "a piece of the prompt: units such as [St3][Pi9][Hu12]", true},
    {"--prompts", "FILE|-", "many prompts instead: one JSON object per line, from a file or standard input", false},
    {"--out", "DIR", "folder for the wav files and samples.json (default: none, print only)", false},
    {"--output", "text|speech|any", "what to continue in (default any)", false},
    {"--speaker", "NAME",
     "voice of the speech, by its name or its number from 0 on (default: 2, where the vocoder has it)", false},
    {"--style", "NAME", "style of the speech, likewise (default: 8, where the vocoder has styles)", false},
    {"--json", NULL, "print one JSON object per prompt, and nothing else, on standard output", false},
    {"--samples", "N", "number of continuations (default 1)", false},
    {"--max-new-tokens", "N", "longest continuation, in tokens (default 200)", false},
    {"--min-new-tokens", "N", "shortest continuation: the end is not drawn before (default 0)", false},
    {"--batch", "N", "continuations computed together (default 16, fewer where their memory would be large)", false},
    {"--prefill-tokens", "N", "tokens of the prompt computed at a time (default 0: as many as suit the device)", false},
    {"--temperature", "X", "0 means greedy (default 0.9)", false},
    {"--top-k", "N", "0 means all (default 50)", false},
    {"--top-p", "X", "1 means all (default 0.95)", false},
    {"--seed", "N", "seed of the sampling (default 1)", false},
    MACHINE_OPTION,
};

static const struct program program = {
    .name = "generate",
    .usage = "--model RUN_OR_CHECKPOINT [--text T] [--speech FILE] [--units S] ... | --prompts FILE.jsonl "
             "--output text|speech|any [--out DIR] [--json] [--device D]",
    .summary = "Continues a prompt of text and speech pieces, taken in the order given, or every prompt of a file, in "
               "text, in speech or in what the model chooses.",
    .example = "generate --model out/demo/run --text \"the king said\" --output speech --out out/samples",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

/* ---- options ---- */

static enum status read_number(const struct program_arguments *arguments, const char *option, double fallback,
                               double *value)
{
    const char *text = program_value(arguments, option, NULL);
    char *end;
    *value = fallback;
    if (!text)
        return STATUS_OK;
    *value = strtod(text, &end);
    if (end == text || *end)
        return status_set(STATUS_USAGE, "%s: expected a number, found \"%s\"", option, text);
    return STATUS_OK;
}

static enum status read_settings(const struct program_arguments *arguments, struct prompt_settings *settings)
{
    enum status result = STATUS_OK;
    const char *output = program_value(arguments, "--output", "any");
    int64_t seed = 0;
    if (!output_modality_parse(output, &settings->output))
        FAIL(STATUS_USAGE, "--output: expected text, speech or any, found \"%s\"", output);
    TRY(program_integer(arguments, "--samples", 1, GENERATION_MOST_SAMPLES, 1, &settings->samples));
    TRY(program_integer(arguments, "--max-new-tokens", 1, GENERATION_MOST_TOKENS, 200, &settings->max_new_tokens));
    TRY(program_integer(arguments, "--min-new-tokens", 0, GENERATION_MOST_TOKENS, 0, &settings->min_new_tokens));
    if (settings->min_new_tokens > settings->max_new_tokens)
        FAIL(STATUS_USAGE, "--min-new-tokens is %lld, --max-new-tokens %lld: raise the latter",
             (long long)settings->min_new_tokens, (long long)settings->max_new_tokens);
    TRY(program_integer(arguments, "--seed", 0, INT64_MAX, 1, &seed));
    settings->seed = (uint64_t)seed;
fail:
    return result;
}

static enum status read_batch(const struct program_arguments *arguments, struct generation_batch *batch)
{
    enum status result = STATUS_OK;
    TRY(program_integer(arguments, "--batch", 1, GENERATION_MOST_ROWS, 0, &batch->rows));
    TRY(program_integer(arguments, "--prefill-tokens", 0, 1 << 20, 0, &batch->prefill_tokens));
    TRY(program_integer(arguments, "--top-k", 0, 1 << 24, 50, &batch->sampling.top_k));
    TRY(read_number(arguments, "--temperature", 0.9, &batch->sampling.temperature));
    TRY(read_number(arguments, "--top-p", 0.95, &batch->sampling.top_p));
    TRY(sampling_check(&batch->sampling));
fail:
    return result;
}

/* ---- prompts ---- */

/* --text -: without the line's end that a pipe leaves, because blanks at the ends of a piece are nothing. */
static enum status read_standard_input(char **text)
{
    enum status result = STATUS_OK;
    int64_t size = 0;
    if (*text)
        FAIL(STATUS_USAGE, "--text - is given twice: standard input can be read only once");
    TRY(text_stream_read(stdin, "standard input", longest_text, text, &size));
    for (int64_t at = 0, step; at < size; at += step) {
        step = (int64_t)utf8_character(*text + at, (size_t)(size - at));
        if (step == 0 || (*text)[at] == 0)
            FAIL(STATUS_CORRUPT, "standard input: byte %lld is not UTF-8 text", (long long)at + 1);
    }
    if (piece_is_blank(&(struct piece){PIECE_TEXT, *text}))
        FAIL(STATUS_USAGE, "standard input has no text");
fail:
    return result;
}

/* The pieces of the command line as the one prompt that it holds. */
static enum status read_pieces(const struct program_arguments *arguments, const struct prompt_settings *settings,
                               char **standard_input, struct prompt_file *file)
{
    enum status result = STATUS_OK;
    file->lines = calloc(1, sizeof *file->lines);
    struct piece *pieces = calloc((size_t)arguments->count + 1, sizeof *pieces);
    char *id = strdup("prompt");
    if (!file->lines || !pieces || !id) {
        free(pieces);
        free(id);
        return status_set(STATUS_INTERNAL, "no memory for the prompt");
    }
    file->count = 1;
    struct prompt_line *line = &file->lines[0];
    *line = (struct prompt_line){.id = id, .pieces = pieces, .settings = *settings};
    for (int64_t i = 0; i < arguments->count; i++) {
        const struct program_argument *item = &arguments->items[i];
        struct piece *piece = &pieces[line->piece_count];
        *piece = (struct piece){PIECE_TEXT, item->value};
        if (!item->option)
            continue;
        if (!strcmp(item->option, "--speech"))
            piece->kind = PIECE_AUDIO;
        else if (!strcmp(item->option, "--units"))
            piece->kind = PIECE_UNITS;
        else if (!strcmp(item->option, "--prompt"))
            piece->kind = PIECE_STRING;
        else if (strcmp(item->option, "--text") != 0)
            continue;
        else if (!strcmp(item->value, "-")) {
            TRY(read_standard_input(standard_input));
            piece->content = *standard_input;
        }
        line->piece_count++;
    }
fail:
    return result;
}

static enum status read_prompts(const struct program_arguments *arguments, const struct prompt_settings *settings,
                                char **standard_input, struct prompt_file *file)
{
    const char *path = program_value(arguments, "--prompts", NULL);
    if (!path)
        return read_pieces(arguments, settings, standard_input, file);
    static const char *const pieces[] = {"--prompt", "--text", "--speech", "--units"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        if (program_value(arguments, pieces[i], NULL))
            return status_set(STATUS_USAGE, "--prompts and %s exclude each other", pieces[i]);
    return prompt_file_read(path, settings, file);
}

/* ---- the work ---- */

struct work {
    const char *prompts, *folder; /* NULL: none */
    bool json;
    struct prompt_file file;
    struct generation_batch batch;
    struct components *components;
    struct llama *model;
    struct thread_pool *pool;
    char *checkpoint;

    /* Of the prompts that can be used, packed: their lines, their ids, what is asked of the model. */
    int64_t *lines, count;
    struct prompt *encoded;
    struct generation_request *requests;

    json_t *results; /* [file.count] */
    int64_t delivered, failed;
};

/* One prompt as ids, if it can be used. */
static enum status encode(struct work *work, int64_t index)
{
    enum status result = STATUS_OK;
    const struct prompt_line *line = &work->file.lines[index];
    const struct prompt_settings *settings = &line->settings;
    struct prompt *prompt = &work->encoded[work->count];
    TRY(prompt_create(work->components, line->pieces, line->piece_count, settings->output, prompt));
    const struct generation_request request = {.ids = prompt->ids,
                                               .count = prompt->count,
                                               .output = settings->output,
                                               .samples = settings->samples,
                                               .min_new_tokens = settings->min_new_tokens,
                                               .max_new_tokens = settings->max_new_tokens,
                                               .seed = settings->seed};
    if ((result = generation_request_check(work->model, &request)) != STATUS_OK) {
        prompt_free(prompt);
        goto fail;
    }
    work->requests[work->count] = request;
    work->lines[work->count++] = index;
fail:
    return result;
}

/* Counts a prompt without a result, and says why it has none. */
static enum status note_failure(struct work *work, const struct prompt_line *line)
{
    char *printable = NULL;
    enum status result = utf8_printable(line->error, (int64_t)strlen(line->error), &printable);
    if (result == STATUS_OK && work->failed < SHOWN_ERRORS)
        log_warning("%s", printable);
    else if (result == STATUS_OK && work->failed == SHOWN_ERRORS)
        log_warning("more prompts cannot be used: their results say why");
    work->failed++;
    free(printable);
    return result;
}

/* The prompt of the command line must be good; one of many that is not is left out, and at least one must be left. */
static enum status encode_all(struct work *work)
{
    enum status result = STATUS_OK;
    size_t count = (size_t)work->file.count;
    struct progress progress;
    work->lines = calloc(count, sizeof *work->lines);
    work->encoded = calloc(count, sizeof *work->encoded);
    work->requests = calloc(count, sizeof *work->requests);
    if (!work->lines || !work->encoded || !work->requests)
        FAIL(STATUS_INTERNAL, "no memory for %zu prompts", count);
    progress_start(&progress, "reading", "prompts", work->file.count);
    for (int64_t i = 0; i < work->file.count; i++) {
        struct prompt_line *line = &work->file.lines[i];
        if (!line->error && (result = encode(work, i)) != STATUS_OK) {
            if (result == STATUS_INTERNAL || !work->prompts)
                goto fail;
            status_prefix(result, "%s:%lld", work->prompts, (long long)line->line);
            TRY(prompt_line_fail(line));
        }
        if (line->error)
            TRY(note_failure(work, line));
        progress_update(&progress, i + 1, "");
    }
    if (work->count == 0)
        FAIL(STATUS_CORRUPT, "%s: none of the prompts can be used, for example %s", work->prompts,
             work->file.lines[0].error);
fail:
    return result;
}

/* ---- results ---- */

/* For people: a text whole and escaped; speech as its file where it has one, since its units are in samples.json, else as
 * its units. */
static enum status print_piece(const struct output_piece *piece, const char *file)
{
    char *printable = NULL;
    const double seconds = (double)piece->sample_count / AUDIO_RATE;
    enum status result = STATUS_OK;
    if (file) {
        printf("speech: %s, %.2f s\n", file, seconds);
        return STATUS_OK;
    }
    TRY(utf8_printable(piece->text, piece->size, &printable));
    if (piece->samples)
        printf("speech: %s, %.2f s\n", printable, seconds);
    else
        printf("%s: %s\n", piece->speech ? "speech" : "text", printable);
fail:
    free(printable);
    return result;
}

/* Prints one piece and, with a folder, writes its sound; appends its description. */
static enum status deliver_piece(const struct work *work, const char *name, const struct output_piece *piece,
                                 json_t *list)
{
    enum status result = STATUS_OK;
    json_t *described = NULL;
    char path[PATH_BYTES];
    const bool sound = work->folder && piece->samples;
    TRY(output_piece_describe(piece, &described));
    if (sound) {
        TRY(path_format(path, "%s/%s", work->folder, name));
        TRY(wav_write(path, piece->samples, piece->sample_count));
        if (json_object_set_new(described, "audio", json_string(name)) != 0)
            FAIL(STATUS_INTERNAL, "no memory to describe a piece");
    }
    if (!work->json)
        TRY(print_piece(piece, sound ? path : NULL));
    if (json_array_append(list, described) != 0)
        FAIL(STATUS_INTERNAL, "no memory to describe a piece");
fail:
    json_decref(described);
    return result;
}

/* "--- sample 0: 120 tokens, cut at the limit, 3.20 s of speech" */
static void print_sample_head(int64_t sample, const struct generated *generated, const struct output_piece *pieces,
                              int64_t count)
{
    int64_t samples = 0;
    for (int64_t i = 0; i < count; i++)
        samples += pieces[i].sample_count;
    printf("--- sample %lld: %lld tokens%s", (long long)sample, (long long)generated->count,
           generated->ended ? "" : ", cut at the limit");
    if (samples > 0)
        printf(", %.2f s of speech", (double)samples / AUDIO_RATE);
    printf("\n");
}

/* Prints one sample with its pieces; appends its description. */
static enum status deliver_sample(const struct work *work, int64_t request, int64_t sample,
                                  const struct generated *generated, json_t *list)
{
    enum status result = STATUS_OK;
    const struct prompt_line *line = &work->file.lines[work->lines[request]];
    struct output_piece *pieces = NULL;
    int64_t count = 0;
    json_t *described = json_array(), *entry = NULL;
    TRY(output_split(work->components, &work->encoded[request], generated->ids, generated->count, work->pool, &pieces,
                     &count));
    if (!work->json)
        print_sample_head(sample, generated, pieces, count);
    for (int64_t i = 0; i < count; i++) {
        char name[96], prefix[32] = "";
        if (line->line > 0)
            snprintf(prefix, sizeof prefix, "prompt_%lld_", (long long)line->line);
        snprintf(name, sizeof name, "%ssample_%lld_%lld.wav", prefix, (long long)sample, (long long)i);
        TRY(deliver_piece(work, name, &pieces[i], described));
    }
    result = generated_describe(sample, generated, described, &entry);
    described = NULL;
    if (result == STATUS_OK && json_array_append_new(list, entry) != 0)
        result = status_set(STATUS_INTERNAL, "no memory to describe a sample");
fail:
    output_pieces_free(pieces, count);
    json_decref(described);
    return result;
}

/* Adds a result, taken over, to the list, and prints it as a line. */
static enum status add_result(struct work *work, json_t *described)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    if (work->json) {
        text = jdoc_text(described, 0);
        if (!text)
            FAIL(STATUS_INTERNAL, "no memory to print a result");
        fputs(text, stdout);
    }
    /* A long run is followed, and what is kept for samples.json is not kept for nothing. */
    if (fflush(stdout) != 0)
        FAIL(STATUS_IO, "cannot write to standard output");
    if (work->folder && json_array_append(work->results, described) != 0)
        FAIL(STATUS_INTERNAL, "no memory for results");
fail:
    free(text);
    json_decref(described);
    return result;
}

/* The id of a prompt of a file and its pieces, so that many results can be read without the file. */
static enum status print_head(const struct work *work, const struct prompt_line *line)
{
    static const char *const kinds[] = {
        [PIECE_TEXT] = "text", [PIECE_AUDIO] = "speech", [PIECE_UNITS] = "units", [PIECE_STRING] = "string"};
    char *printable = NULL;
    if (work->json || line->line == 0)
        return STATUS_OK;
    enum status result = utf8_printable(line->id, (int64_t)strlen(line->id), &printable);
    if (result == STATUS_OK)
        printf("=== %s\n", printable);
    for (int64_t i = 0; i < line->piece_count && !line->error; i++) {
        char shown[SHOWN_PROMPT];
        const bool cut = utf8_line(line->pieces[i].content, shown, sizeof shown) + 8 > sizeof shown;
        printf("prompt: (%s) %s%s\n", kinds[line->pieces[i].kind], shown, cut ? "..." : "");
    }
    free(printable);
    return result;
}

static enum status deliver_error(struct work *work, const struct prompt_line *line)
{
    enum status result = STATUS_OK;
    json_t *described = NULL;
    char *printable = NULL;
    TRY(prompt_error_describe(line, &described));
    TRY(print_head(work, line));
    if (!work->json) {
        TRY(utf8_printable(line->error, (int64_t)strlen(line->error), &printable));
        printf("error: %s\n", printable);
    }
    TRY(add_result(work, described));
    described = NULL;
fail:
    if (result != STATUS_OK)
        json_decref(described);
    free(printable);
    return result;
}

/* The results of lines that could not be used, up to line `end` of the file's. */
static enum status deliver_errors(struct work *work, int64_t end)
{
    enum status result = STATUS_OK;
    for (; work->delivered < end; work->delivered++)
        TRY(deliver_error(work, &work->file.lines[work->delivered]));
fail:
    return result;
}

static enum status deliver_samples(struct work *work, int64_t request, const struct generated *generated)
{
    enum status result = STATUS_OK;
    const struct prompt_line *line = &work->file.lines[work->lines[request]];
    json_t *described = NULL;
    TRY(print_head(work, line));
    TRY(prompt_describe(line, work->encoded[request].count, &work->batch.sampling, &described));
    for (int64_t i = 0; i < line->settings.samples; i++)
        TRY(deliver_sample(work, request, i, &generated[i], json_object_get(described, "samples")));
    return add_result(work, described);
fail:
    json_decref(described);
    return result;
}

static enum status deliver(void *argument, int64_t request, struct generated *generated)
{
    enum status result = STATUS_OK;
    struct work *work = argument;
    struct prompt_line *line = &work->file.lines[work->lines[request]];
    TRY(deliver_errors(work, work->lines[request]));
    if ((result = generated_check(generated, line->settings.samples)) != STATUS_OK) {
        if (!work->prompts)
            goto fail;
        TRY(prompt_line_fail(line));
        TRY(note_failure(work, line));
        TRY(deliver_error(work, line));
    } else {
        TRY(deliver_samples(work, request, generated));
    }
    work->delivered++;
fail:
    generated_free(generated, line->settings.samples);
    return result;
}

static enum status write_list(const struct work *work)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *text = NULL;
    json_t *checkpoint = NULL, *whole = NULL;
    TRY(checkpoint_describe(work->checkpoint, work->components, &checkpoint));
    whole = json_pack("{s:o, s:O}", "checkpoint", checkpoint, "results", work->results);
    text = whole ? jdoc_text(whole, 2) : NULL;
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for samples.json");
    TRY(path_format(path, "%s/samples.json", work->folder));
    TRY(atomic_write(path, text, (int64_t)strlen(text)));
fail:
    json_decref(whole);
    free(text);
    return result;
}

static enum status generate(struct work *work)
{
    enum status result = STATUS_OK;
    work->results = json_array();
    work->batch.done = deliver;
    work->batch.argument = work;
    if (!work->results)
        FAIL(STATUS_INTERNAL, "no memory for results");
    TRY(encode_all(work));
    if (work->folder)
        TRY(make_directories(work->folder)); /* before the long work, not after it */
    TRY(generate_batch(work->model, work->components, work->requests, work->count, &work->batch));
    TRY(deliver_errors(work, work->file.count));
    if (work->folder)
        TRY(write_list(work));
    if (work->failed > 0)
        FAIL(STATUS_CORRUPT, "%lld of %lld prompts failed; all others have their results", (long long)work->failed,
             (long long)work->file.count);
fail:
    return result;
}

static enum status choose_voice(const struct program_arguments *arguments, const struct components *components)
{
    const char *speaker = program_value(arguments, "--speaker", NULL),
               *style = program_value(arguments, "--style", NULL);
    if ((speaker || style) && !components->speech)
        return status_set(STATUS_USAGE, "%s: this model has no speech tokenizer, so it cannot speak",
                          speaker ? "--speaker" : "--style");
    return components->speech ? speech_choose_voice(components->speech, speaker, style) : STATUS_OK;
}

static enum status run(const struct program_arguments *arguments)
{
    enum status result = STATUS_OK;
    struct machine machine = {0};
    struct prompt_settings settings = {0};
    char *standard_input = NULL;
    struct work work = {.prompts = program_value(arguments, "--prompts", NULL),
                        .folder = program_value(arguments, "--out", NULL),
                        .json = program_flag(arguments, "--json")};
    const char *name = program_value(arguments, "--model", NULL);
    if (!name)
        FAIL(STATUS_USAGE, "--model is missing: name a run's folder or a checkpoint");
    if (work.prompts && !strcmp(work.prompts, "-"))
        work.prompts = "standard input";
    TRY(read_settings(arguments, &settings));
    TRY(read_batch(arguments, &work.batch));
    TRY(read_prompts(arguments, &settings, &standard_input, &work.file));
    TRY(program_machine_create(arguments, 0, NULL, &machine));
    work.pool = machine.pool;
    TRY(model_open(name, machine.kernels, &machine.context, &work.components, &work.model, &work.checkpoint));
    TRY(choose_voice(arguments, work.components));
    TRY(generate(&work));
fail:
    for (int64_t i = 0; i < work.count; i++)
        prompt_free(&work.encoded[i]);
    free(work.encoded);
    free(work.requests);
    free(work.lines);
    json_decref(work.results);
    prompt_file_free(&work.file);
    llama_destroy(work.model);
    components_free(work.components);
    program_machine_destroy(&machine);
    free(work.checkpoint);
    free(standard_input);
    return result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
