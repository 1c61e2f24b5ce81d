/* Turns settings into the options of lanes and interleaving, so that these need not know how a configuration is
 * written. */
#include "data/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads a number from 1 to 999999; returns what follows its digits, or NULL when there is no such number. */
static const char *parse_part(const char *text, int64_t *value)
{
    size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > 6)
        return NULL;
    *value = strtoll(text, NULL, 10);
    return *value > 0 ? text + digits : NULL;
}

/* "25" or "25/2". */
static enum status parse_rate(const char *key, const char *text, struct rational *rate)
{
    *rate = (struct rational){0, 1};
    const char *rest = parse_part(text, &rate->numerator);
    if (rest && *rest == '/')
        rest = parse_part(rest + 1, &rate->denominator);
    if (!rest || *rest)
        return status_set(STATUS_USAGE, "%s: \"%s\" is not a positive integer or fraction of integers below 1000000",
                          key, text);
    return STATUS_OK;
}

/* A label stands for tokenizers that we do not know: the fingerprint of each stream is made of the label and the
 * stream's rate. */
enum status ready_fingerprints(const struct prepare_settings *settings, struct shard_fingerprints *fingerprints)
{
    enum status result = STATUS_OK;
    TRY(parse_rate("prepare.ready.hubert_rate", settings->ready.hubert_rate, &fingerprints->rates.rate[STREAM_HUBERT]));
    TRY(parse_rate("prepare.ready.pitch_rate", settings->ready.pitch_rate, &fingerprints->rates.rate[STREAM_PITCH]));
    TRY(parse_rate("prepare.ready.style_rate", settings->ready.style_rate, &fingerprints->rates.rate[STREAM_STYLE]));
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        const struct rational *rate = &fingerprints->rates.rate[stream];
        char *text = NULL;
        int length = asprintf(&text, "ready units\n%s\n%lld/%lld\n%s", unit_stream_name((enum unit_stream)stream),
                              (long long)rate->numerator, (long long)rate->denominator, settings->ready.label);
        if (length < 0)
            FAIL(STATUS_INTERNAL, "out of memory");
        fingerprints->stream[stream] = sha256_of(text, (size_t)length);
        free(text);
    }
fail:
    return result;
}

struct interleave_options data_interleave_options(const struct data_settings *data)
{
    return (struct interleave_options){
        .mode = (enum interleave_mode)data->mode,
        .text_words_minimum = data->text_words_minimum,
        .text_words_maximum = data->text_words_maximum,
        .speech_words_minimum = data->speech_words_minimum,
        .speech_words_maximum = data->speech_words_maximum,
        .streams_mask = data->expressive ? STREAMS_ALL : STREAMS_BASE,
    };
}

struct lanes_options data_lanes_options(const struct data_settings *data, uint64_t seed)
{
    struct lanes_options options = {.lanes = data->lanes,
                                    .sequence_length = data->sequence_length,
                                    .mask_documents = data->mask_documents,
                                    .seed = seed};
    memcpy(options.weights, data->weights, sizeof options.weights);
    return options;
}

struct interleaver data_interleaver(const struct data_settings *data, const struct components *components)
{
    return (struct interleaver){
        .text = components->text,
        .vocabulary = &components->vocabulary,
        .rates = components->rates,
        .options = data_interleave_options(data),
    };
}
