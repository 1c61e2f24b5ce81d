#include "support/dataset_builder.h"

#include "support/test_support.h"

#include "data/shard_index.h"
#include "io/atomic_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void build_dataset(const char *folder, enum dataset_kind kind, const struct shard_row *rows, int64_t count,
                   int64_t rows_per_shard)
{
    static const struct shard_fingerprints speech = {.stream = {{{1}}, {{2}}, {{3}}},
                                                     .rates = {{{25, 1}, {25, 2}, {1, 1}}}};
    static const struct shard_fingerprints none = {.rates = {{{0, 1}, {0, 1}, {0, 1}}}};
    struct shard_index index = {.kind = kind, .fingerprints = kind == DATASET_SPEECH ? speech : none};
    index.shard_count = (count + rows_per_shard - 1) / rows_per_shard;
    index.shards = calloc((size_t)index.shard_count + 1, sizeof *index.shards);
    assert_non_null(index.shards);
    assert_ok(make_directories(folder));
    for (int64_t s = 0; s < index.shard_count; s++) {
        struct shard_writer *writer;
        struct shard_entry *entry = &index.shards[s];
        struct shard *shard;
        char path[4096];
        assert_ok(shard_writer_create(&writer));
        for (int64_t r = s * rows_per_shard; r < count && r < (s + 1) * rows_per_shard; r++)
            assert_ok(shard_writer_add(writer, &rows[r]));
        entry->rows = shard_writer_rows(writer);
        assert_ok(shard_path(folder, s, path));
        assert_ok(shard_writer_write(writer, path, &index.fingerprints, &entry->bytes, &entry->hash));
        shard_writer_free(writer);
        assert_ok(shard_open(path, &entry->hash, &shard));
        shard_count(shard, &index.totals);
        shard_close(shard);
    }
    assert_ok(shard_index_write(folder, &index));
    free(index.shards);
}

struct shard_row small_speech_row(const char *id)
{
    static const struct aligned_word words[] = {{0, 800, 0, 5}, {800, 1500, 6, 11}};
    static uint16_t units[] = {1, 2, 0, 0, 0xffff, 2};
    return (struct shard_row){.id = id,
                              .id_length = (int64_t)strlen(id),
                              .text = "hello there",
                              .text_length = 11,
                              .meta = "{}",
                              .meta_length = 2,
                              .speaker = "s",
                              .speaker_length = 1,
                              .words = words,
                              .word_count = 2,
                              .units = {{units, units, units}, {6, 3, 1}},
                              .duration = 1920,
                              .score = NAN};
}
