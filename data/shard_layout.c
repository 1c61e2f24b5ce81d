/* One table says which columns a shard has; the writer, the reader, the gate and the HDF5 code all use it, so that they
 * cannot disagree. A row's checksum covers the length of each field before its bytes, so that no byte can move from one
 * field into the next unnoticed. */
#include "data/shard_layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct shard_column_layout shard_layout[COLUMN_COUNT] = {
    [COLUMN_FORMAT] = {NULL, "format", ELEMENT_U32, false},
    [COLUMN_FINGERPRINT] = {NULL, "fingerprint", ELEMENT_U8, true},
    [COLUMN_RATE] = {NULL, "rate", ELEMENT_I64, true},
    [COLUMN_ID] = {"id", "data", ELEMENT_U8, false},
    [COLUMN_ID_OFFSET] = {"id", "offset", ELEMENT_I64, false},
    [COLUMN_SPEAKER] = {"speaker", "data", ELEMENT_U8, true},
    [COLUMN_SPEAKER_OFFSET] = {"speaker", "offset", ELEMENT_I64, true},
    [COLUMN_META] = {"meta", "data", ELEMENT_U8, false},
    [COLUMN_META_OFFSET] = {"meta", "offset", ELEMENT_I64, false},
    [COLUMN_TEXT] = {"text", "data", ELEMENT_U8, false},
    [COLUMN_TEXT_OFFSET] = {"text", "offset", ELEMENT_I64, false},
    [COLUMN_WORD_START] = {"word", "start", ELEMENT_I32, true},
    [COLUMN_WORD_END] = {"word", "end", ELEMENT_I32, true},
    [COLUMN_WORD_TEXT_BEGIN] = {"word", "text_begin", ELEMENT_I32, true},
    [COLUMN_WORD_TEXT_END] = {"word", "text_end", ELEMENT_I32, true},
    [COLUMN_WORD_OFFSET] = {"word", "offset", ELEMENT_I64, true},
    [COLUMN_HUBERT] = {"hubert", "data", ELEMENT_U16, true},
    [COLUMN_HUBERT_OFFSET] = {"hubert", "offset", ELEMENT_I64, true},
    [COLUMN_PITCH] = {"pitch", "data", ELEMENT_U16, true},
    [COLUMN_PITCH_OFFSET] = {"pitch", "offset", ELEMENT_I64, true},
    [COLUMN_STYLE] = {"style", "data", ELEMENT_U16, true},
    [COLUMN_STYLE_OFFSET] = {"style", "offset", ELEMENT_I64, true},
    [COLUMN_DURATION] = {NULL, "duration", ELEMENT_I32, true},
    [COLUMN_SCORE] = {NULL, "score", ELEMENT_F32, true},
    [COLUMN_SOURCE] = {NULL, "source", ELEMENT_U8, true},
    [COLUMN_CRC] = {NULL, "crc", ELEMENT_U32, false},
};

const size_t shard_element_size[ELEMENT_COUNT] = {
    [ELEMENT_U8] = 1, [ELEMENT_U16] = 2, [ELEMENT_I32] = 4, [ELEMENT_I64] = 8, [ELEMENT_U32] = 4, [ELEMENT_F32] = 4,
};

void shard_columns_free(struct shard_columns *columns)
{
    for (int column = 0; column < COLUMN_COUNT; column++)
        free(columns->data[column]);
    memset(columns, 0, sizeof *columns);
}

/* The part of a ragged column that belongs to row `index`; NULL and 0 when the shard lacks the column. */
static const void *slice(const struct shard_columns *columns, enum shard_column data, enum shard_column offset,
                         int64_t index, int64_t *count)
{
    const int64_t *offsets = columns->data[offset];
    *count = offsets ? offsets[index + 1] - offsets[index] : 0;
    if (*count == 0)
        return NULL;
    return (const char *)columns->data[data] + (size_t)offsets[index] * shard_element_size[shard_layout[data].element];
}

void shard_columns_row(const struct shard_columns *columns, int64_t index, struct shard_row *row)
{
    memset(row, 0, sizeof *row);
    row->id = slice(columns, COLUMN_ID, COLUMN_ID_OFFSET, index, &row->id_length);
    row->speaker = slice(columns, COLUMN_SPEAKER, COLUMN_SPEAKER_OFFSET, index, &row->speaker_length);
    row->meta = slice(columns, COLUMN_META, COLUMN_META_OFFSET, index, &row->meta_length);
    row->text = slice(columns, COLUMN_TEXT, COLUMN_TEXT_OFFSET, index, &row->text_length);
    slice(columns, COLUMN_WORD_START, COLUMN_WORD_OFFSET, index, &row->word_count);
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        enum shard_column column = (enum shard_column)(COLUMN_HUBERT + 2 * stream);
        const void *values = slice(columns, column, column + 1, index, &row->units.count[stream]);
        row->units.values[stream] = (uint16_t *)(uintptr_t)values;
    }
    row->score = NAN;
    if (columns->data[COLUMN_DURATION]) {
        row->duration = ((const int32_t *)columns->data[COLUMN_DURATION])[index];
        row->score = ((const float *)columns->data[COLUMN_SCORE])[index];
        memcpy(row->source.bytes, (const char *)columns->data[COLUMN_SOURCE] + index * SHARD_SOURCE_BYTES,
               SHARD_SOURCE_BYTES);
    }
}

void shard_columns_words(const struct shard_columns *columns, int64_t index, struct aligned_word *words)
{
    const int64_t *offsets = columns->data[COLUMN_WORD_OFFSET];
    if (!offsets)
        return;
    const int32_t *start = columns->data[COLUMN_WORD_START], *end = columns->data[COLUMN_WORD_END];
    const int32_t *text_begin = columns->data[COLUMN_WORD_TEXT_BEGIN], *text_end = columns->data[COLUMN_WORD_TEXT_END];
    for (int64_t i = offsets[index]; i < offsets[index + 1]; i++)
        *words++ = (struct aligned_word){start[i], end[i], text_begin[i], text_end[i]};
}

const char *shard_row_defect(const struct shard_row *row)
{
    if (row->id_length <= 0)
        return "no id";
    if (row->duration < 0)
        return "a negative duration";
    const struct aligned_word *last = NULL;
    for (int64_t i = 0; i < row->word_count; last = row->words + i++) {
        const struct aligned_word *word = row->words + i;
        if (word->start < (last ? last->end : 0) || word->end < word->start || word->end > row->duration)
            return "word times that overlap or leave the audio";
        if (word->text_begin < (last ? last->text_end : 0) || word->text_end <= word->text_begin ||
            word->text_end > row->text_length)
            return "words that overlap in the text or leave it";
    }
    return "";
}

static uint32_t crc_field(uint32_t crc, const void *data, int64_t bytes)
{
    crc = crc32c(crc, &bytes, sizeof bytes);
    return bytes > 0 ? crc32c(crc, data, (size_t)bytes) : crc;
}

uint32_t shard_row_crc(const struct shard_row *row)
{
    uint32_t crc = crc_field(0, row->id, row->id_length);
    crc = crc_field(crc, row->speaker, row->speaker_length);
    crc = crc_field(crc, row->meta, row->meta_length);
    crc = crc_field(crc, row->text, row->text_length);
    crc = crc_field(crc, row->words, row->word_count * (int64_t)sizeof *row->words);
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        crc = crc_field(crc, row->units.values[stream], row->units.count[stream] * (int64_t)sizeof(uint16_t));
    crc = crc_field(crc, &row->duration, sizeof row->duration);
    crc = crc_field(crc, &row->score, sizeof row->score);
    return crc_field(crc, row->source.bytes, sizeof row->source.bytes);
}

uint32_t shard_header_crc(const struct shard_columns *columns, int64_t rows)
{
    static const enum shard_column header[] = {COLUMN_FORMAT, COLUMN_FINGERPRINT, COLUMN_RATE};
    uint32_t crc = 0;
    for (size_t i = 0; i < sizeof header / sizeof *header; i++)
        crc = crc_field(crc, columns->data[header[i]],
                        columns->count[header[i]] * (int64_t)shard_element_size[shard_layout[header[i]].element]);
    return crc_field(crc, &rows, sizeof rows);
}
