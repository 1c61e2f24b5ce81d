/* A dataset that disks, memory errors or people have damaged: the damage is always noticed, the file is named, and no
 * byte of a damaged shard is ever handed to libhdf5. The linker gives this program its own H5Fopen and
 * H5Pset_file_image (test_damage.cmake). */
#include "support/damage.h"
#include "support/dataset_builder.h"
#include "support/files.h"
#include "support/test_support.h"

#include "data/shard_index.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 9, ROWS_A_SHARD = 3, SHARDS = ROWS / ROWS_A_SHARD };

static char path[600], other[600];
static struct sha256 whole[SHARDS]; /* of the shards as they were made */
static int64_t whole_images, damaged_images, files_opened;

/* ---- in front of libhdf5 ---- */

hid_t __real_H5Fopen(const char *name, unsigned flags, hid_t properties);
hid_t __wrap_H5Fopen(const char *name, unsigned flags, hid_t properties);
herr_t __real_H5Pset_file_image(hid_t properties, void *image, size_t size);
herr_t __wrap_H5Pset_file_image(hid_t properties, void *image, size_t size);

/* A name that is the path of a file would let the library read that file. */
hid_t __wrap_H5Fopen(const char *name, unsigned flags, hid_t properties)
{
    files_opened += access(name, F_OK) == 0;
    return __real_H5Fopen(name, flags, properties);
}

herr_t __wrap_H5Pset_file_image(hid_t properties, void *image, size_t size)
{
    struct sha256 hash = sha256_of(image, size);
    bool known = false;
    for (int s = 0; s < SHARDS; s++)
        known |= memcmp(hash.bytes, whole[s].bytes, sizeof hash.bytes) == 0;
    whole_images += known;
    damaged_images += !known;
    return __real_H5Pset_file_image(properties, image, size);
}

/* ---- a dataset, and another made in the same way ---- */

static void make_dataset(const char *folder, int number)
{
    struct shard_row rows[ROWS];
    char ids[ROWS][16];
    for (int r = 0; r < ROWS; r++) {
        snprintf(ids[r], sizeof ids[r], "row-%d-%d", number, r);
        rows[r] = small_speech_row(ids[r]);
        rows[r].score = r % 2 ? -1.5f : NAN;
    }
    build_dataset(folder, DATASET_SPEECH, rows, ROWS, ROWS_A_SHARD);
}

static int make_datasets(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/dataset", test_directory());
    snprintf(other, sizeof other, "%s/other", test_directory());
    make_dataset(path, 1);
    make_dataset(other, 2);
    struct shard_index index;
    assert_ok(shard_index_read(path, &index));
    for (int s = 0; s < SHARDS; s++)
        whole[s] = index.shards[s].hash;
    shard_index_free(&index);
    return 0;
}

static enum status read_all(const char *folder)
{
    enum status result = STATUS_OK;
    struct dataset *dataset = NULL;
    TRY(dataset_open(folder, &dataset));
    for (int64_t r = 0; r < dataset_rows(dataset); r++) {
        struct shard_row row;
        TRY(dataset_row(dataset, r, &row));
        assert_int_equal(row.id_length, 7);
    }
fail:
    dataset_close(dataset);
    return result;
}

/* ---- the tests ---- */

static const int64_t short_trials = 5000, long_trials = 200000;

static void damaged_shards_never_reach_the_library(void **state)
{
    (void)state;
    static const char *const names[] = {"shard_00000.h5", "shard_00001.h5", "shard_00002.h5", NULL};
    const int64_t trials = test_is_long() ? long_trials : short_trials;
    struct damaged_folder folder;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 62, 0);
    damaged_folder_open(&folder, path, other, names);
    whole_images = damaged_images = files_opened = 0;
    assert_ok(read_all(path));
    assert_int_equal(whole_images, SHARDS); /* the linker did wrap the calls */
    for (int64_t trial = 0; trial < trials; trial++) {
        damaged_folder_damage(&folder, &rng, false);
        enum status status = read_all(path);
        if (status != STATUS_CORRUPT || !damaged_folder_named(&folder, status_text()))
            fail_msg("trial %lld, %s: status %d, \"%s\"", (long long)trial, folder.what, (int)status, status_text());
        if (damaged_images || files_opened)
            fail_msg("trial %lld, %s: libhdf5 saw it", (long long)trial, folder.what);
        damaged_folder_repair(&folder);
    }
    assert_ok(read_all(path));
    damaged_folder_close(&folder);
    print_message("%lld of %lld damaged datasets refused by name; libhdf5 saw %lld whole shards and nothing else\n",
                  (long long)trials, (long long)trials, (long long)whole_images);
}

static void a_damaged_index_is_never_believed(void **state)
{
    (void)state;
    static const char *const names[] = {"index.json", NULL};
    const int64_t trials = test_is_long() ? long_trials : short_trials;
    struct damaged_folder folder;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 63, 0);
    damaged_folder_open(&folder, path, NULL, names);
    whole_images = damaged_images = files_opened = 0;
    for (int64_t trial = 0; trial < trials; trial++) {
        damaged_folder_damage(&folder, &rng, false);
        bool gone = strstr(folder.what, "taken away");
        enum status status = read_all(path);
        if (status != (gone ? STATUS_USAGE : STATUS_CORRUPT) || !damaged_folder_named(&folder, status_text()))
            fail_msg("trial %lld, %s: status %d, \"%s\"", (long long)trial, folder.what, (int)status, status_text());
        damaged_folder_repair(&folder);
    }
    assert_int_equal(whole_images + damaged_images + files_opened, 0);
    damaged_folder_close(&folder);
}

/* Both are whole, but of different datasets: the shard that the index does not belong to is named. */
static void the_index_of_another_dataset_fits_no_shard(void **state)
{
    (void)state;
    static const char *const names[] = {"index.json", NULL};
    struct damaged_folder folder;
    damaged_folder_open(&folder, path, other, names);
    char file[700];
    snprintf(file, sizeof file, "%s/index.json", path);
    write_plainly(file, folder.files[0].older, folder.files[0].older_size);
    whole_images = damaged_images = 0;
    assert_fails(read_all(path), STATUS_CORRUPT, "shard_00000.h5: damaged shard: SHA-256");
    assert_int_equal(whole_images + damaged_images, 0);
    write_plainly(file, folder.files[0].bytes, folder.files[0].size);
    assert_ok(read_all(path));
    damaged_folder_close(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_shards_never_reach_the_library),
        cmocka_unit_test(a_damaged_index_is_never_believed),
        cmocka_unit_test(the_index_of_another_dataset_fits_no_shard),
    };
    return cmocka_run_group_tests(tests, make_datasets, NULL);
}
