/* A split of a corpus into parts. Which part a row belongs to follows from the seed and from its speaker or document
 * alone, so that it does not change when other rows are added or listed in another order. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_SPLIT_H
#define SPIRITLM_DATA_PREPARE_IMPORT_SPLIT_H

#include "data/prepare/import/import_rows.h"

enum { IMPORT_PARTS = 16, IMPORT_PART_NAME = 64 };

struct import_split {
    int count; /* 0: no split */
    char names[IMPORT_PARTS][IMPORT_PART_NAME];
    double shares[IMPORT_PARTS];
    int *parts; /* of each row */
    int64_t rows[IMPORT_PARTS];
};

/* "train=0.9,valid=0.05,test=0.05": names of letters, digits, - and _; shares above 0 that add up to 1. NULL: none. */
enum status import_split_parse(const char *text, struct import_split *split);

/* STATUS_USAGE when a row has nothing to be split by, or a part would be empty. */
enum status import_split_rows(const struct import *import, struct import_split *split);
void import_split_free(struct import_split *split);

#endif
