/* A document is made again at every visit, from the row and a stream of random numbers, so that a corpus is cut
 * differently in every epoch and nothing interleaved is ever stored. Cuts lie between words: text is cut where the next
 * word's text begins and speech where its samples do, each span taking what lies before the next cut, so that nothing
 * is lost or doubled. */
#include "data/interleave.h"

#include "core/array.h"
#include "text/white_space.h"

#include <stdlib.h>
#include <string.h>

/* A document while it grows. Every document is BOS, then pieces, each under the tag of its modality where the modality
 * changes, then EOS: also after speech, so that generated speech can end.
 *
 * Each piece of text between two tags is encoded by itself, without the white space at its ends, so that the space between
 * two spans is never a token. With dummy_prefix "span" it has the dummy prefix that the model puts before a text: "the cat"
 * after [Speech] begins with the same piece as at the start of a document, and reads the same wherever it is cut. With
 * "document" the prefix stands before the first tag alone. With span_space a piece that continues the document is encoded
 * with the space before it, as it would be in the middle of a text. */
enum { NO_TAG = -2 };

struct builder {
    const struct interleaver *interleaver;
    const struct shard_row *row;
    int32_t *ids;
    int64_t count, capacity;
    int32_t tag; /* the one in force, -1 where the vocabulary has none; NO_TAG: none yet */
    int64_t spans;
};

void document_free(struct document *document)
{
    free(document->ids);
    *document = (struct document){0};
}

enum status interleave_options_check(const struct interleave_options *options)
{
    if (!(options->streams_mask & 1u << STREAM_HUBERT) || options->streams_mask >> STREAM_COUNT)
        return status_set(STATUS_USAGE,
                          "interleaving: stream mask %#x; expected hubert, optionally with pitch and style",
                          options->streams_mask);
    if (options->mode == INTERLEAVE_SPANS || options->mode == INTERLEAVE_SPANS_ASR_TTS) {
        if (options->text_words_minimum < 1 || options->text_words_maximum < options->text_words_minimum)
            return status_set(STATUS_USAGE,
                              "data.text_words_minimum, data.text_words_maximum: text spans of %lld to %lld words are "
                              "impossible; expected 1 <= minimum <= maximum",
                              (long long)options->text_words_minimum, (long long)options->text_words_maximum);
        if (options->speech_words_minimum < 1 || options->speech_words_maximum < options->speech_words_minimum)
            return status_set(
                STATUS_USAGE,
                "data.speech_words_minimum, data.speech_words_maximum: speech spans of %lld to %lld words are "
                "impossible; expected 1 <= minimum <= maximum",
                (long long)options->speech_words_minimum, (long long)options->speech_words_maximum);
    }
    return STATUS_OK;
}

enum status interleaver_check(const struct interleaver *interleaver)
{
    const struct interleave_options *options = &interleaver->options;
    const struct vocabulary *vocabulary = interleaver->vocabulary;
    enum status result = interleave_options_check(options);
    if (result != STATUS_OK)
        return result;
    bool tasks = options->mode == INTERLEAVE_ASR_TTS || options->mode == INTERLEAVE_SPANS_ASR_TTS;
    if (tasks && (vocabulary->asr_tag < 0 || vocabulary->tts_tag < 0))
        return status_set(STATUS_USAGE, "interleaving: the vocabulary has no [ASR] and [TTS]");
    return STATUS_OK;
}

static enum status reserve(struct builder *builder, int64_t more)
{
    return array_grow(&builder->ids, &builder->capacity, builder->count + more, "tokens of a document");
}

static enum status push(struct builder *builder, int32_t id)
{
    enum status result = reserve(builder, 1);
    if (result == STATUS_OK)
        builder->ids[builder->count++] = id;
    return result;
}

/* A tag is written where the modality changes, never between two pieces of one modality. */
static enum status push_tag(struct builder *builder, int32_t tag)
{
    if (tag == builder->tag)
        return STATUS_OK;
    builder->tag = tag;
    builder->spans++;
    return tag < 0 ? STATUS_OK : push(builder, tag);
}

static bool follows_text(const struct builder *builder)
{
    const struct vocabulary *vocabulary = builder->interleaver->vocabulary;
    return builder->count > 0 && vocabulary_kind(vocabulary, builder->ids[builder->count - 1]) == TOKEN_TEXT &&
           builder->ids[builder->count - 1] != vocabulary->bos;
}

/* Text that follows text without a tag between them begins a word in either form. */
static bool wants_prefix(const struct builder *builder)
{
    return builder->interleaver->vocabulary->dummy_prefix == DUMMY_PREFIX_SPAN || follows_text(builder);
}

/* Whether text[begin - 1], a space that was trimmed, is encoded all the same: always within text that a byte-level model
 * would otherwise read as one word. */
static bool keeps_space(const struct builder *builder, bool continues, int64_t begin)
{
    if (begin == 0 || builder->row->text[begin - 1] != ' ')
        return false;
    return (continues && builder->interleaver->vocabulary->span_space) ||
           (text_model_is_byte_level(builder->interleaver->text) && follows_text(builder));
}

static enum status push_all(struct builder *builder, const int32_t *ids, int64_t count)
{
    enum status result = reserve(builder, count);
    if (result == STATUS_OK && count > 0)
        memcpy(builder->ids + builder->count, ids, (size_t)count * sizeof *ids);
    builder->count += result == STATUS_OK ? count : 0;
    return result;
}

/* The bytes [begin, end) of the row's text under `tag`; nothing when they are only white space. */
static enum status push_text(struct builder *builder, int32_t tag, int64_t begin, int64_t end)
{
    const char *text = builder->row->text;
    trim_white_space(text, &begin, &end);
    if (begin == end)
        return STATUS_OK;
    int32_t *ids = NULL;
    int64_t count = 0;
    bool continues = builder->spans > 0;
    enum status result = STATUS_OK;
    TRY(push_tag(builder, tag));
    bool space = keeps_space(builder, continues, begin);
    begin -= space;
    TRY(text_model_encode(builder->interleaver->text, text + begin, end - begin, !space && wants_prefix(builder), &ids,
                          &count));
    TRY(push_all(builder, ids, count));
fail:
    free(ids);
    return result;
}

/* The units of samples [begin, end) (end < 0: to the end) under `tag`; nothing when no hubert unit starts in it: pitch
 * and style alone are not speech. */
static enum status push_speech(struct builder *builder, int32_t tag, int64_t begin, int64_t end)
{
    const struct interleaver *interleaver = builder->interleaver;
    struct merged_unit *merged = NULL;
    int64_t count = 0;
    bool spoken = false;
    enum status result = STATUS_OK;
    TRY(units_merge(&builder->row->units, &interleaver->rates, begin, end, interleaver->options.streams_mask, &merged,
                    &count));
    for (int64_t i = 0; i < count && !spoken; i++)
        spoken = merged[i].stream == STREAM_HUBERT;
    if (!spoken)
        goto fail; /* nothing to say */
    TRY(push_tag(builder, tag));
    TRY(reserve(builder, count));
    TRY(merged_to_ids(interleaver->vocabulary, merged, count, builder->ids + builder->count));
    builder->count += count;
fail:
    free(merged);
    return result;
}

static enum status builder_begin(struct builder *builder, const struct interleaver *interleaver,
                                 const struct shard_row *row)
{
    enum status result = STATUS_OK;
    const struct vocabulary *vocabulary = interleaver->vocabulary;
    int32_t *ids = NULL;
    int64_t count = 0;
    *builder = (struct builder){.interleaver = interleaver, .row = row, .tag = NO_TAG};
    if (vocabulary->bos >= 0)
        TRY(push(builder, vocabulary->bos));
    if (vocabulary->dummy_prefix == DUMMY_PREFIX_DOCUMENT)
        TRY(text_model_encode_prefix(interleaver->text, &ids, &count));
    TRY(push_all(builder, ids, count));
fail:
    free(ids);
    return result;
}

/* Hands over the ids if everything before went well; a document without a piece is empty. */
static enum status builder_finish(struct builder *builder, enum status result, struct document *document)
{
    const struct vocabulary *vocabulary = builder->interleaver->vocabulary;
    if (result == STATUS_OK && builder->spans > 0 && vocabulary->eos >= 0)
        result = push(builder, vocabulary->eos);
    if (result != STATUS_OK || builder->spans == 0) {
        free(builder->ids);
        builder->ids = NULL;
        builder->count = 0;
    }
    *document = (struct document){.ids = builder->ids, .count = builder->count, .spans = builder->spans};
    return result;
}

enum status document_from_text(const struct interleaver *interleaver, const struct shard_row *row,
                               struct document *document)
{
    struct builder builder;
    enum status result = builder_begin(&builder, interleaver, row);
    if (result == STATUS_OK)
        result = push_text(&builder, interleaver->vocabulary->text_tag, 0, row->text_length);
    return builder_finish(&builder, result, document);
}

enum status document_from_speech(const struct interleaver *interleaver, const struct shard_row *row,
                                 struct document *document)
{
    struct builder builder;
    enum status result = builder_begin(&builder, interleaver, row);
    if (result == STATUS_OK)
        result = push_speech(&builder, interleaver->vocabulary->speech_tag, 0, -1);
    return builder_finish(&builder, result, document);
}

/* Where a cut before word `word` lies: 0 before the first word, which also takes what precedes it, and the end after
 * the last. */
static int64_t text_cut(const struct shard_row *row, int64_t word)
{
    return word == 0 ? 0 : word < row->word_count ? row->words[word].text_begin : row->text_length;
}

static int64_t sample_cut(const struct shard_row *row, int64_t word)
{
    return word == 0 ? 0 : word < row->word_count ? row->words[word].start : -1;
}

/* Whether a hubert unit starts within words [first, end): a word can be shorter than a unit. */
static enum status is_spoken(const struct builder *builder, int64_t first, int64_t end, bool *spoken)
{
    struct merged_unit *merged;
    int64_t count;
    enum status result =
        units_merge(&builder->row->units, &builder->interleaver->rates, sample_cut(builder->row, first),
                    sample_cut(builder->row, end), 1u << STREAM_HUBERT, &merged, &count);
    if (result != STATUS_OK)
        return result;
    free(merged);
    *spoken = count > 0;
    return STATUS_OK;
}

/* Spans of uniformly drawn numbers of words, text and speech in turn; a coin toss decides which comes first, and the
 * last takes what is left. A span of speech in which no unit starts is given as text, and joins the text around it. */
static enum status push_spans(struct builder *builder, struct rng *rng)
{
    const struct shard_row *row = builder->row;
    const struct vocabulary *vocabulary = builder->interleaver->vocabulary;
    const struct interleave_options *options = &builder->interleaver->options;
    bool speech = rng_below(rng, 2) == 1;
    int64_t text_first = -1; /* first word of the text that is not yet written; -1: none */
    for (int64_t first = 0, end; first < row->word_count; first = end, speech = !speech) {
        int64_t minimum = speech ? options->speech_words_minimum : options->text_words_minimum;
        int64_t maximum = speech ? options->speech_words_maximum : options->text_words_maximum;
        int64_t words = minimum + (int64_t)rng_below(rng, (uint64_t)(maximum - minimum) + 1);
        end = words < row->word_count - first ? first + words : row->word_count;
        bool spoken = false;
        enum status result = STATUS_OK;
        if (speech && (result = is_spoken(builder, first, end, &spoken)) != STATUS_OK)
            return result;
        if (!spoken) {
            text_first = text_first < 0 ? first : text_first;
            continue;
        }
        if (text_first >= 0)
            result = push_text(builder, vocabulary->text_tag, text_cut(row, text_first), text_cut(row, first));
        text_first = -1;
        if (result == STATUS_OK)
            result = push_speech(builder, vocabulary->speech_tag, sample_cut(row, first), sample_cut(row, end));
        if (result != STATUS_OK)
            return result;
    }
    return text_first < 0 ? STATUS_OK
                          : push_text(builder, vocabulary->text_tag, text_cut(row, text_first), row->text_length);
}

static enum status push_words(struct builder *builder)
{
    const struct shard_row *row = builder->row;
    const struct vocabulary *vocabulary = builder->interleaver->vocabulary;
    for (int64_t word = 0; word < row->word_count; word++) {
        enum status result = push_text(builder, vocabulary->text_tag, text_cut(row, word), text_cut(row, word + 1));
        if (result == STATUS_OK)
            result = push_speech(builder, vocabulary->speech_tag, sample_cut(row, word), sample_cut(row, word + 1));
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

static enum status push_task(struct builder *builder, struct rng *rng)
{
    const struct vocabulary *vocabulary = builder->interleaver->vocabulary;
    enum status result = STATUS_OK;
    if (rng_below(rng, 2) == 0) {
        TRY(push_speech(builder, vocabulary->speech_tag, 0, -1));
        TRY(push_text(builder, vocabulary->asr_tag, 0, builder->row->text_length));
    } else {
        TRY(push_text(builder, vocabulary->text_tag, 0, builder->row->text_length));
        TRY(push_speech(builder, vocabulary->tts_tag, 0, -1));
    }
fail:
    return result;
}

enum status document_interleaved(const struct interleaver *interleaver, const struct shard_row *row, struct rng *rng,
                                 struct document *document)
{
    struct builder builder;
    *document = (struct document){0};
    if (!row->words || row->word_count < 1 || row->units.count[STREAM_HUBERT] < 1)
        return status_set(STATUS_INTERNAL, "%.*s: not aligned, or without units", (int)row->id_length, row->id);
    enum interleave_mode mode = interleaver->options.mode;
    if (mode == INTERLEAVE_SPANS_ASR_TTS)
        mode = rng_below(rng, 2) == 0 ? INTERLEAVE_SPANS : INTERLEAVE_ASR_TTS;
    enum status result = builder_begin(&builder, interleaver, row);
    if (result == STATUS_OK && mode == INTERLEAVE_SPANS)
        result = push_spans(&builder, rng);
    else if (result == STATUS_OK && mode == INTERLEAVE_WORDS)
        result = push_words(&builder);
    else if (result == STATUS_OK && mode == INTERLEAVE_ASR_TTS)
        result = push_task(&builder, rng);
    else if (result == STATUS_OK && rng_below(rng, 2) == 0)
        result = push_text(&builder, interleaver->vocabulary->text_tag, 0, row->text_length);
    else if (result == STATUS_OK)
        result = push_speech(&builder, interleaver->vocabulary->speech_tag, 0, -1);
    result = builder_finish(&builder, result, document);
    document->words = result == STATUS_OK ? row->word_count : 0;
    document->switched_words = document->spans > 1 ? document->words : 0;
    return result;
}

enum status document_crossing(const struct interleaver *interleaver, const struct crossing *crossing,
                              struct document *document, int64_t *tag)
{
    const struct vocabulary *vocabulary = interleaver->vocabulary;
    const struct shard_row *prompt = crossing->prompt, *continuation = crossing->continuation;
    struct builder builder;
    enum status result = builder_begin(&builder, interleaver, prompt);
    if (result == STATUS_OK && crossing->speech_first)
        result = push_speech(&builder, vocabulary->speech_tag, 0, sample_cut(prompt, crossing->prompt_cut));
    else if (result == STATUS_OK)
        result = push_text(&builder, vocabulary->text_tag, 0, text_cut(prompt, crossing->prompt_cut));
    builder.row = continuation;
    *tag = builder.count;
    if (result == STATUS_OK && crossing->speech_first)
        result = push_text(&builder, vocabulary->text_tag, text_cut(continuation, crossing->continuation_cut),
                           continuation->text_length);
    else if (result == STATUS_OK)
        result =
            push_speech(&builder, vocabulary->speech_tag, sample_cut(continuation, crossing->continuation_cut), -1);
    if (builder.spans < 2)
        builder.spans = 0; /* so that nothing is handed over */
    return builder_finish(&builder, result, document);
}
