/* Rows are appended to columns in memory, which become one file at the end: a shard is small enough for that, and a
 * file written in one go is whole or not there. A row is checked by the reader's own rules before it is accepted, so
 * that nothing is written that would be refused when it is read. */
#include "core/array.h"
#include "data/shard_layout.h"
#include "io/atomic_file.h"

#include <stdlib.h>
#include <string.h>

struct shard_writer {
    struct shard_columns columns; /* a row's end offset is at [row + 1]; [0] is set at creation */
    int64_t capacity[COLUMN_COUNT];
    int64_t rows;
    bool speech;
};

static enum status append(struct shard_writer *writer, enum shard_column column, const void *data, int64_t count)
{
    size_t size = shard_element_size[shard_layout[column].element];
    size_t used = (size_t)writer->columns.count[column] * size, bytes;
    if (count < 0 || __builtin_mul_overflow((size_t)count, size, &bytes) || bytes > (size_t)SHARD_MAX_BYTES ||
        used + bytes > (size_t)SHARD_MAX_BYTES)
        return status_set(STATUS_USAGE, "column %s/%s of a shard would be larger than %d MiB",
                          shard_layout[column].group ? shard_layout[column].group : "", shard_layout[column].name,
                          SHARD_MAX_BYTES >> 20);
    enum status result = array_grow_sized(&writer->columns.data[column], &writer->capacity[column],
                                          writer->columns.count[column] + count, size, "values of a column");
    if (result != STATUS_OK)
        return result;
    if (bytes > 0)
        memcpy((char *)writer->columns.data[column] + used, data, bytes);
    writer->columns.count[column] += count;
    return STATUS_OK;
}

/* Appends to a ragged column and to the offsets that follow it. */
static enum status append_ragged(struct shard_writer *writer, enum shard_column column, const void *data, int64_t count)
{
    enum status result = append(writer, column, data, count);
    if (result == STATUS_OK)
        result = append(writer, column + 1, &writer->columns.count[column], 1);
    return result;
}

static enum status append_words(struct shard_writer *writer, const struct shard_row *row)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < row->word_count; i++) {
        TRY(append(writer, COLUMN_WORD_START, &row->words[i].start, 1));
        TRY(append(writer, COLUMN_WORD_END, &row->words[i].end, 1));
        TRY(append(writer, COLUMN_WORD_TEXT_BEGIN, &row->words[i].text_begin, 1));
        TRY(append(writer, COLUMN_WORD_TEXT_END, &row->words[i].text_end, 1));
    }
    TRY(append(writer, COLUMN_WORD_OFFSET, &writer->columns.count[COLUMN_WORD_START], 1));
fail:
    return result;
}

enum status shard_writer_create(struct shard_writer **writer)
{
    static const enum shard_column offsets[] = {COLUMN_ID_OFFSET,    COLUMN_SPEAKER_OFFSET, COLUMN_META_OFFSET,
                                                COLUMN_TEXT_OFFSET,  COLUMN_WORD_OFFSET,    COLUMN_HUBERT_OFFSET,
                                                COLUMN_PITCH_OFFSET, COLUMN_STYLE_OFFSET};
    enum status result = STATUS_OK;
    const int64_t zero = 0;
    *writer = calloc(1, sizeof **writer);
    if (!*writer)
        FAIL(STATUS_INTERNAL, "no memory for a shard");
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        TRY(append(*writer, offsets[i], &zero, 1));
fail:
    if (result != STATUS_OK) {
        shard_writer_free(*writer);
        *writer = NULL;
    }
    return result;
}

void shard_writer_free(struct shard_writer *writer)
{
    if (!writer)
        return;
    shard_columns_free(&writer->columns);
    free(writer);
}

int64_t shard_writer_rows(const struct shard_writer *writer)
{
    return writer->rows;
}

enum status shard_writer_add(struct shard_writer *writer, const struct shard_row *row)
{
    enum status result = STATUS_OK;
    const char *defect = shard_row_defect(row);
    if (*defect)
        FAIL(STATUS_INTERNAL, "row \"%.*s\" cannot be stored in a shard: it has %s", (int)row->id_length,
             row->id ? row->id : "", defect);
    if (writer->rows == SHARD_ROWS)
        FAIL(STATUS_INTERNAL, "more than %d rows for one shard", SHARD_ROWS);
    TRY(append_ragged(writer, COLUMN_ID, row->id, row->id_length));
    TRY(append_ragged(writer, COLUMN_SPEAKER, row->speaker, row->speaker_length));
    TRY(append_ragged(writer, COLUMN_META, row->meta, row->meta_length));
    TRY(append_ragged(writer, COLUMN_TEXT, row->text, row->text_length));
    TRY(append_words(writer, row));
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        TRY(append_ragged(writer, (enum shard_column)(COLUMN_HUBERT + 2 * stream), row->units.values[stream],
                          row->units.count[stream]));
    TRY(append(writer, COLUMN_DURATION, &row->duration, 1));
    TRY(append(writer, COLUMN_SCORE, &row->score, 1));
    TRY(append(writer, COLUMN_SOURCE, row->source.bytes, SHARD_SOURCE_BYTES));
    writer->rows++;
    writer->speech |= row->duration > 0 || row->units.count[STREAM_HUBERT] > 0;
fail:
    return result;
}

/* The columns that do not belong to rows, computed at every write. */
static enum status append_header(struct shard_writer *writer, const struct shard_fingerprints *fingerprints)
{
    enum status result = STATUS_OK;
    const uint32_t format = SHARD_FORMAT;
    struct shard_columns *columns = &writer->columns;
    columns->count[COLUMN_FORMAT] = columns->count[COLUMN_FINGERPRINT] = columns->count[COLUMN_RATE] = 0;
    TRY(append(writer, COLUMN_FORMAT, &format, 1));
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        const struct rational *rate = &fingerprints->rates.rate[stream];
        TRY(append(writer, COLUMN_FINGERPRINT, fingerprints->stream[stream].bytes, 32));
        TRY(append(writer, COLUMN_RATE, &rate->numerator, 1));
        TRY(append(writer, COLUMN_RATE, &rate->denominator, 1));
    }
fail:
    return result;
}

/* What the file will hold: a view of the writer's columns, without the speech columns in a text shard. */
static struct shard_columns columns_to_store(const struct shard_writer *writer)
{
    struct shard_columns stored = writer->columns;
    for (int column = 0; column < COLUMN_COUNT; column++)
        if (!writer->speech && shard_layout[column].speech) {
            stored.data[column] = NULL;
            stored.count[column] = 0;
        }
    return stored;
}

static enum status append_crcs(struct shard_writer *writer)
{
    enum status result = STATUS_OK;
    struct aligned_word *words = NULL;
    writer->columns.count[COLUMN_CRC] = 0;
    for (int64_t i = 0; i < writer->rows; i++) {
        struct shard_columns stored = columns_to_store(writer);
        struct shard_row row;
        shard_columns_row(&stored, i, &row);
        words = malloc((size_t)(row.word_count + 1) * sizeof *words);
        if (!words)
            FAIL(STATUS_INTERNAL, "no memory for %lld words", (long long)row.word_count);
        shard_columns_words(&stored, i, words);
        row.words = words;
        uint32_t crc = shard_row_crc(&row);
        TRY(append(writer, COLUMN_CRC, &crc, 1));
        free(words);
        words = NULL;
    }
    struct shard_columns stored = columns_to_store(writer);
    uint32_t crc = shard_header_crc(&stored, writer->rows);
    TRY(append(writer, COLUMN_CRC, &crc, 1));
fail:
    free(words);
    return result;
}

enum status shard_writer_write(struct shard_writer *writer, const char *path,
                               const struct shard_fingerprints *fingerprints, int64_t *bytes, struct sha256 *hash)
{
    enum status result = STATUS_OK;
    void *image = NULL;
    int64_t size = 0;
    TRY(append_header(writer, fingerprints));
    TRY(append_crcs(writer));
    struct shard_columns stored = columns_to_store(writer);
    TRY(shard_image_make(path, &stored, &image, &size));
    if (size > SHARD_MAX_BYTES)
        FAIL(STATUS_USAGE, "%s: a shard of %lld bytes; at most %d MiB are allowed: split its rows' texts or audio",
             path, (long long)size, SHARD_MAX_BYTES >> 20);
    TRY(atomic_write(path, image, size));
    *bytes = size;
    *hash = sha256_of(image, (size_t)size);
fail:
    free(image);
    return result;
}
