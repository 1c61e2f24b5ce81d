/* A shard in memory. The columns that libhdf5 returns are not trusted: offsets, ranges and checksums are checked once
 * here, so that code that reads rows need not check them. */
#include "data/shard_layout.h"
#include "io/atomic_file.h"

#include <stdlib.h>
#include <string.h>

struct shard {
    struct shard_columns columns;
    struct shard_fingerprints fingerprints;
    struct aligned_word *words; /* of all rows */
    int64_t rows;
};

static const int64_t RATE_LIMIT = 1000000; /* numerators and denominators, so that products with samples fit */

static enum status refuse(const char *name, enum shard_column column, const char *reason)
{
    const struct shard_column_layout *layout = shard_layout + column;
    return status_set(STATUS_CORRUPT, "%s: damaged shard: %s%s%s %s", name, layout->group ? layout->group : "",
                      layout->group ? "/" : "", layout->name, reason);
}

/* offset[0] = 0, offsets never decrease, the last is the number of elements; so every slice lies inside the data. */
static enum status check_ragged(const char *name, const struct shard *shard, enum shard_column data,
                                enum shard_column offset)
{
    const int64_t *offsets = shard->columns.data[offset];
    int64_t total = shard->columns.count[data];
    if (shard->columns.count[offset] != shard->rows + 1)
        return refuse(name, offset, "does not have one entry more than there are rows");
    if (offsets[0] != 0 || offsets[shard->rows] != total)
        return refuse(name, offset, "does not span the data");
    for (int64_t i = 0; i < shard->rows; i++)
        if (offsets[i + 1] < offsets[i])
            return refuse(name, offset, "decreases");
    return STATUS_OK;
}

static enum status check_count(const char *name, const struct shard *shard, enum shard_column column, int64_t count)
{
    return shard->columns.count[column] == count ? STATUS_OK : refuse(name, column, "has a wrong length");
}

static enum status check_speech_columns(const char *name, const struct shard *shard)
{
    enum status result = STATUS_OK;
    TRY(check_ragged(name, shard, COLUMN_SPEAKER, COLUMN_SPEAKER_OFFSET));
    TRY(check_ragged(name, shard, COLUMN_WORD_START, COLUMN_WORD_OFFSET));
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        TRY(check_ragged(name, shard, (enum shard_column)(COLUMN_HUBERT + 2 * stream),
                         (enum shard_column)(COLUMN_HUBERT_OFFSET + 2 * stream)));
    int64_t words = shard->columns.count[COLUMN_WORD_START];
    TRY(check_count(name, shard, COLUMN_WORD_END, words));
    TRY(check_count(name, shard, COLUMN_WORD_TEXT_BEGIN, words));
    TRY(check_count(name, shard, COLUMN_WORD_TEXT_END, words));
    TRY(check_count(name, shard, COLUMN_DURATION, shard->rows));
    TRY(check_count(name, shard, COLUMN_SCORE, shard->rows));
    TRY(check_count(name, shard, COLUMN_SOURCE, shard->rows * SHARD_SOURCE_BYTES));
    TRY(check_count(name, shard, COLUMN_FINGERPRINT, STREAM_COUNT * 32));
    TRY(check_count(name, shard, COLUMN_RATE, (int64_t)STREAM_COUNT * 2));
fail:
    return result;
}

static enum status check_columns(const char *name, struct shard *shard)
{
    enum status result = STATUS_OK;
    const struct shard_columns *columns = &shard->columns;
    if (columns->count[COLUMN_FORMAT] != 1)
        FAIL(STATUS_CORRUPT, "%s: not a shard: it has no dataset \"format\"", name);
    uint32_t format = *(const uint32_t *)columns->data[COLUMN_FORMAT];
    if (format != SHARD_FORMAT)
        FAIL(STATUS_CORRUPT, "%s: a shard of format %u; this program reads format %d", name, format, SHARD_FORMAT);
    shard->rows = columns->count[COLUMN_ID_OFFSET] - 1;
    if (shard->rows < 0 || shard->rows > SHARD_ROWS)
        FAIL(STATUS_CORRUPT, "%s: damaged shard: %lld rows; at most %d are allowed", name, (long long)shard->rows,
             SHARD_ROWS);
    TRY(check_ragged(name, shard, COLUMN_ID, COLUMN_ID_OFFSET));
    TRY(check_ragged(name, shard, COLUMN_META, COLUMN_META_OFFSET));
    TRY(check_ragged(name, shard, COLUMN_TEXT, COLUMN_TEXT_OFFSET));
    TRY(check_count(name, shard, COLUMN_CRC, shard->rows + 1));
    bool speech = false;
    for (int column = 0; column < COLUMN_COUNT; column++)
        speech |= shard_layout[column].speech && columns->count[column] > 0;
    if (speech)
        TRY(check_speech_columns(name, shard));
fail:
    return result;
}

static enum status gather_words(const char *name, struct shard *shard)
{
    int64_t count = shard->columns.count[COLUMN_WORD_START];
    if (count == 0)
        return STATUS_OK;
    shard->words = malloc((size_t)count * sizeof *shard->words);
    if (!shard->words)
        return status_set(STATUS_INTERNAL, "%s: no memory for %lld words", name, (long long)count);
    const int64_t *offsets = shard->columns.data[COLUMN_WORD_OFFSET];
    for (int64_t i = 0; i < shard->rows; i++)
        shard_columns_words(&shard->columns, i, shard->words + offsets[i]);
    return STATUS_OK;
}

static enum status read_fingerprints(const char *name, struct shard *shard)
{
    const int64_t *rates = shard->columns.data[COLUMN_RATE];
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        struct rational *rate = &shard->fingerprints.rates.rate[stream];
        *rate = (struct rational){0, 1};
        if (!rates)
            continue;
        memcpy(shard->fingerprints.stream[stream].bytes,
               (const char *)shard->columns.data[COLUMN_FINGERPRINT] + (ptrdiff_t)stream * 32, 32);
        *rate = (struct rational){rates[2 * stream], rates[2 * stream + 1]};
        bool used = shard->columns.count[COLUMN_HUBERT + 2 * stream] > 0;
        if (rate->numerator < used || rate->numerator > RATE_LIMIT || rate->denominator < 1 ||
            rate->denominator > RATE_LIMIT)
            return refuse(name, COLUMN_RATE, "is out of range");
    }
    return STATUS_OK;
}

static enum status check_rows(const char *name, const struct shard *shard)
{
    const uint32_t *crcs = shard->columns.data[COLUMN_CRC];
    if (crcs[shard->rows] != shard_header_crc(&shard->columns, shard->rows))
        return status_set(STATUS_CORRUPT, "%s: damaged shard: the header's CRC32C does not match", name);
    for (int64_t i = 0; i < shard->rows; i++) {
        struct shard_row row;
        shard_row_get(shard, i, &row);
        const char *defect = shard_row_defect(&row);
        if (crcs[i] != shard_row_crc(&row))
            return status_set(STATUS_CORRUPT, "%s: damaged shard: the CRC32C of row %lld does not match", name,
                              (long long)i);
        if (*defect)
            return status_set(STATUS_CORRUPT, "%s: damaged shard: row %lld has %s", name, (long long)i, defect);
    }
    return STATUS_OK;
}

static enum status check_hash(const char *name, const void *data, int64_t size, const struct sha256 *expected)
{
    struct sha256 hash = sha256_of(data, (size_t)size);
    if (memcmp(hash.bytes, expected->bytes, sizeof hash.bytes) == 0)
        return STATUS_OK;
    char found[65], wanted[65];
    sha256_hex(&hash, found);
    sha256_hex(expected, wanted);
    return status_set(STATUS_CORRUPT, "%s: damaged shard: SHA-256 is %.16s..., but the index says %.16s...", name,
                      found, wanted);
}

enum status shard_open_memory(const char *name, const void *data, int64_t size, const struct sha256 *expected,
                              struct shard **shard)
{
    enum status result = STATUS_OK;
    *shard = NULL;
    if (expected)
        TRY(check_hash(name, data, size, expected));
    if (size < 8 || memcmp(data, "\211HDF\r\n\032\n", 8) != 0)
        FAIL(STATUS_CORRUPT, "%s: not a shard: no HDF5 signature", name);
    if (!expected)
        TRY(shard_image_check(name, data, size));
    *shard = calloc(1, sizeof **shard);
    if (!*shard)
        FAIL(STATUS_INTERNAL, "%s: no memory for a shard", name);
    TRY(shard_image_parse(name, data, size, &(*shard)->columns));
    TRY(check_columns(name, *shard));
    TRY(gather_words(name, *shard));
    TRY(read_fingerprints(name, *shard));
    TRY(check_rows(name, *shard));
    return STATUS_OK;
fail:
    shard_close(*shard);
    *shard = NULL;
    return result;
}

enum status shard_open(const char *path, const struct sha256 *expected, struct shard **shard)
{
    void *data = NULL;
    int64_t size = 0;
    *shard = NULL;
    enum status result = file_read(path, SHARD_MAX_BYTES, &data, &size);
    if (result == STATUS_OK)
        result = shard_open_memory(path, data, size, expected, shard);
    free(data);
    return result;
}

void shard_close(struct shard *shard)
{
    if (!shard)
        return;
    shard_columns_free(&shard->columns);
    free(shard->words);
    free(shard);
}

int64_t shard_rows(const struct shard *shard)
{
    return shard->rows;
}

const struct shard_fingerprints *shard_get_fingerprints(const struct shard *shard)
{
    return &shard->fingerprints;
}

void shard_row_get(const struct shard *shard, int64_t index, struct shard_row *row)
{
    shard_columns_row(&shard->columns, index, row);
    if (row->word_count > 0)
        row->words = shard->words + ((const int64_t *)shard->columns.data[COLUMN_WORD_OFFSET])[index];
}

void shard_count(const struct shard *shard, struct shard_totals *totals)
{
    for (int64_t i = 0; i < shard->rows; i++) {
        struct shard_row row;
        shard_row_get(shard, i, &row);
        totals->rows++;
        totals->samples += row.duration;
        totals->text_bytes += row.text_length;
        totals->words += row.word_count;
        if (row.word_count > 0) {
            totals->aligned_rows++;
            totals->aligned_samples += row.duration;
        }
        for (int stream = 0; stream < STREAM_COUNT; stream++) {
            totals->units[stream] += row.units.count[stream];
            for (int64_t j = 0; j < row.units.count[stream]; j++)
                if (row.units.values[stream][j] >= totals->codes[stream])
                    totals->codes[stream] = row.units.values[stream][j] + 1;
        }
    }
}
