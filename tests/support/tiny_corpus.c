#include "support/tiny_corpus.h"

#include "support/sentencepiece_builder.h"
#include "support/test_support.h"

#include "core/rng.h"
#include "data/shard_index.h"
#include "io/atomic_file.h"

#include <math.h>
#include <stdio.h>

/* ---- the text model ---- */

static enum status write_text_model(const char *path)
{
    enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6 };
    struct bytes out = {0};
    put_piece(&out, "<unk>", 5, 0, UNKNOWN);
    put_piece(&out, "<s>", 3, 0, CONTROL);
    put_piece(&out, "</s>", 4, 0, CONTROL);
    for (unsigned byte = 0; byte < 256; byte++) {
        char piece[8];
        snprintf(piece, sizeof piece, "<0x%02X>", byte);
        put_piece(&out, piece, 6, 0, BYTE);
    }
    put_piece(&out, "\xe2\x96\x81", 3, -1, NORMAL);
    for (char letter = 'a'; letter <= 'z'; letter++)
        put_piece(&out, &letter, 1, (float)('a' - letter - 2), NORMAL);
    put_specifications(&out, 2, 1); /* BPE, with bytes where there is no piece */
    enum status written = atomic_write(path, out.data, (int64_t)out.size);
    bytes_free(&out);
    return written;
}

/* ---- the datasets ---- */

enum { MAX_WORDS = 24, WORD_SAMPLES = 6400 };

/* Words of 2 to 5 letters from a small alphabet, so that there is something to learn. */
static int64_t make_text(struct rng *rng, int64_t words, char *text, struct aligned_word *times)
{
    int64_t size = 0;
    for (int64_t w = 0; w < words; w++) {
        if (w)
            text[size++] = ' ';
        times[w].text_begin = (int32_t)size;
        int64_t letters = 2 + (int64_t)rng_below(rng, 4), letter = (int64_t)rng_below(rng, 6);
        for (int64_t i = 0; i < letters; i++)
            text[size++] = (char)('a' + (letter + i) % 6);
        times[w].text_end = (int32_t)size;
        times[w].start = (int32_t)(w * WORD_SAMPLES);
        times[w].end = (int32_t)((w + 1) * WORD_SAMPLES - 320);
    }
    return size;
}

static enum status make_dataset(const char *folder, bool speech, int64_t rows, uint64_t seed)
{
    enum status result = STATUS_OK;
    struct shard_writer *writer = NULL;
    struct shard *shard = NULL;
    struct shard_entry entry = {.rows = rows};
    struct shard_index index = {.kind = speech ? DATASET_SPEECH : DATASET_TEXT, .shards = &entry, .shard_count = 1};
    struct rng rng = rng_make(seed, RNG_TEST, 100, speech);
    char path[4096];
    index.fingerprints.rates = (struct unit_rates){{{25, 1}, {25, 2}, {1, 1}}};
    if (!speech)
        for (int s = 0; s < STREAM_COUNT; s++)
            index.fingerprints.rates.rate[s] = (struct rational){0, 1};
    TRY(make_directories(folder));
    TRY(shard_writer_create(&writer));
    for (int64_t r = 0; r < rows; r++) {
        char id[32], text[MAX_WORDS * 6 + 1];
        struct aligned_word times[MAX_WORDS];
        uint16_t hubert[MAX_WORDS * 10], pitch[MAX_WORDS * 5], style[MAX_WORDS];
        int64_t words = 4 + (int64_t)rng_below(&rng, MAX_WORDS - 4), samples = words * WORD_SAMPLES;
        struct shard_row row = {.id = id, .text = text, .score = NAN};
        row.id_length = snprintf(id, sizeof id, "row-%lld", (long long)r);
        row.text_length = make_text(&rng, words, text, times);
        if (speech) {
            int64_t counts[STREAM_COUNT] = {samples / 640, samples / 1280, (samples + 15999) / 16000};
            for (int64_t i = 0; i < counts[0]; i++)
                hubert[i] = (uint16_t)((i / 2 * 3 + r) % TINY_HUBERT);
            for (int64_t i = 0; i < counts[1]; i++)
                pitch[i] = (uint16_t)(i / 3 % TINY_PITCH);
            for (int64_t i = 0; i < counts[2]; i++)
                style[i] = (uint16_t)(i % TINY_STYLE);
            row.words = times;
            row.word_count = words;
            row.duration = (int32_t)samples;
            row.units = (struct units){{hubert, pitch, style}, {counts[0], counts[1], counts[2]}};
        }
        TRY(shard_writer_add(writer, &row));
    }
    TRY(shard_path(folder, 0, path));
    TRY(shard_writer_write(writer, path, &index.fingerprints, &entry.bytes, &entry.hash));
    TRY(shard_open(path, &entry.hash, &shard));
    shard_count(shard, &index.totals);
    TRY(shard_index_write(folder, &index));
fail:
    shard_close(shard);
    shard_writer_free(writer);
    return result;
}

enum status tiny_corpus_write(const char *folder, int64_t rows, uint64_t seed, struct tiny_corpus *corpus)
{
    enum status result = STATUS_OK;
    snprintf(corpus->text_model, sizeof corpus->text_model, "%s/text.model", folder);
    snprintf(corpus->speech, sizeof corpus->speech, "%s/speech", folder);
    snprintf(corpus->text, sizeof corpus->text, "%s/text", folder);
    TRY(make_directories(folder));
    TRY(write_text_model(corpus->text_model));
    TRY(make_dataset(corpus->speech, true, rows, seed));
    TRY(make_dataset(corpus->text, false, rows, seed));
fail:
    return result;
}

void tiny_corpus_make(int64_t rows, uint64_t seed, struct tiny_corpus *corpus)
{
    char folder[600];
    snprintf(folder, sizeof folder, "%s/corpus", test_directory());
    assert_ok(tiny_corpus_write(folder, rows, seed, corpus));
}

enum status tiny_corpus_components(const struct tiny_corpus *corpus, struct components **components)
{
    struct components_options options = {.text_model = corpus->text_model,
                                         .expressive = true,
                                         .codes = {TINY_HUBERT, TINY_PITCH, TINY_STYLE},
                                         .rates = {{{25, 1}, {25, 2}, {1, 1}}}};
    return components_load(&options, components);
}
