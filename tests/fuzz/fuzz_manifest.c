/* JSON lines of a corpus: whatever is accepted keeps every promise of struct manifest_row. */
#include "fuzz/fuzz.h"

#include "data/manifest.h"

#include <stdlib.h>
#include <string.h>

static void check_words(const struct manifest_row *row)
{
    int32_t time = 0, place = 0, length = row->text ? (int32_t)strlen(row->text) : 0;
    fuzz_require(row->word_count == 0 || row->text, "words have a text");
    for (int64_t i = 0; i < row->word_count; i++) {
        const struct aligned_word *word = row->words + i;
        fuzz_require(word->start >= time && word->end >= word->start, "words do not overlap in time");
        fuzz_require(word->end <= MANIFEST_SECONDS_LIMIT * 16000, "words end within the limit");
        fuzz_require(word->text_begin >= place && word->text_end > word->text_begin && word->text_end <= length,
                     "words do not overlap in the text");
        time = word->end;
        place = word->text_end;
    }
}

static void check_row(const struct manifest_row *row)
{
    static const int64_t unit_limit = INT64_C(1) << 32;
    if (row->fault) {
        fuzz_require(strncmp(row->fault, "line ", 5) == 0, "a fault names its line");
        fuzz_require(!row->text && !row->audio && !row->words && !row->units[0] && !row->meta, "nothing else is left");
        return;
    }
    fuzz_require(row->id && *row->id && strlen(row->id) <= MANIFEST_ID_LIMIT, "a row has an id");
    fuzz_require(row->text || row->audio || row->units[0], "a row has something");
    fuzz_require(row->channel >= -1 && row->channel < 1024, "the channel is in range");
    fuzz_require(row->begin >= 0 && row->begin <= MANIFEST_SECONDS_LIMIT && row->end <= MANIFEST_SECONDS_LIMIT &&
                     (row->end < 0 || row->end > row->begin),
                 "a segment is not empty");
    fuzz_require(!row->text || strlen(row->text) <= MANIFEST_TEXT_LIMIT, "a text is within its limit");
    fuzz_require(!row->meta || row->meta[0] == '{', "labels are an object");
    fuzz_touch(row->speaker, row->speaker ? (int64_t)strlen(row->speaker) : 0);
    fuzz_touch(row->audio, row->audio ? (int64_t)strlen(row->audio) : 0);
    for (int stream = 0; stream < 3; stream++) {
        fuzz_require(row->unit_count[stream] >= 0 && row->unit_count[stream] < unit_limit, "units are counted");
        fuzz_require((row->units[stream] != NULL) == (row->unit_count[stream] > 0), "units are there or not");
        fuzz_touch(row->units[stream], row->unit_count[stream] * 2);
    }
    check_words(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    struct manifest manifest;
    enum status status = manifest_read(path, NULL, &manifest);
    if (status != STATUS_OK) {
        fuzz_require_refusal(status, path);
        return 0;
    }
    fuzz_require(manifest.count > 0, "a manifest has rows");
    for (int64_t i = 0; i < manifest.count; i++) {
        check_row(&manifest.rows[i]);
        fuzz_require(manifest.rows[i].line > (i > 0 ? manifest.rows[i - 1].line : 0), "lines go up");
        if (i > 0 && manifest.rows[i].id && manifest.rows[i - 1].id)
            fuzz_require(strcmp(manifest.rows[i].id, manifest.rows[i - 1].id) != 0, "ids are unique");
    }
    manifest_free(&manifest);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 3, 0);
    return fuzz_mutate_json(data, size, limit, &rng);
}
