#include "fuzz/shard_checks.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check_words(const struct shard_row *row)
{
    int32_t time = 0, place = 0;
    for (int64_t i = 0; i < row->word_count; i++) {
        const struct aligned_word *word = row->words + i;
        fuzz_require(word->start >= time && word->end >= word->start && word->end <= row->duration,
                     "words do not overlap and lie in the audio");
        fuzz_require(word->text_begin >= place && word->text_end > word->text_begin &&
                         word->text_end <= row->text_length,
                     "words do not overlap and lie in the text");
        time = word->end;
        place = word->text_end;
    }
}

void shard_check(const struct shard *shard)
{
    struct shard_totals totals = {0};
    fuzz_require(shard_rows(shard) >= 0 && shard_rows(shard) <= SHARD_ROWS, "a shard has at most 512 rows");
    for (int64_t r = 0; r < shard_rows(shard); r++) {
        struct shard_row row;
        shard_row_get(shard, r, &row);
        fuzz_require(row.id_length > 0 && row.text_length >= 0 && row.speaker_length >= 0 && row.meta_length >= 0,
                     "lengths are lengths");
        fuzz_touch(row.id, row.id_length);
        fuzz_touch(row.text, row.text_length);
        fuzz_touch(row.speaker, row.speaker_length);
        fuzz_touch(row.meta, row.meta_length);
        fuzz_touch(row.words, row.word_count * (int64_t)sizeof *row.words);
        fuzz_touch(row.source.bytes, sizeof row.source.bytes);
        for (int stream = 0; stream < STREAM_COUNT; stream++)
            fuzz_touch(row.units.values[stream], row.units.count[stream] * 2);
        fuzz_require(row.duration >= 0, "a duration is not negative");
        check_words(&row);
    }
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        const struct rational *rate = &shard_get_fingerprints(shard)->rates.rate[stream];
        fuzz_require(rate->numerator >= 0 && rate->numerator <= 1000000 && rate->denominator >= 1 &&
                         rate->denominator <= 1000000,
                     "rates are in range");
    }
    shard_count(shard, &totals);
    fuzz_require(totals.rows == shard_rows(shard), "rows are counted");
}

void columns_from_bytes(const uint8_t *data, size_t size, struct shard_columns *columns)
{
    memset(columns, 0, sizeof *columns);
    for (int column = 0; column < COLUMN_COUNT && size >= 2; column++) {
        size_t length = (size_t)data[0] | (size_t)data[1] << 8;
        data += 2;
        size -= 2;
        length = length < size ? length : size;
        size_t width = shard_element_size[shard_layout[column].element], count = length / width;
        if (count > 0 && (columns->data[column] = malloc(count * width))) {
            memcpy(columns->data[column], data, count * width);
            columns->count[column] = (int64_t)count;
        }
        data += length;
        size -= length;
    }
}

size_t columns_to_bytes(const struct shard_columns *columns, uint8_t *data, size_t limit)
{
    size_t used = 0;
    for (int column = 0; column < COLUMN_COUNT; column++) {
        size_t length = (size_t)columns->count[column] * shard_element_size[shard_layout[column].element];
        if (length > UINT16_MAX || used + 2 + length > limit)
            return 0;
        data[used] = (uint8_t)length;
        data[used + 1] = (uint8_t)(length >> 8);
        if (length > 0)
            memcpy(data + used + 2, columns->data[column], length);
        used += 2 + length;
    }
    return used;
}
