/* tokenize: turns audio into units and a unit string, and back into audio (docs/tokenize.md). */
#include "core/path.h"
#include "core/thread_pool.h"
#include "core/utf8.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"
#include "io/json.h"
#include "io/text_file.h"
#include "package/speech_folder.h"
#include "programs/common/settings.h"
#include "programs/device/device.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const struct program_option options[] = {
    {"--streams", "hubert|all", "units of the unit string: hubert alone (Base) or pitch and style too (default all)",
     false},
    {"--speaker", "NAME",
     "use this speaker's mean pitch from the fit instead of the utterance's own; with --decode: speak with this voice "
     "of the vocoder, by its name or its number from 0 on",
     false},
    {"--style", "NAME", "with --decode: speak in this style of the vocoder, by its name or its number from 0 on",
     false},
    {"--channel", "N", "use this channel instead of the mean of all", false},
    {"--decode", NULL, "do the reverse: the arguments are unit strings, or - for lines of standard input", false},
    {"--output", "FILE", "with --decode: the wav file; %d in it is replaced by 1, 2, ...", false},
    DEVICE_OPTION,
};

static const struct program program = {
    .name = "tokenize",
    .usage = "--config FILE [--device D] AUDIO ...\n       tokenize --config FILE --decode --output FILE.wav UNITS|-",
    .summary = "Prints one JSON line per audio file: id, seconds, the units of each stream and the unit string. The\n"
               "lines are a manifest of ready units. With --decode a unit string, or such a line, becomes speech.",
    .example = "tokenize --config configs/demo.yaml hello.wav | tokenize --config configs/demo.yaml --decode --output "
               "again.wav -",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .takes_config = true,
    .takes_arguments = true,
};

struct tools {
    struct settings settings;
    struct speech *speech;
    struct vocabulary vocabulary; /* only its units are used; its text part is a placeholder */
    struct thread_pool *pool;
};

/* The folder that prepare has made; where it is not there and nothing has to be fitted, what the configuration names. */
static enum status speech_open(const struct settings *settings, const struct speech_compute *compute,
                               struct speech **speech)
{
    enum status result = STATUS_OK;
    const char *folder = settings->tokenizer.folder;
    if (access(folder, F_OK) != 0 && !speech_options_need_fit(&settings->speech))
        return speech_compose(&settings->speech, NULL, compute, speech);
    result = speech_folder_open(folder, speech);
    if (result == STATUS_USAGE) /* the folder does not exist */
        status_prefix(result, "tokenizer.folder (--config FILE names it, prepare --stage fit creates it)");
    TRY(result);
    TRY(speech_options_match(&settings->speech, folder));
    TRY(speech_compute_on(*speech, compute));
fail:
    return result;
}

static enum status tools_open(const struct program_arguments *arguments, struct tools *tools)
{
    enum status result = STATUS_OK;
    struct speech_compute compute = {0};
    memset(tools, 0, sizeof *tools);
    TRY(program_device_kernels(arguments, &compute.device));
    TRY(settings_load(arguments, SETTINGS_TOKENIZER, &tools->settings));
    TRY(thread_pool_create((int)tools->settings.prepare.threads, &tools->pool));
    TRY(program_device_engines(compute.device, &tools->settings.kernels));
    compute.networks = compute.device ? compute.device : kernels_cpu();
    compute.pool = tools->pool;
    TRY(speech_open(&tools->settings, &compute, &tools->speech));
    const struct speech_encoder *encoder = tools->speech->encoder;
    TRY(vocabulary_create(3, 1, 2, 0, encoder[STREAM_HUBERT].size, encoder[STREAM_PITCH].size,
                          encoder[STREAM_STYLE].size, false, &tools->vocabulary));
fail:
    return result;
}

static void tools_close(struct tools *tools)
{
    speech_free(tools->speech);
    thread_pool_destroy(tools->pool);
    settings_free(&tools->settings);
}

/* ---- audio to units ---- */

static json_t *units_json(const struct units *units, enum unit_stream stream)
{
    json_t *list = json_array();
    for (int64_t i = 0; list && i < units->count[stream]; i++)
        if (json_array_append_new(list, json_integer(units->values[stream][i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static enum status print_line(const char *path, int64_t samples, const struct units *units, const char *string)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    json_t *line = json_pack("{s:s, s:f, s:s}", "id", path, "seconds", (double)samples / AUDIO_RATE, "units", string);
    if (!line)
        FAIL(STATUS_USAGE, "%s: the file's name is not UTF-8, so JSON cannot hold it", path);
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        if (json_object_set_new(line, unit_stream_name((enum unit_stream)stream),
                                units_json(units, (enum unit_stream)stream)) != 0)
            FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    if (!(text = jdoc_text(line, 0)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    fputs(text, stdout);
fail:
    free(text);
    json_decref(line);
    return result;
}

static enum status encode_file(const struct tools *tools, const char *path, int channel, const char *speaker,
                               unsigned streams)
{
    enum status result = STATUS_OK;
    struct units units = {0};
    struct unit_rates rates;
    struct merged_unit *merged = NULL;
    float *samples = NULL;
    char *string = NULL;
    int64_t count = 0, merged_count = 0;
    TRY(audio_read(path, channel, &samples, &count));
    if ((result = speech_encode(tools->speech, samples, count, speaker, STREAMS_ALL, &units)) != STATUS_OK) {
        status_prefix(result, "%s", path);
        goto fail;
    }
    if (units.count[STREAM_HUBERT] == 0)
        FAIL(STATUS_CORRUPT, "%s: %.3f s of audio is too short for a unit", path, (double)count / AUDIO_RATE);
    rates = speech_rates(tools->speech);
    TRY(units_merge(&units, &rates, 0, -1, streams, &merged, &merged_count));
    TRY(merged_to_string(merged, merged_count, &string));
    TRY(print_line(path, count, &units, string));
fail:
    free(string);
    free(merged);
    free(samples);
    units_free(&units);
    return result;
}

static enum status encode_all(const struct program_arguments *arguments, const struct tools *tools)
{
    enum status result = STATUS_OK;
    const char *streams = program_value(arguments, "--streams", "all"),
               *speaker = program_value(arguments, "--speaker", NULL);
    bool base = strcmp(streams, "hubert") == 0;
    int64_t channel, files = 0;
    if (!base && strcmp(streams, "all") != 0)
        FAIL(STATUS_USAGE, "--streams: expected hubert or all, found \"%s\"", streams);
    if (speaker && !speech_knows_speaker(tools->speech, speaker))
        FAIL(STATUS_USAGE, "--speaker %s: the tokenizer was not fitted on a speaker of this name", speaker);
    if (program_value(arguments, "--output", NULL))
        FAIL(STATUS_USAGE, "--output is for --decode; units are printed on standard output");
    if (program_value(arguments, "--style", NULL))
        FAIL(STATUS_USAGE, "--style is for --decode: the style of a sound file is found in it");
    TRY(program_integer(arguments, "--channel", 0, 1023, -1, &channel));
    for (int64_t i = 0; i < arguments->count; i++)
        if (!arguments->items[i].option) {
            TRY(encode_file(tools, arguments->items[i].value, (int)channel, speaker,
                            base ? STREAMS_BASE : STREAMS_ALL));
            files++;
        }
    if (files == 0)
        FAIL(STATUS_USAGE, "no audio file is given (tokenize --help)");
fail:
    return result;
}

/* ---- units to audio ---- */

/* What is to be synthesised. */
struct sentence {
    struct spoken_unit *units;
    int32_t *durations; /* NULL: the vocoder chooses */
    int64_t count;
};

/* Of a line's list of pitch or style units the one that is in force at each hubert unit, whose rate is that of several hubert
 * units; the last one to the end. -1 where the line has none. */
static enum status fill_stream(const struct tools *tools, const json_t *root, enum unit_stream stream,
                               struct sentence *sentence)
{
    const char *name = unit_stream_name(stream);
    const json_t *list = json_object_get(root, name);
    const int64_t count = (int64_t)json_array_size(list);
    const struct unit_rates rates = speech_rates(tools->speech);
    const struct rational *slow = &rates.rate[stream], *fast = &rates.rate[STREAM_HUBERT];
    if (count == 0 || slow->numerator == 0 || fast->numerator == 0)
        return STATUS_OK;
    const int64_t repeats = llround((double)fast->numerator / (double)fast->denominator * (double)slow->denominator /
                                    (double)slow->numerator);
    for (int64_t i = 0; i < sentence->count; i++) {
        int64_t index = i / (repeats > 0 ? repeats : 1);
        const json_t *item = json_array_get(list, (size_t)(index < count ? index : count - 1));
        const json_int_t value = json_integer_value(item);
        if (!json_is_integer(item) || value < 0 || value >= tools->speech->encoder[stream].size)
            return status_set(STATUS_CORRUPT, "units: \"%s\"[%lld] is not a unit below %d", name, (long long)index,
                              (int)tools->speech->encoder[stream].size);
        *(stream == STREAM_PITCH ? &sentence->units[i].pitch : &sentence->units[i].style) = (int32_t)value;
    }
    return STATUS_OK;
}

/* A line of units that are not deduplicated: one spoken unit of 40 ms each. */
static enum status sentence_from_json(const struct tools *tools, const char *line, struct sentence *sentence)
{
    enum status result = STATUS_OK;
    json_t *root = NULL;
    TRY(jdoc_parse("units", line, (int64_t)strlen(line), &root));
    const json_t *list = json_object_get(root, "hubert");
    size_t count = json_array_size(list);
    if (count == 0)
        FAIL(STATUS_CORRUPT, "units: the JSON line has no list \"hubert\"");
    sentence->units = calloc(count, sizeof *sentence->units);
    sentence->durations = calloc(count, sizeof *sentence->durations);
    if (!sentence->units || !sentence->durations)
        FAIL(STATUS_INTERNAL, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        json_int_t value = json_integer_value(item);
        if (!json_is_integer(item) || value < 0 || value >= tools->vocabulary.hubert_count)
            FAIL(STATUS_CORRUPT, "units: \"hubert\"[%zu] is not a unit below %d", i, tools->vocabulary.hubert_count);
        sentence->units[i] = (struct spoken_unit){(int32_t)value, -1, -1};
        sentence->durations[i] = 1;
    }
    sentence->count = (int64_t)count;
    TRY(fill_stream(tools, root, STREAM_PITCH, sentence));
    TRY(fill_stream(tools, root, STREAM_STYLE, sentence));
fail:
    json_decref(root);
    return result;
}

static enum status sentence_from_string(const struct tools *tools, const char *text, struct sentence *sentence)
{
    struct merged_unit *merged = NULL;
    int64_t count = 0;
    enum status result = merged_from_string(text, &tools->vocabulary, &merged, &count);
    if (result == STATUS_OK)
        result = units_unmerge(merged, count, 0, NULL, &sentence->units, &sentence->count);
    free(merged);
    return result;
}

static enum status decode(const struct tools *tools, const char *text, const char *path)
{
    enum status result = STATUS_OK;
    struct sentence sentence = {0};
    float *samples = NULL;
    int64_t count = 0;
    TRY(text[strspn(text, " \t")] == '{' ? sentence_from_json(tools, text, &sentence)
                                         : sentence_from_string(tools, text, &sentence));
    if (sentence.count == 0)
        FAIL(STATUS_USAGE, "the unit string has no [Hu...], so there is nothing to synthesise");
    TRY(speech_synthesise(tools->speech, sentence.units, sentence.durations, sentence.count, tools->pool, &samples,
                          &count));
    TRY(wav_write(path, samples, count));
    utf8_print(output_summary(path), "%s: %lld units, %.2f s\n", path, (long long)sentence.count,
               (double)count / AUDIO_RATE);
fail:
    free(samples);
    free(sentence.units);
    free(sentence.durations);
    return result;
}

/* An unusable name is refused before the first file is written. */
static enum status check_output(const char *pattern, int64_t strings)
{
    size_t length = strlen(pattern);
    if (length < 5 || strcasecmp(pattern + length - 4, ".wav") != 0)
        return status_set(STATUS_USAGE, "--output: expected the name of a .wav file, found \"%s\"", pattern);
    if (strings > 1 && !strstr(pattern, "%d"))
        return status_set(STATUS_USAGE, "--output: expected %%d in the name for several unit strings, found \"%s\"",
                          pattern);
    return STATUS_OK;
}

/* `pattern` with its %d replaced by the number; several outputs need one. */
static enum status output_path(const char *pattern, int64_t number, char path[PATH_BYTES])
{
    const char *place = strstr(pattern, "%d");
    if (!place && number > 1)
        return status_set(STATUS_USAGE, "--output: expected %%d in the name for several unit strings, found \"%s\"",
                          pattern);
    return place ? path_format(path, "%.*s%lld%s", (int)(place - pattern), pattern, (long long)number, place + 2)
                 : path_format(path, "%s", pattern);
}

static enum status decode_numbered(const struct tools *tools, const char *pattern, const char *text, int64_t *number)
{
    char path[PATH_BYTES];
    enum status result = output_path(pattern, ++*number, path);
    return result == STATUS_OK ? decode(tools, text, path) : result;
}

/* A mistake on the command line is the user's, not that of a damaged file. */
static enum status decode_argument(const struct tools *tools, const char *pattern, const char *text, int64_t *number)
{
    enum status result = decode_numbered(tools, pattern, text, number);
    return result == STATUS_CORRUPT ? STATUS_USAGE : result;
}

static enum status decode_input(const struct tools *tools, const char *pattern, int64_t *number)
{
    enum status result = STATUS_OK;
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t length; (length = getline(&line, &capacity, stdin)) >= 0;) {
        const char *units = line + (*number == 0 ? text_mark(line, length) : 0);
        line[strcspn(line, "\r\n")] = 0;
        if (units[strspn(units, " \t")] != 0)
            TRY(decode_numbered(tools, pattern, units, number));
    }
    if (ferror(stdin))
        result = status_set_errno(STATUS_IO, errno, "cannot read standard input");
fail:
    free(line);
    return result;
}

static enum status decode_all(const struct program_arguments *arguments, const struct tools *tools)
{
    enum status result = STATUS_OK;
    const char *pattern = program_value(arguments, "--output", NULL);
    int64_t number = 0, strings = 0;
    static const char *const others[] = {"--streams", "--channel"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (program_value(arguments, others[i], NULL))
            FAIL(STATUS_USAGE, "%s is only for sound files, not for --decode", others[i]);
    if (!pattern)
        FAIL(STATUS_USAGE, "--decode needs --output FILE.wav");
    TRY(speech_choose_voice(tools->speech, program_value(arguments, "--speaker", NULL),
                            program_value(arguments, "--style", NULL)));
    for (int64_t i = 0; i < arguments->count; i++)
        strings += !arguments->items[i].option;
    TRY(check_output(pattern, strings));
    for (int64_t i = 0; i < arguments->count; i++) {
        const char *value = arguments->items[i].value;
        if (arguments->items[i].option)
            continue;
        TRY(strcmp(value, "-") == 0 ? decode_input(tools, pattern, &number)
                                    : decode_argument(tools, pattern, value, &number));
    }
    if (number == 0)
        FAIL(STATUS_USAGE, "no unit string is given (tokenize --help)");
fail:
    return result;
}

static enum status run(const struct program_arguments *arguments)
{
    struct tools tools;
    enum status result = tools_open(arguments, &tools);
    if (result == STATUS_OK)
        result = program_flag(arguments, "--decode") ? decode_all(arguments, &tools) : encode_all(arguments, &tools);
    tools_close(&tools);
    return result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
