/* Ids are laid out by adding up counts in a fixed order, so that the kind of an id follows from comparing it with the
 * ends of a few blocks. The fingerprint is that of a text which spells out the layout, so it can be verified by
 * hand. */
#include "text/vocabulary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PADDING_MULTIPLE = 256,
    TEXT_SIZE_LIMIT = 1 << 24, /* so that no sum below can leave int32 */
    UNIT_COUNT_LIMIT = 65536   /* a unit is a uint16 wherever it is stored */
};

const char *token_kind_name(enum token_kind kind)
{
    static const char *const names[TOKEN_KINDS] = {"text", "tag", "hubert", "pitch", "style", "padding"};
    return kind >= 0 && kind < TOKEN_KINDS ? names[kind] : "unknown";
}

const char *dummy_prefix_name(enum dummy_prefix prefix)
{
    return prefix == DUMMY_PREFIX_DOCUMENT ? "document" : "span";
}

static enum status check_special(const char *name, int32_t id, int32_t text_size)
{
    if (id < -1 || id >= text_size)
        return status_set(STATUS_USAGE, "vocabulary: the id of %s is %" PRId32 ", expected -1 or one below %" PRId32,
                          name, id, text_size);
    return STATUS_OK;
}

static enum status check_count(const char *name, int32_t count)
{
    if (count < 0 || count > UNIT_COUNT_LIMIT)
        return status_set(STATUS_USAGE, "vocabulary: %" PRId32 " %s units, expected 0 to %d", count, name,
                          (int)UNIT_COUNT_LIMIT);
    return STATUS_OK;
}

enum status vocabulary_create(int32_t text_size, int32_t bos, int32_t eos, int32_t unk, int32_t hubert_count,
                              int32_t pitch_count, int32_t style_count, bool task_tags, struct vocabulary *vocabulary)
{
    enum status result = STATUS_OK;
    *vocabulary = (struct vocabulary){0};
    if (text_size < 1 || text_size > TEXT_SIZE_LIMIT)
        FAIL(STATUS_USAGE, "vocabulary: %" PRId32 " text pieces, expected 1 to %d", text_size, (int)TEXT_SIZE_LIMIT);
    TRY(check_special("BOS", bos, text_size));
    TRY(check_special("EOS", eos, text_size));
    TRY(check_special("UNK", unk, text_size));
    TRY(check_count("hubert", hubert_count));
    TRY(check_count("pitch", pitch_count));
    TRY(check_count("style", style_count));
    if (hubert_count == 0 && (pitch_count > 0 || style_count > 0))
        FAIL(STATUS_USAGE, "vocabulary: pitch or style units without hubert units");

    int32_t next = text_size;
    struct vocabulary made = {.text_size = text_size, .bos = bos, .eos = eos, .unk = unk};
    made.text_tag = next++;
    made.speech_tag = next++;
    made.hubert_base = next;
    made.hubert_count = hubert_count;
    next += hubert_count;
    made.pitch_base = next;
    made.pitch_count = pitch_count;
    next += pitch_count;
    made.style_base = next;
    made.style_count = style_count;
    next += style_count;
    made.asr_tag = task_tags ? next++ : -1;
    made.tts_tag = task_tags ? next++ : -1;
    made.size = next;
    made.padded_size = (next + PADDING_MULTIPLE - 1) / PADDING_MULTIPLE * PADDING_MULTIPLE;
    *vocabulary = made;
fail:
    return result;
}

enum status vocabulary_create_text(int32_t text_size, int32_t bos, int32_t eos, int32_t unk,
                                   struct vocabulary *vocabulary)
{
    enum status result = vocabulary_create(text_size, bos, eos, unk, 0, 0, 0, false, vocabulary);
    if (result != STATUS_OK)
        return result;
    vocabulary->text_tag = vocabulary->speech_tag = -1;
    vocabulary->hubert_base = vocabulary->pitch_base = vocabulary->style_base = text_size;
    vocabulary->size = text_size;
    vocabulary->padded_size = (text_size + PADDING_MULTIPLE - 1) / PADDING_MULTIPLE * PADDING_MULTIPLE;
    return STATUS_OK;
}

static bool within(int32_t id, int32_t base, int32_t count)
{
    return id >= base && id - base < count;
}

enum token_kind vocabulary_kind(const struct vocabulary *vocabulary, int32_t id)
{
    if (id < 0 || id >= vocabulary->size)
        return TOKEN_PADDING;
    if (id < vocabulary->text_size)
        return TOKEN_TEXT;
    if (within(id, vocabulary->hubert_base, vocabulary->hubert_count))
        return TOKEN_HUBERT;
    if (within(id, vocabulary->pitch_base, vocabulary->pitch_count))
        return TOKEN_PITCH;
    if (within(id, vocabulary->style_base, vocabulary->style_count))
        return TOKEN_STYLE;
    return TOKEN_TAG;
}

/* What was the only form when the first checkpoints were written is not spelled out: "span", and no span space. */
struct sha256 vocabulary_fingerprint(const struct vocabulary *vocabulary)
{
    char text[512];
    int length =
        snprintf(text, sizeof text,
                 "vocabulary 1\ntext %" PRId32 "\nbos %" PRId32 "\neos %" PRId32 "\nunk %" PRId32 "\ntags %" PRId32
                 " %" PRId32 "\nhubert %" PRId32 " %" PRId32 "\npitch %" PRId32 " %" PRId32 "\nstyle %" PRId32
                 " %" PRId32 "\ntasks %" PRId32 " %" PRId32 "\nrows %" PRId32 " %" PRId32 "\n%s%s",
                 vocabulary->text_size, vocabulary->bos, vocabulary->eos, vocabulary->unk, vocabulary->text_tag,
                 vocabulary->speech_tag, vocabulary->hubert_base, vocabulary->hubert_count, vocabulary->pitch_base,
                 vocabulary->pitch_count, vocabulary->style_base, vocabulary->style_count, vocabulary->asr_tag,
                 vocabulary->tts_tag, vocabulary->size, vocabulary->padded_size,
                 vocabulary->dummy_prefix == DUMMY_PREFIX_DOCUMENT ? "dummy prefix document\n" : "",
                 vocabulary->span_space ? "span space\n" : "");
    return sha256_of(text, (size_t)length);
}

void vocabulary_token_name(const struct vocabulary *vocabulary, int32_t id, char text[16])
{
    text[0] = 0;
    switch (vocabulary_kind(vocabulary, id)) {
    case TOKEN_TAG:
        snprintf(text, 16, "%s",
                 id == vocabulary->text_tag     ? "[Text]"
                 : id == vocabulary->speech_tag ? "[Speech]"
                 : id == vocabulary->asr_tag    ? "[ASR]"
                                                : "[TTS]");
        break;
    case TOKEN_HUBERT:
        snprintf(text, 16, "[Hu%" PRId32 "]", id - vocabulary->hubert_base);
        break;
    case TOKEN_PITCH:
        snprintf(text, 16, "[Pi%" PRId32 "]", id - vocabulary->pitch_base);
        break;
    case TOKEN_STYLE:
        snprintf(text, 16, "[St%" PRId32 "]", id - vocabulary->style_base);
        break;
    default:
        break;
    }
}

/* Names are compared with those that the ids have, so "[Hu007]" and units beyond the last are none. */
int32_t vocabulary_find_token(const struct vocabulary *vocabulary, const char *text, int64_t *length)
{
    const int32_t tags[] = {vocabulary->text_tag, vocabulary->speech_tag, vocabulary->asr_tag, vocabulary->tts_tag};
    const int32_t bases[] = {vocabulary->hubert_base, vocabulary->pitch_base, vocabulary->style_base};
    char name[16];
    if (*text != '[')
        return -1;
    for (size_t i = 0; i < sizeof tags / sizeof *tags + sizeof bases / sizeof *bases; i++) {
        int32_t id = i < 4 ? tags[i] : bases[i - 4];
        int number;
        if (i >= 4 && sscanf(text + 1, "%*2[HuPiSt]%6d", &number) == 1 && number >= 0)
            id += number;
        vocabulary_token_name(vocabulary, id, name);
        *length = (int64_t)strlen(name);
        if (id >= 0 && *length > 0 && strncmp(text, name, (size_t)*length) == 0)
            return id;
    }
    return -1;
}
