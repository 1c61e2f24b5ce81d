/* Shared by the files of prepare. */
#ifndef SPIRITLM_DATA_PREPARE_INTERNAL_H
#define SPIRITLM_DATA_PREPARE_INTERNAL_H

#include "core/path.h"
#include "core/thread_pool.h"
#include "data/align/align.h"
#include "data/manifest.h"
#include "data/prepare/alignment_store.h"
#include "data/prepare/prepare.h"
#include "data/shard_index.h"
#include "io/audio/audio.h"
#include "io/lock.h"
#include "speech/component.h"

struct prepare_dataset {
    char *name, folder[PATH_BYTES]; /* "train", "OUTPUT/train" */
    struct manifest manifest;
    enum dataset_kind kind;
    bool ready;                             /* speech that comes as units: no audio is read */
    struct shard_fingerprints fingerprints; /* of the tokenizers, or of the label of the ready units */
    struct sha256 made_from;
    int64_t shard_rows, shards; /* shard k has the rows from shard_rows * k on */
};
/* Number of manifest rows that shard `number` is made from; the last shard may have fewer. */
int64_t prepare_shard_count(const struct prepare_dataset *dataset, int64_t number);

struct prepare {
    const struct prepare_options *options;
    struct prepare_dataset *datasets;
    int64_t dataset_count;
    struct thread_pool *pool;
    struct speech *speech;    /* the tokenizer; NULL when no dataset needs it */
    struct file_lock **locks; /* by dataset; those that are held */
    double align_threshold;
    struct aligner_model *aligner; /* where a row needs it */
};

/* ---- prepare_plan.c: what is to be made ---- */

enum status prepare_plan(struct prepare *prepare);
/* True when its units are made here, or its ready units are declared to be those of the tokenizer. */
bool prepare_dataset_needs_tokenizer(const struct prepare *prepare, const struct prepare_dataset *dataset);
bool prepare_needs_tokenizer(const struct prepare *prepare); /* one of the datasets does */
/* Fingerprints and made_from of every dataset; the tokenizer must be loaded by now. */
enum status prepare_identify(struct prepare *prepare);
void prepare_plan_free(struct prepare *prepare);

/* ---- prepare_lock.c: io/lock.h ---- */

/* Shared with all who make it from the same things; held until prepare_unlock_datasets. STATUS_USAGE while somebody makes
 * it from other things. Locking it twice is fine. */
enum status prepare_lock_dataset(struct prepare *prepare, const struct prepare_dataset *dataset);
bool prepare_has_locked(const struct prepare *prepare, const struct prepare_dataset *dataset);
void prepare_unlock_datasets(struct prepare *prepare);
/* What killed processes left of these, of the shards', the indices' and the tokenizer's. */
void prepare_remove_abandoned_locks(const struct prepare *prepare);

/* *busy: somebody else makes it and `wait` is false. Each lock is released with lock_release; NULL without locks. */
enum status prepare_lock_shard(const struct prepare *prepare, const struct prepare_dataset *dataset, int64_t number,
                               bool wait, struct file_lock **lock, bool *busy);
/* These two wait. The tokenizer's is refused while somebody fits it on other things. */
enum status prepare_lock_index(const struct prepare *prepare, const struct prepare_dataset *dataset,
                               struct file_lock **lock);
enum status prepare_lock_tokenizer(const struct prepare *prepare, const struct sha256 *fit_from,
                                   struct file_lock **lock);

/* ---- prepare_staged.c: where a shard lies ---- */

/* Where to write it: beside the published one, or under its own name where nothing is published. */
enum status prepare_new_shard_path(const struct prepare_dataset *dataset, int64_t number, char path[PATH_BYTES]);
/* Opens the one with this hash; `path` is where it was found or missed. */
enum status prepare_open_shard(const struct prepare_dataset *dataset, int64_t number, const struct sha256 *hash,
                               char path[PATH_BYTES], struct shard **shard);
bool prepare_has_staged(const struct prepare_dataset *dataset); /* one waits for the index */
/* Gives the waiting shards their names. No index may be there that names other shards. */
enum status prepare_publish_shards(const struct prepare_dataset *dataset, const struct shard_entry *shards);

/* ---- prepare_tokenizer.c and prepare_fit.c ---- */

/* Makes the speech tokenizer's folder where it is missing and `fit` is among the stages; opens it. */
enum status prepare_tokenizer(struct prepare *prepare);

/* Whether the embedded tokenizer is fitted on a dataset's rows; fits it and publishes it as `folder`. */
bool prepare_fits_on(const struct prepare *prepare, const struct prepare_dataset *dataset);
enum status prepare_fit(struct prepare *prepare, const char *folder);

/* ---- prepare_audio.c ---- */

/* The file decoded last, so that the segments of one file do not decode it again. Zero-initialised; one per thread. */
struct audio_cache {
    char *path;
    int channel;
    float *samples;
    int64_t count;
    char note[AUDIO_NOTE_BYTES]; /* what was not as it should be in the file, but could be read */
};
void audio_cache_free(struct audio_cache *cache);

enum { REASON_LENGTH = 512, CHANGES = 4 /* at most, of one row */ };

struct made_row;

/* The row's part of its file, borrowed from the cache. made->reason is set when the row cannot be used ("audio: not ..."),
 * a change is added where something was not taken as it came; the status reports only failures of the machine. */
enum status prepare_audio(struct audio_cache *cache, const struct manifest_row *row, const float **samples,
                          int64_t *count, struct made_row *made);

/* ---- prepare_row.c ---- */

/* What one thread needs to turn rows into stored rows. */
struct row_worker {
    struct aligner *aligner; /* made when first needed */
    struct audio_cache audio;
    const struct alignment_store *known; /* alignments of an earlier run */
};
void row_worker_free(struct row_worker *worker);

struct made_row {
    struct shard_row row; /* points into the manifest's row and the members below */
    struct units units;
    struct aligned_word *words;
    char reason[REASON_LENGTH]; /* "" when the row is accepted */
    char changes[CHANGES]
                [REASON_LENGTH]; /* what is in the dataset otherwise than in the manifest: "kind: particulars" */
    int change_count;
    bool aligned_here; /* `alignment` is set, whether it succeeded or not */
    struct stored_alignment alignment;
};
void made_row_free(struct made_row *made);
/* prepare_changes.c */
void made_row_change(struct made_row *made, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum status prepare_row(const struct prepare *prepare, const struct prepare_dataset *dataset,
                        const struct manifest_row *row, struct row_worker *worker, struct made_row *made);

/* ---- prepare_record.c: parts/NNNNN.json, what is known about one shard ---- */

struct shard_record {
    struct sha256 made_from;
    struct shard_entry entry;
    char *rejects; /* lines of rejects.jsonl */
    char *changes; /* lines of changes.jsonl */
    int64_t reject_count;
};
enum status shard_record_path(const char *folder, int64_t shard, char path[PATH_BYTES]);
enum status shard_record_write(const char *folder, int64_t shard, const struct shard_record *record);
enum status shard_record_read(const char *folder, int64_t shard, struct shard_record *record);
void shard_record_free(struct shard_record *record);

/* ---- the stages of one dataset ---- */

enum status prepare_shards(struct prepare *prepare, const struct prepare_dataset *dataset);
enum status prepare_index(struct prepare *prepare, const struct prepare_dataset *dataset);
enum status prepare_report(struct prepare *prepare, const struct prepare_dataset *dataset);

/* Writes a file unless it holds these bytes already. */
enum status write_if_different(const char *path, const void *data, int64_t size, bool *written);

#endif
