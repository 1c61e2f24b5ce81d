/* Zip files of PyTorch that lie: compressed, overlapping or encrypted records, headers and end records that contradict each
 * other, absurd numbers. All are built here, and each must be refused with its reason in less than a second. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/torch_builder.h"
#include "support/usage.h"

#include "io/weights/torch_archive.h"

#include <string.h>

static void refuse_file(const struct bytes *file, const char *reason)
{
    struct torch_archive *archive;
    const char *path = test_path("hostile.pt");
    write_plainly(path, file->data, (int64_t)file->size);
    double begin = processor_seconds();
    assert_fails(torch_archive_open(path, &archive), STATUS_CORRUPT, reason);
    assert_true(processor_seconds() - begin < 1);
    assert_null(archive);
    assert_non_null(strstr(status_text(), "hostile.pt"));
}

static const uint8_t numbers[16];

enum { PICKLE, DATA, OTHER, PIECES };

static void make_pieces(struct zip_piece pieces[PIECES])
{
    static const uint8_t pickle[] = "N.";
    memset(pieces, 0, PIECES * sizeof *pieces);
    pieces[PICKLE] = (struct zip_piece){.name = "a/data.pkl", .data = (uint8_t *)(uintptr_t)pickle, .size = 2};
    pieces[DATA] = (struct zip_piece){.name = "a/data/0", .data = (uint8_t *)(uintptr_t)numbers, .size = 16};
    pieces[OTHER] = (struct zip_piece){.name = "a/version", .data = (uint8_t *)(uintptr_t) "3\n", .size = 2};
}

static void refuse_zip(const struct zip_piece pieces[PIECES], const char *reason)
{
    for (int end64 = 0; end64 < 2; end64++) {
        struct bytes file = {0};
        zip_build(&file, pieces, PIECES, end64);
        refuse_file(&file, reason);
        bytes_free(&file);
    }
}

static void zip_files_that_lie_are_refused(void **state)
{
    (void)state;
    struct zip_piece pieces[PIECES];
#define CASE(change, reason)                                                                                           \
    do {                                                                                                               \
        make_pieces(pieces);                                                                                           \
        change;                                                                                                        \
        refuse_zip(pieces, reason);                                                                                    \
    } while (0)
    CASE(pieces[DATA].method = 8, "record \"a/data/0\": compressed by method 8");
    CASE(pieces[DATA].method = 0xffff, "compressed by method 65535");
    CASE(pieces[DATA].flags = 1, "encrypted?");
    CASE(pieces[DATA].local_flags = 1, "other flags than the directory");
    CASE(strcpy(pieces[DATA].local_name, "a/data/1"), "its header has another name");
    CASE(strcpy(pieces[DATA].name, "a/version"), "record \"a/version\": there are two of that name");
    CASE(strcpy(pieces[DATA].name, "b/data.pkl"), "two records data.pkl");
    CASE(strcpy(pieces[PICKLE].name, "data.pkl"), "without FOLDER/data.pkl");
    CASE(strcpy(pieces[PICKLE].name, "a/b/data.pkl"), "without FOLDER/data.pkl");
    CASE(pieces[OTHER].crc_change = 1, "record \"a/version\": expected CRC-32");
    CASE(pieces[PICKLE].size_change = 1, "no data descriptor with its size");
    CASE(pieces[PICKLE].size_change = 0x7fffffff, "bytes at byte");
    CASE((pieces[PICKLE].zip64 = true, pieces[PICKLE].size_change = 0xffffffff), "bytes at byte");
    CASE((pieces[DATA].zip64 = true, pieces[DATA].header_change = 0xfffffff0), "bytes at byte");
    CASE((pieces[DATA].zip64 = true, pieces[DATA].size_change = 0x80000000), "bytes at byte");
    CASE((pieces[DATA].form = ZIP_PLAIN, pieces[DATA].size_change = 1), "another size or CRC than the directory");
    CASE((pieces[DATA].form = ZIP_PLAIN, pieces[DATA].size_change = (uint32_t)-1), "another size or CRC");
    CASE(pieces[DATA].header_change = 1, "no header at byte");
    CASE(pieces[DATA].header_change = 0x7fffff, "");
    CASE((pieces[DATA].size_change = 64, pieces[DATA].form = ZIP_DESCRIPTOR), "overlaps the record \"a/version\"");
    CASE((strcpy(pieces[OTHER].name, "a/byteorder"), pieces[OTHER].data = (uint8_t *)(uintptr_t) "big",
          pieces[OTHER].size = 3),
         "expected the byte order \"little\", found \"big\"");
#undef CASE
}

/* The offset of the last occurrence of a signature. */
static size_t find_last(const struct bytes *file, const char *signature)
{
    for (size_t at = file->size - 4;; at--)
        if (memcmp(file->data + at, signature, 4) == 0)
            return at;
}

static void zip_ends_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *signature;
        int place, bytes;
        const char *reason;
    } cases[] = {
        {"PK\5\6", 4, 2, "several parts"},
        {"PK\5\6", 8, 2, "several parts"},
        {"PK\5\6", 12, 4, "contradict each other"},
        {"PK\5\6", 16, 4, "contradict each other"},
        {"PK\5\6", 20, 2, "expected the end record"},
        {"PK\6\7", 4, 4, "several parts"},
        {"PK\6\7", 8, 8, "no ZIP64 end record"},
        {"PK\6\7", 16, 4, "several parts"},
        {"PK\6\6", 0, 4, "no ZIP64 end record"},
        {"PK\6\6", 4, 8, "no ZIP64 end record"},
        {"PK\6\6", 16, 4, "several parts"},
        {"PK\6\6", 24, 8, "several parts"},
        {"PK\6\6", 40, 8, "contradict each other"},
        {"PK\6\6", 48, 8, "contradict each other"},
    };
    struct zip_piece pieces[PIECES];
    make_pieces(pieces);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes file = {0};
        zip_build(&file, pieces, PIECES, true);
        uint8_t *field = file.data + find_last(&file, cases[i].signature) + cases[i].place;
        for (int b = 0; b < cases[i].bytes; b++)
            field[b] ^= b == 0 ? 1 : 0x5a;
        refuse_file(&file, cases[i].reason);
        bytes_free(&file);
    }
    /* Absurd numbers in both end records. */
    static const uint64_t absurd[] = {UINT64_MAX, INT64_MAX, UINT32_MAX, 1 << 20, 1000};
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++)
        for (int place = 24; place < 56; place += 8) {
            struct bytes file = {0};
            zip_build(&file, pieces, PIECES, true);
            uint8_t *large = file.data + find_last(&file, "PK\6\6"), *end = file.data + find_last(&file, "PK\5\6");
            memset(end + 8, 0xff, 12);
            memcpy(large + place, &absurd[i], 8);
            if (place == 24)
                memcpy(large + 32, &absurd[i], 8);
            refuse_file(&file, "");
            bytes_free(&file);
        }
}

/* Two entries of the directory for the same bytes, as in bombs that unpack the same data again and again. */
static void overlapping_records_are_refused(void **state)
{
    (void)state;
    struct zip_piece pieces[PIECES];
    struct bytes file = {0}, shorter = {0};
    make_pieces(pieces);
    memcpy(pieces[OTHER].name, "a/data/1", 9);
    pieces[OTHER].data = pieces[DATA].data;
    pieces[OTHER].size = 16;
    zip_build(&file, pieces, PIECES, false);
    size_t first = 0, second = find_last(&file, "PK\1\2");
    for (size_t at = 0; first == 0; at++)
        if (memcmp(file.data + at, "PK\1\2", 4) == 0 && memcmp(file.data + at + 46, "a/data/0", 8) == 0)
            first = at;
    bytes_add(&shorter, file.data, file.size);
    memcpy(shorter.data + second + 42, shorter.data + first + 42, 4); /* its header is the other record's */
    refuse_file(&shorter, "its header has another name");
    memcpy(shorter.data + second + 46, "a/data/0", 8);
    refuse_file(&shorter, "overlaps the record");
    bytes_free(&file);
    bytes_free(&shorter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zip_files_that_lie_are_refused),
        cmocka_unit_test(zip_ends_that_lie_are_refused),
        cmocka_unit_test(overlapping_records_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
