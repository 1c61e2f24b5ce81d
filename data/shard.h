/* Shards: HDF5 files of utterances or texts, written once, read whole into memory and verified before libhdf5 sees a
 * byte (docs/formats.md). A dataset is a folder of shards of one manifest:
 *   shard_00000.h5 ...   at most 512 rows and 64 MiB each
 *   index.json           kind, rows, each shard's size and SHA-256, fingerprints, counts
 *   rejects.jsonl        {"id", "reason"} of every row of the manifest that is in no shard
 *   report.json          hours, tokens per second, spans
 * plus the part files that `prepare --stage shards` leaves for `--stage index`. */
#ifndef SPIRITLM_DATA_SHARD_H
#define SPIRITLM_DATA_SHARD_H

#include "core/hash.h"
#include "data/aligned_word.h"
#include "speech/units.h"

#include <stdint.h>

enum { SHARD_ROWS = 512, SHARD_MAX_BYTES = 64 << 20, DATASET_WINDOW = 4 };

/* A row as stored and as read; when read, everything points into the shard's memory. */
struct shard_row {
    const char *id, *speaker, *meta, *text; /* not NUL-terminated; lengths beside them; length 0: absent */
    int64_t id_length, speaker_length, meta_length, text_length;
    const struct aligned_word *words; /* NULL when not aligned; in order, not overlapping, inside text and duration */
    int64_t word_count;
    struct units units;   /* all counts 0 in a text shard; when read, owned by the shard: no units_free */
    int32_t duration;     /* samples at 16 kHz */
    float score;          /* of the alignment; NAN: not aligned, or with times from the manifest */
    struct sha256 source; /* of the decoded samples; zero for text and ready units */
};

struct shard_fingerprints {
    struct sha256 stream[STREAM_COUNT]; /* of the unit, pitch and style tokenizers; zero when absent */
    struct unit_rates rates;            /* 0/1 when absent */
};

/* ---- writing ---- */
struct shard_writer;
enum status shard_writer_create(struct shard_writer **writer);
/* Copies the row. STATUS_INTERNAL for a row that breaks a promise of struct shard_row, and for the 513th row. */
enum status shard_writer_add(struct shard_writer *writer, const struct shard_row *row);
int64_t shard_writer_rows(const struct shard_writer *writer);
/* Writes the file atomically; returns size and hash of what was written. Frees nothing. Equal rows give equal bytes. A
 * shard of rows without units or duration is a text shard. STATUS_USAGE when it would be larger than
 * SHARD_MAX_BYTES. */
enum status shard_writer_write(struct shard_writer *writer, const char *path,
                               const struct shard_fingerprints *fingerprints, int64_t *bytes, struct sha256 *hash);
void shard_writer_free(struct shard_writer *writer);

/* ---- reading ---- */
struct shard;
/* One read() of the file; refused (STATUS_CORRUPT) unless the hash agrees. Where no hash is known (expected NULL, for
 * `inspect`), only exactly the structure that shard_writer_write makes is passed on to libhdf5.
 * Offsets, ranges and the CRC32C of every row are checked at opening. Thread-safe: libhdf5 is behind a mutex. */
enum status shard_open(const char *path, const struct sha256 *expected, struct shard **shard);
/* The same from bytes in memory, which are only read; `name` is used in errors. */
enum status shard_open_memory(const char *name, const void *data, int64_t size, const struct sha256 *expected,
                              struct shard **shard);
void shard_close(struct shard *shard); /* NULL is fine */
int64_t shard_rows(const struct shard *shard);
void shard_row_get(const struct shard *shard, int64_t index, struct shard_row *row);
const struct shard_fingerprints *shard_get_fingerprints(const struct shard *shard);

/* A dataset: its index, with shards opened on demand and the last `window` kept open (DATASET_WINDOW, or what
 * dataset_reserve asked for). */
enum dataset_kind { DATASET_TEXT, DATASET_SPEECH };
const char *dataset_kind_name(enum dataset_kind kind); /* "text", "speech" */
struct dataset;
/* Reads and checks index.json; shards are verified when they are touched. STATUS_USAGE when there is no index. */
enum status dataset_open(const char *folder, struct dataset **dataset);
/* Keeps the last `shards` shards open, or as many as fit into 2 GiB: for several readers, each with its own window. */
enum status dataset_reserve(struct dataset *dataset, int64_t shards);
void dataset_close(struct dataset *dataset); /* NULL is fine */
const char *dataset_folder(const struct dataset *dataset);
enum dataset_kind dataset_kind(const struct dataset *dataset);
int64_t dataset_rows(const struct dataset *dataset);
int64_t dataset_shards(const struct dataset *dataset);
/* Number of the shard's first row; for one past the last shard, the number of rows. */
int64_t dataset_shard_begin(const struct dataset *dataset, int64_t shard);
const struct shard_fingerprints *dataset_fingerprints(const struct dataset *dataset);
/* SHA-256 over kind, fingerprints and the shards' hashes: equal for equal contents, wherever the folder lies. */
struct sha256 dataset_hash(const struct dataset *dataset);
/* Row by number over all shards; valid until `window` other shards have been touched. Not thread-safe. */
enum status dataset_row(struct dataset *dataset, int64_t row, struct shard_row *out);

/* What a shard or dataset holds, counted when it was written. */
struct shard_totals {
    int64_t rows, aligned_rows, words;
    int64_t samples;         /* sum of durations at 16 kHz */
    int64_t aligned_samples; /* of the aligned rows */
    int64_t text_bytes;
    int64_t units[STREAM_COUNT]; /* not deduplicated */
    int64_t codes[STREAM_COUNT]; /* largest unit + 1; 0: none */
};
const struct shard_totals *dataset_totals(const struct dataset *dataset);
void shard_count(const struct shard *shard, struct shard_totals *totals); /* adds to totals */

#endif
