/* Shards: HDF5 files of utterances or texts, written once, read whole into memory and verified before libhdf5 sees a
 * byte (docs/formats.md). A dataset is a folder of shards of one manifest:
 *   shard_00000.h5 ...   at most 512 rows and 64 MiB each
 *   index.json           kind, rows, each shard's size and SHA-256, fingerprints, counts
 *   rejects.jsonl        {"id", "reason"} of every row of the manifest that is in no shard
 *   report.json          hours, tokens, density, spans
 * plus the part files that `prepare --stage shards` leaves for `--stage index`. */
#ifndef SPIRITLM_DATA_SHARD_H
#define SPIRITLM_DATA_SHARD_H

#include "core/hash.h"
#include "data/manifest.h"
#include "speech/units.h"

#include <stdint.h>

enum { SHARD_ROWS = 512, SHARD_MAX_BYTES = 64 << 20 };

/* A row as stored and as read; when read, everything points into the shard's memory. */
struct shard_row {
    const char *id, *speaker, *meta, *text; /* not NUL-terminated; lengths beside them; length 0: absent */
    int64_t id_length, speaker_length, meta_length, text_length;
    const struct aligned_word *words; /* NULL when not aligned */
    int64_t word_count;
    struct units units;  /* all counts 0 in a text shard */
    int32_t duration;    /* samples at 16 kHz */
    float score;         /* of the alignment; NAN: none or given by the manifest */
    struct sha256 source; /* of the decoded samples; zero for text and ready units */
};

struct shard_fingerprints {
    struct sha256 stream[STREAM_COUNT]; /* of the unit, pitch and style tokenizers; zero when absent */
    struct unit_rates rates;
};

/* ---- writing ---- */
struct shard_writer;
enum status shard_writer_create(struct shard_writer **writer);
enum status shard_writer_add(struct shard_writer *writer, const struct shard_row *row); /* copies it */
int64_t shard_writer_rows(const struct shard_writer *writer);
/* Writes the file atomically; size and hash of what was written. Frees nothing. Byte-identical for equal rows. */
enum status shard_writer_write(struct shard_writer *writer, const char *path,
                               const struct shard_fingerprints *fingerprints, int64_t *bytes, struct sha256 *hash);
void shard_writer_free(struct shard_writer *writer);

/* ---- reading ---- */
struct shard;
/* One read() of the file; refused unless size and hash agree (expected NULL: not checked, for `inspect`). CRC32C of
 * every row is checked at opening. */
enum status shard_open(const char *path, const struct sha256 *expected, struct shard **shard);
void shard_close(struct shard *shard);
int64_t shard_rows(const struct shard *shard);
void shard_row_get(const struct shard *shard, int64_t index, struct shard_row *row);
const struct shard_fingerprints *shard_get_fingerprints(const struct shard *shard);

/* A dataset: its index, with shards opened on demand and the last `window` kept open (window of 4). */
enum dataset_kind { DATASET_TEXT, DATASET_SPEECH };
struct dataset;
enum status dataset_open(const char *folder, struct dataset **dataset);
void dataset_close(struct dataset *dataset);
enum dataset_kind dataset_kind(const struct dataset *dataset);
int64_t dataset_rows(const struct dataset *dataset);
int64_t dataset_shards(const struct dataset *dataset);
int64_t dataset_shard_begin(const struct dataset *dataset, int64_t shard); /* its first row's number */
const struct shard_fingerprints *dataset_fingerprints(const struct dataset *dataset);
/* Row by number over all shards; valid until `window` other shards were touched. Not thread-safe. */
enum status dataset_row(struct dataset *dataset, int64_t row, struct shard_row *out);

#endif
