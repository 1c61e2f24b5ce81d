/* Pickles of joblib.dump, whose arrays lie between the operations: what joblib itself wrote (tests/oracles/kmeans_golden.py), both
 * ages of the form built here, and streams that lie about an array. Changes at random: test_torch_hostile.c. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/torch_builder.h"

#include "io/weights/torch_archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KMEANS TEST_GOLDEN_DIRECTORY "/speech_models/kmeans/"

static const float numbers[6] = {0.5f, -1, 2, 3.25f, -4, 5};

/* An array's description as a stream has it, and what stands behind it. */
struct description {
    const char *module, *order, *type, *padding; /* padding NULL: an older stream, which has none */
    int64_t rows, columns, bytes;
    size_t padding_size;
    bool lacks_order;
};
static const struct description plain = {.module = "joblib.numpy_pickle",
                                         .order = "C",
                                         .type = "f4",
                                         .padding = "\x02\xff\xff",
                                         .padding_size = 3,
                                         .rows = 2,
                                         .columns = 3,
                                         .bytes = sizeof numbers};

/* A dict with the array "w" and the integer 7 behind it. */
static struct bytes build(const struct description *d)
{
    struct bytes file = {0};
    pickle_raw(&file, "\x80\x03}(");
    pickle_text(&file, "w");
    pickle_class(&file, d->module, "NumpyArrayWrapper");
    pickle_raw(&file, ")\x81}(");
    pickle_text(&file, "subclass");
    pickle_class(&file, "numpy", "ndarray");
    pickle_text(&file, "shape");
    pickle_integer(&file, d->rows);
    pickle_integer(&file, d->columns);
    pickle_raw(&file, "\x86");
    if (!d->lacks_order) {
        pickle_text(&file, "order");
        pickle_text(&file, d->order);
    }
    pickle_text(&file, "dtype");
    pickle_class(&file, "numpy", "dtype");
    pickle_text(&file, d->type);
    pickle_raw(&file, "\x89\x88\x87R(K\x03");
    pickle_text(&file, "<");
    pickle_raw(&file, "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff");
    bytes_add(&file, "K\x00tb", 4);
    if (d->padding) {
        pickle_text(&file, "numpy_array_alignment_bytes");
        pickle_integer(&file, 16);
    }
    pickle_raw(&file, "ub");
    if (d->padding)
        bytes_add(&file, d->padding, d->padding_size);
    bytes_add(&file, numbers, (size_t)d->bytes);
    pickle_text(&file, "behind");
    pickle_raw(&file, "K\x07u.");
    return file;
}

static enum status open_description(const struct description *d, struct torch_archive **archive)
{
    struct bytes file = build(d);
    const char *path = test_path("built.joblib");
    write_plainly(path, file.data, (int64_t)file.size);
    bytes_free(&file);
    return torch_archive_open(path, archive);
}

static void arrays_of_both_ages_are_read(void **state)
{
    (void)state;
    static const float fortran[6] = {0.5f, 2, -4, -1, 3.25f, 5}; /* the same bytes, columns first */
    struct torch_archive *archive;
    int64_t behind;
    for (int form = 0; form < 4; form++) {
        struct description d = plain;
        if (form % 2)
            d.order = "F";
        if (form >= 2) {
            d.padding = NULL;
            d.module = "sklearn.externals.joblib.numpy_pickle";
        }
        assert_ok(open_description(&d, &archive));
        assert_int_equal(torch_archive_form(archive), TORCH_FORM_PICKLE);
        const struct stored_tensor *tensor = torch_archive_find(archive, "w");
        float values[6];
        assert_non_null(tensor);
        assert_int_equal(tensor->rank, 2);
        stored_tensor_read(tensor, 0, 6, values);
        assert_memory_equal(values, form % 2 ? fortran : numbers, sizeof values);
        assert_true(torch_value_integer(torch_value_get(torch_archive_root(archive), "behind"), &behind));
        assert_int_equal(behind, 7);
        torch_archive_close(archive);
    }
}

/* Types that no tensor has are passed over: their bytes are no operations. */
static void arrays_of_other_types_are_opaque(void **state)
{
    (void)state;
    static const char *const types[] = {"u4", "U1", "V4", "S4", "M4"};
    struct torch_archive *archive;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct description d = plain;
        d.type = types[i];
        assert_ok(open_description(&d, &archive));
        assert_int_equal(torch_archive_count(archive), 0);
        assert_int_equal(torch_value_get(torch_archive_root(archive), "w")->kind, TORCH_OPAQUE);
        assert_non_null(torch_value_get(torch_archive_root(archive), "behind"));
        torch_archive_close(archive);
    }
}

static void arrays_that_lie_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct description change; /* over `plain`, where it is not 0 */
        const char *reason;
    } cases[] = {
        {{.type = "O8"}, "objects or of no fixed size"},
        {{.type = "f"}, "objects or of no fixed size"},
        {{.type = "f99999999999999999999"}, "objects or of no fixed size"},
        {{.order = "A"}, "neither of the orders C and F"},
        {{.lacks_order = true}, "without shape, order and dtype"},
        {{.rows = 1000}, "an array of joblib of 12000 bytes"},
        {{.rows = INT64_MAX}, "the size of an array overflows"},
        {{.rows = -2}, "not an integer from 0 on"},
        {{.padding = "\xff\xff\xff", .padding_size = 3}, "padding before an array"},
        {{.padding = "\x02\xff\xfe", .padding_size = 3}, "padding before an array is not 0xff"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct description d = plain;
        const struct description *change = &cases[i].change;
        struct torch_archive *archive;
        d.type = change->type ? change->type : d.type;
        d.order = change->order ? change->order : d.order;
        d.rows = change->rows ? change->rows : d.rows;
        d.lacks_order = change->lacks_order;
        if (change->padding) {
            d.padding = change->padding;
            d.padding_size = change->padding_size;
        }
        assert_fails(open_description(&d, &archive), STATUS_CORRUPT, cases[i].reason);
        assert_null(archive);
    }
}

static void other_forms_are_refused_by_name(void **state)
{
    (void)state;
    struct torch_archive *archive;
    struct bytes file = {0};
    assert_fails(torch_archive_open(KMEANS "compressed.joblib", &archive), STATUS_CORRUPT, "compressed with zlib");
    pickle_raw(&file, "\x80\x03");
    pickle_class(&file, "joblib.numpy_pickle_compat", "NDArrayWrapper");
    pickle_raw(&file, ")\x81.");
    write_plainly(test_path("elsewhere.joblib"), file.data, (int64_t)file.size);
    assert_fails(torch_archive_open(test_path("elsewhere.joblib"), &archive), STATUS_CORRUPT, "a file of its own");
    bytes_free(&file);
    pickle_raw(&file, "\x80\x04");
    pickle_class(&file, "posix", "system");
    pickle_text(&file, "true");
    pickle_raw(&file, "\x85R.");
    write_plainly(test_path("attack.joblib"), file.data, (int64_t)file.size);
    assert_fails(torch_archive_open(test_path("attack.joblib"), &archive), STATUS_CORRUPT, "posix.system");
    bytes_free(&file);
}

/* Everything is needed, and nothing more may follow. */
static void whatever_is_cut_off_is_refused(void **state)
{
    (void)state;
    unsigned char bytes[1 << 14];
    struct torch_archive *archive;
    FILE *file = fopen(KMEANS "minibatch.joblib", "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes - 1, file);
    fclose(file);
    const char *path = test_path("cut.joblib");
    for (size_t cut = 1; cut < size; cut += test_is_long() ? 1 : 17) {
        write_plainly(path, bytes, (int64_t)cut);
        assert_int_equal(torch_archive_open(path, &archive), STATUS_CORRUPT);
        assert_null(archive);
    }
    bytes[size] = '.';
    write_plainly(path, bytes, (int64_t)size + 1);
    assert_fails(torch_archive_open(path, &archive), STATUS_CORRUPT, "1 bytes behind the end of its pickle");
}

/* Only a pickle alone has arrays in it: one in a zip file would take its operations for numbers. */
static void records_of_zip_files_have_none(void **state)
{
    (void)state;
    struct bytes pickle = build(&plain), file = {0};
    struct torch_archive *archive;
    torch_build(&file, pickle.data, pickle.size, NULL, 0);
    write_plainly(test_path("wrapped.pt"), file.data, (int64_t)file.size);
    assert_int_equal(torch_archive_open(test_path("wrapped.pt"), &archive), STATUS_CORRUPT);
    bytes_free(&file);
    bytes_free(&pickle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_of_both_ages_are_read),        cmocka_unit_test(arrays_of_other_types_are_opaque),
        cmocka_unit_test(arrays_that_lie_are_refused_by_name), cmocka_unit_test(other_forms_are_refused_by_name),
        cmocka_unit_test(whatever_is_cut_off_is_refused),      cmocka_unit_test(records_of_zip_files_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
