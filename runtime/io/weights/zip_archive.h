/* The records of a zip file that stores them as they are, as torch.save writes it (PKWARE's APPNOTE 6.3.10; ZIP64 and data
 * descriptors are read). Nothing is copied or unpacked: a record is a range of the mapped file. Compressed and encrypted
 * records, two of one name, ranges that overlap or leave the file, and headers that contradict each other are refused. */
#ifndef SPIRITLM_IO_WEIGHTS_ZIP_ARCHIVE_H
#define SPIRITLM_IO_WEIGHTS_ZIP_ARCHIVE_H

#include "core/status.h"
#include "io/mapped_file.h"

#include <stdbool.h>
#include <stdint.h>

struct zip_record {
    const char *name; /* in the file, without a NUL */
    int64_t name_length;
    int64_t header; /* offset of its local header */
    int64_t begin;  /* offset of its data */
    int64_t size;
    uint32_t crc;
    bool descriptor; /* its sizes are repeated behind its data */
};

struct zip_archive {
    const struct mapped_file *file; /* borrowed */
    struct zip_record *records;     /* in order of names */
    int64_t count;
};

/* STATUS_CORRUPT, with the file, the record and the reason. `archive` is for zip_archive_free, also after a failure. */
enum status zip_archive_read(const struct mapped_file *file, struct zip_archive *archive);
void zip_archive_free(struct zip_archive *archive);

/* NULL: no record of that name. */
const struct zip_record *zip_archive_find(const struct zip_archive *archive, const char *name, int64_t length);

/* Reads the record and compares its CRC-32. The pages of a large one are given back on the way. */
enum status zip_record_verify(const struct zip_archive *archive, const struct zip_record *record);

#endif
