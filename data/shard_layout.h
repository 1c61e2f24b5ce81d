/* Shared by the files of the shard code: the columns of a shard, as arrays in memory and as HDF5 datasets. */
#ifndef SPIRITLM_DATA_SHARD_LAYOUT_H
#define SPIRITLM_DATA_SHARD_LAYOUT_H

#include "data/shard.h"

enum shard_element { ELEMENT_U8, ELEMENT_U16, ELEMENT_I32, ELEMENT_I64, ELEMENT_U32, ELEMENT_F32, ELEMENT_COUNT };

enum shard_column {
    COLUMN_FORMAT, /* [1] the version of this layout */
    COLUMN_FINGERPRINT,
    COLUMN_RATE,
    COLUMN_ID, /* a ragged column's offsets follow it */
    COLUMN_ID_OFFSET,
    COLUMN_SPEAKER,
    COLUMN_SPEAKER_OFFSET,
    COLUMN_META,
    COLUMN_META_OFFSET,
    COLUMN_TEXT,
    COLUMN_TEXT_OFFSET,
    COLUMN_WORD_START,
    COLUMN_WORD_END,
    COLUMN_WORD_TEXT_BEGIN,
    COLUMN_WORD_TEXT_END,
    COLUMN_WORD_OFFSET,
    COLUMN_HUBERT,
    COLUMN_HUBERT_OFFSET,
    COLUMN_PITCH,
    COLUMN_PITCH_OFFSET,
    COLUMN_STYLE,
    COLUMN_STYLE_OFFSET,
    COLUMN_DURATION,
    COLUMN_SCORE,
    COLUMN_SOURCE,
    COLUMN_CRC, /* [rows + 1]; the last is of format, fingerprint, rate and the number of rows */
    COLUMN_COUNT
};

enum { SHARD_FORMAT = 1, SHARD_SOURCE_BYTES = 32 };

struct shard_column_layout {
    const char *group, *name; /* group NULL: at the root */
    enum shard_element element;
    bool speech; /* left out of a text shard */
};
extern const struct shard_column_layout shard_layout[COLUMN_COUNT];
extern const size_t shard_element_size[ELEMENT_COUNT];

struct shard_columns {
    void *data[COLUMN_COUNT];    /* malloc'ed; NULL when count is 0 */
    int64_t count[COLUMN_COUNT]; /* elements */
};
void shard_columns_free(struct shard_columns *columns);

/* Row `index` of columns whose offsets were checked. Its words are not filled in: they are in four columns. */
void shard_columns_row(const struct shard_columns *columns, int64_t index, struct shard_row *row);

/* The words of row `index`, gathered from their four columns into words[word_count of the row]. */
void shard_columns_words(const struct shard_columns *columns, int64_t index, struct aligned_word *words);

/* "" when the row keeps the promises of struct shard_row, else what is wrong with it. */
const char *shard_row_defect(const struct shard_row *row);

/* CRC32C of a row: over the length in bytes (int64) and the bytes of each field, in the order of struct shard_row. */
uint32_t shard_row_crc(const struct shard_row *row);
uint32_t shard_header_crc(const struct shard_columns *columns, int64_t rows);

/* From columns to an HDF5 file in memory and back (shard_hdf5.c). A column without elements is left out of the file. */
enum status shard_image_make(const char *name, const struct shard_columns *columns, void **image, int64_t *size);
/* In shard_gate.c: refuses an image with anything in its structure that shard_image_make does not write, before
 * libhdf5, which a crafted file can crash, sees it. */
enum status shard_image_check(const char *name, const void *image, int64_t size);
enum status shard_image_parse(const char *name, const void *image, int64_t size, struct shard_columns *columns);

#endif
