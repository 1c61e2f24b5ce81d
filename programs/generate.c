/* generate: continues prompts of text and speech (docs/generate.md). */
#include "core/path.h"
#include "core/utf8.h"
#include "generate/describe.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/wav.h"
#include "package/model.h"
#include "programs/common/program.h"
#include "programs/model/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct program_option options[] = {
    {"--model", "RUN_OR_CHECKPOINT", "a run's folder (its newest checkpoint) or a checkpoint", false},
    {"--prompt", "STRING", "the whole prompt, its tags and units spelled out: [Text]the cat[Speech][Hu12]", false},
    {"--text", "TEXT", "a piece of the prompt", true},
    {"--speech", "FILE", "a piece of the prompt: a sound file of any sample rate", true},
    {"--units", "STRING", "a piece of the prompt: units such as [St3][Pi9][Hu12]", true},
    {"--output", "text|speech|any", "what to continue in (default any)", false},
    {"--out", "DIR", "folder for the wav files and samples.json (default: none, print only)", false},
    {"--samples", "N", "number of continuations (default 1)", false},
    {"--max-new-tokens", "N", "longest continuation, in tokens (default 200)", false},
    {"--prefill-tokens", "N", "tokens of the prompt computed at a time (default 0: as many as suit the device)", false},
    {"--temperature", "X", "0 means greedy (default 0.9)", false},
    {"--top-k", "N", "0 means all (default 50)", false},
    {"--top-p", "X", "1 means all (default 0.95)", false},
    {"--seed", "N", "seed of the sampling (default 1)", false},
    MACHINE_OPTION,
};

static const struct program program = {
    .name = "generate",
    .usage =
        "--model RUN_OR_CHECKPOINT [--text T] [--speech FILE] [--units S] ... --output text|speech|any [--out DIR] "
        "[--device D]",
    .summary = "Continues a prompt of text and speech pieces, taken in the order given, in text, in speech or in what "
               "the model chooses.",
    .example = "generate --model out/demo/run --text \"the king said\" --output speech --out out/samples",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

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

static enum status read_options(const struct program_arguments *arguments, struct generation_options *generation)
{
    enum status result = STATUS_OK;
    static const char *const outputs[] = {"text", "speech", "any"};
    const char *output = program_value(arguments, "--output", "any");
    int64_t seed = 0;
    int mode = 0;
    while (mode < 3 && strcmp(outputs[mode], output) != 0)
        mode++;
    if (mode == 3)
        FAIL(STATUS_USAGE, "--output: expected text, speech or any, found \"%s\"", output);
    generation->output = (enum output_modality)mode;
    TRY(program_integer(arguments, "--samples", 1, 4096, 1, &generation->samples));
    TRY(program_integer(arguments, "--max-new-tokens", 1, 1 << 20, 200, &generation->max_new_tokens));
    TRY(program_integer(arguments, "--prefill-tokens", 0, 1 << 20, 0, &generation->prefill_tokens));
    TRY(program_integer(arguments, "--top-k", 0, 1 << 24, 50, &generation->sampling.top_k));
    TRY(program_integer(arguments, "--seed", 0, INT64_MAX, 1, &seed));
    generation->seed = (uint64_t)seed;
    TRY(read_number(arguments, "--temperature", 0.9, &generation->sampling.temperature));
    TRY(read_number(arguments, "--top-p", 0.95, &generation->sampling.top_p));
    TRY(sampling_check(&generation->sampling));
fail:
    return result;
}

static int64_t read_pieces(const struct program_arguments *arguments, struct piece *pieces)
{
    int64_t count = 0;
    for (int64_t i = 0; i < arguments->count; i++) {
        const struct program_argument *item = &arguments->items[i];
        if (item->option && !strcmp(item->option, "--prompt"))
            pieces[count++] = (struct piece){PIECE_STRING, item->value};
        else if (item->option && !strcmp(item->option, "--text"))
            pieces[count++] = (struct piece){PIECE_TEXT, item->value};
        else if (item->option && !strcmp(item->option, "--speech"))
            pieces[count++] = (struct piece){PIECE_AUDIO, item->value};
        else if (item->option && !strcmp(item->option, "--units"))
            pieces[count++] = (struct piece){PIECE_UNITS, item->value};
    }
    return count;
}

/* Prints one piece and, with a folder, writes its sound; appends its description. */
static enum status deliver_piece(int64_t sample, int64_t number, const struct output_piece *piece, const char *folder,
                                 json_t *list)
{
    enum status result = STATUS_OK;
    json_t *described = NULL;
    char *printable = NULL;
    TRY(output_piece_describe(piece, &described));
    TRY(utf8_printable(piece->text, piece->size, &printable));
    printf("%s: %s\n", piece->speech ? "speech" : "text", printable);
    if (folder && piece->samples) {
        char name[64], path[PATH_BYTES];
        snprintf(name, sizeof name, "sample_%lld_%lld.wav", (long long)sample, (long long)number);
        TRY(path_format(path, "%s/%s", folder, name));
        TRY(wav_write(path, piece->samples, piece->sample_count));
        if (json_object_set_new(described, "audio", json_string(name)) != 0)
            FAIL(STATUS_INTERNAL, "no memory to describe a piece");
        printf("        %s, %.2f s\n", path, (double)piece->sample_count / AUDIO_RATE);
    }
    if (json_array_append(list, described) != 0)
        FAIL(STATUS_INTERNAL, "no memory to describe a piece");
fail:
    json_decref(described);
    free(printable);
    return result;
}

/* Prints one sample with its pieces; appends its description. */
static enum status deliver(int64_t sample, const struct generated *generated, const struct output_piece *pieces,
                           int64_t count, const char *folder, json_t *list)
{
    enum status result = STATUS_OK;
    json_t *described = json_array(), *entry = NULL;
    if (!described)
        FAIL(STATUS_INTERNAL, "no memory to describe a sample");
    printf("--- sample %lld: %lld tokens%s\n", (long long)sample, (long long)generated->count,
           generated->ended ? "" : ", cut at the limit");
    for (int64_t i = 0; i < count; i++)
        TRY(deliver_piece(sample, i, &pieces[i], folder, described));
    entry = json_pack("{s:I, s:I, s:b, s:O}", "sample", (json_int_t)sample, "tokens", (json_int_t)generated->count,
                      "ended", generated->ended, "pieces", described);
    if (json_array_append_new(list, entry) != 0)
        FAIL(STATUS_INTERNAL, "no memory to describe a sample");
fail:
    json_decref(described);
    return result;
}

static enum status write_list(const char *folder, const json_t *list)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *text = jdoc_text(list, 2);
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for samples.json");
    TRY(path_format(path, "%s/samples.json", folder));
    TRY(atomic_write(path, text, (int64_t)strlen(text)));
fail:
    free(text);
    return result;
}

static enum status deliver_all(const struct components *components, const struct prompt *prompt,
                               const struct generation_options *generation, const struct generated *generated,
                               struct thread_pool *pool, const char *folder)
{
    enum status result = STATUS_OK;
    json_t *list = json_array();
    if (!list)
        FAIL(STATUS_INTERNAL, "no memory to describe samples");
    for (int64_t i = 0; i < generation->samples; i++) {
        struct output_piece *pieces = NULL;
        int64_t count = 0;
        TRY(output_split(components, prompt, generated[i].ids, generated[i].count, pool, &pieces, &count));
        result = deliver(i, &generated[i], pieces, count, folder, list);
        output_pieces_free(pieces, count);
        if (result != STATUS_OK)
            goto fail;
    }
    if (folder)
        TRY(write_list(folder, list));
fail:
    json_decref(list);
    return result;
}

static enum status run(const struct program_arguments *arguments)
{
    enum status result = STATUS_OK;
    struct machine machine = {0};
    struct components *components = NULL;
    struct llama *model = NULL;
    struct prompt prompt = {0};
    struct generated *generated = NULL;
    struct generation_options generation = {0};
    const char *name = program_value(arguments, "--model", NULL), *folder = program_value(arguments, "--out", NULL);
    struct piece *pieces = calloc((size_t)arguments->count + 1, sizeof *pieces);
    if (!pieces)
        FAIL(STATUS_INTERNAL, "no memory for the prompt");
    if (!name)
        FAIL(STATUS_USAGE, "--model is missing: name a run's folder or a checkpoint");
    int64_t count = read_pieces(arguments, pieces);
    TRY(read_options(arguments, &generation));
    TRY(program_machine_create(arguments, 0, NULL, &machine));
    TRY(model_open(name, machine.kernels, &machine.context, &components, &model, NULL));
    TRY(prompt_create(components, pieces, count, generation.output, &prompt));
    if (folder)
        TRY(make_directories(folder)); /* before the long work, not after it */
    TRY(generate_tokens(model, &components->vocabulary, &prompt, &generation, &generated));
    TRY(deliver_all(components, &prompt, &generation, generated, machine.pool, folder));
fail:
    generated_free(generated, generation.samples);
    prompt_free(&prompt);
    llama_destroy(model);
    components_free(components);
    program_machine_destroy(&machine);
    free(pieces);
    return result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
