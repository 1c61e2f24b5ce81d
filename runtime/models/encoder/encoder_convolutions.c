/* The stack of convolutions: its notation, and how many frames it makes of how many samples.
 *
 *   sum     = product { "+" product }
 *   product = list { "*" number } | number "*" list { "*" number }
 *   list    = "[" [ triple { "," triple } [ "," ] ] "]"
 *   triple  = "(" number "," number "," number [ "," ] ")"
 *
 * The published programs hand the text to Python's eval. A file that comes from somewhere must not have that power here. */
#include "models/encoder/encoder_config.h"

#include <inttypes.h>

enum { NUMBER_LIMIT = 1 << 20 };

struct parser {
    const char *text;
    int64_t length, at;
    struct encoder_convolution *convolutions;
    int64_t count;
};

static enum status unexpected(const struct parser *parser, const char *expected)
{
    if (parser->at == parser->length)
        return status_set(STATUS_CORRUPT, "expected %s, found the end of the text", expected);
    return status_set(STATUS_CORRUPT, "expected %s at character %" PRId64 ", found '%.*s'", expected, parser->at + 1,
                      (int)(parser->length - parser->at < 20 ? parser->length - parser->at : 20),
                      parser->text + parser->at);
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->length && (parser->text[parser->at] == ' ' || parser->text[parser->at] == '\t' ||
                                           parser->text[parser->at] == '\n' || parser->text[parser->at] == '\r'))
        parser->at++;
}

/* Whether this character comes next, which is then behind us. */
static bool take(struct parser *parser, char character)
{
    skip_blanks(parser);
    if (parser->at == parser->length || parser->text[parser->at] != character)
        return false;
    parser->at++;
    return true;
}

static bool at_digit(struct parser *parser)
{
    skip_blanks(parser);
    return parser->at < parser->length && parser->text[parser->at] >= '0' && parser->text[parser->at] <= '9';
}

static enum status take_number(struct parser *parser, int64_t *number)
{
    if (!at_digit(parser))
        return unexpected(parser, "a number");
    *number = 0;
    while (parser->at < parser->length && parser->text[parser->at] >= '0' && parser->text[parser->at] <= '9') {
        *number = 10 * *number + (parser->text[parser->at++] - '0');
        if (*number > NUMBER_LIMIT)
            return status_set(STATUS_CORRUPT, "a number is larger than %d", NUMBER_LIMIT);
    }
    return STATUS_OK;
}

static enum status add_convolution(struct parser *parser, struct encoder_convolution convolution)
{
    if (parser->count == ENCODER_MAXIMUM_CONVOLUTIONS)
        return status_set(STATUS_CORRUPT, "more than %d convolutions", ENCODER_MAXIMUM_CONVOLUTIONS);
    parser->convolutions[parser->count++] = convolution;
    return STATUS_OK;
}

static enum status parse_triple(struct parser *parser)
{
    int64_t numbers[3];
    if (!take(parser, '('))
        return unexpected(parser, "'('");
    for (int i = 0; i < 3; i++) {
        enum status result = take_number(parser, &numbers[i]);
        if (result != STATUS_OK)
            return result;
        if (!take(parser, ',') && i < 2)
            return unexpected(parser, "','");
    }
    if (!take(parser, ')'))
        return unexpected(parser, "')'");
    return add_convolution(
        parser, (struct encoder_convolution){.channels = numbers[0], .kernel = numbers[1], .stride = numbers[2]});
}

static enum status parse_list(struct parser *parser)
{
    if (!take(parser, '['))
        return unexpected(parser, "'['");
    while (!take(parser, ']')) {
        enum status result = parse_triple(parser);
        if (result != STATUS_OK)
            return result;
        if (take(parser, ','))
            continue;
        return take(parser, ']') ? STATUS_OK : unexpected(parser, "',' or ']'");
    }
    return STATUS_OK;
}

/* Puts what was added from `first` on there `times` times in all. */
static enum status repeat(struct parser *parser, int64_t first, int64_t times)
{
    enum status result = STATUS_OK;
    int64_t size = parser->count - first;
    if (times == 0)
        parser->count = first;
    for (int64_t i = 1; size > 0 && i < times && result == STATUS_OK; i++)
        for (int64_t j = 0; j < size && result == STATUS_OK; j++)
            result = add_convolution(parser, parser->convolutions[first + j]);
    return result;
}

static enum status parse_product(struct parser *parser)
{
    int64_t first = parser->count, times = 1;
    enum status result = STATUS_OK;
    if (at_digit(parser)) {
        TRY(take_number(parser, &times));
        if (!take(parser, '*'))
            return unexpected(parser, "'*'");
    }
    TRY(parse_list(parser));
    TRY(repeat(parser, first, times));
    while (take(parser, '*')) {
        TRY(take_number(parser, &times));
        TRY(repeat(parser, first, times));
    }
fail:
    return result;
}

enum status encoder_convolutions_parse(const char *text, int64_t length, struct encoder_convolution *convolutions,
                                       int64_t *count)
{
    enum status result = STATUS_OK;
    struct parser parser = {.text = text, .length = length, .convolutions = convolutions};
    do
        TRY(parse_product(&parser));
    while (take(&parser, '+'));
    skip_blanks(&parser);
    if (parser.at < length)
        return unexpected(&parser, "'+' or '*'");
    *count = parser.count;
fail:
    return result;
}

int64_t encoder_config_frames(const struct encoder_config *config, int64_t samples)
{
    int64_t frames = samples;
    for (int64_t i = 0; i < config->convolution_count; i++) {
        const struct encoder_convolution *convolution = &config->convolutions[i];
        if (frames < convolution->kernel)
            return 0;
        frames = (frames - convolution->kernel) / convolution->stride + 1;
    }
    return frames;
}

int64_t encoder_config_samples(const struct encoder_config *config, int64_t frames)
{
    int64_t samples = frames;
    for (int64_t i = config->convolution_count - 1; i >= 0; i--)
        samples = (samples - 1) * config->convolutions[i].stride + config->convolutions[i].kernel;
    return samples;
}

int64_t encoder_config_hop(const struct encoder_config *config)
{
    int64_t hop = 1;
    for (int64_t i = 0; i < config->convolution_count; i++)
        hop *= config->convolutions[i].stride;
    return hop;
}
