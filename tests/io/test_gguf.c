/* GGUF against PyPI's `gguf` (tests/oracles/gguf_golden.py): what it wrote, and the numbers that it reads, to the bit; and
 * against files that lie: built here byte by byte, cut off everywhere, and changed at random. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/usage.h"

#include "io/atomic_file.h"
#include "io/weights/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN TEST_GOLDEN_DIRECTORY "/gguf/"

enum { TYPES = 10, ROWS = 3, COLUMNS = 512, ELEMENTS = ROWS * COLUMNS };

/* In order of the names in the file, "t." and the type. */
static const char *const type_names[TYPES] = {"bf16", "f16",  "f32",  "f64",  "q4_0",
                                              "q4_1", "q4_k", "q5_0", "q5_1", "q8_0"};

static void *read_golden(const char *path, int64_t *size)
{
    void *data;
    assert_ok(file_read(path, 1 << 20, &data, size));
    return data;
}

static const char *write_bytes(const char *name, const void *data, int64_t size)
{
    const char *path = test_path("%s", name);
    write_plainly(path, data, size);
    return path;
}

static void check_numbers(const char *path, int64_t version)
{
    int64_t size;
    float *expected = read_golden(GOLDEN "types.f32", &size);
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 0);
    struct gguf *file;
    assert_int_equal(size, TYPES * ELEMENTS * sizeof *expected);
    assert_ok(gguf_open(path, &file));
    assert_int_equal(gguf_version(file), version);
    assert_int_equal(gguf_tensor_count(file), TYPES);
    for (int64_t t = 0; t < TYPES; t++) {
        const struct stored_tensor *tensor = gguf_tensor(file, t);
        const float *numbers = expected + t * ELEMENTS;
        float *values = guarded_allocate(ELEMENTS * sizeof *values);
        assert_string_equal(stored_type_name(tensor), type_names[t]);
        assert_ptr_equal(gguf_find_tensor(file, tensor->name), tensor);
        assert_int_equal(tensor->rank, 2);
        assert_int_equal(tensor->shape[0], ROWS);
        assert_int_equal(tensor->shape[1], COLUMNS);
        assert_int_equal(stored_tensor_elements(tensor), ELEMENTS);
        stored_tensor_read(tensor, 0, ELEMENTS, values);
        assert_memory_equal(values, numbers, ELEMENTS * sizeof *values);
        guarded_free(values);
        for (int n = 0; n < 300; n++) { /* pieces, from the middle of a block into that of another */
            int64_t first = (int64_t)rng_below(&rng, ELEMENTS);
            int64_t count = (int64_t)rng_below(&rng, (uint64_t)(n % 2 ? 70 : ELEMENTS - first) + 1);
            count = count < ELEMENTS - first ? count : ELEMENTS - first;
            float *piece = guarded_allocate((size_t)count * sizeof *piece);
            stored_tensor_read(tensor, first, count, piece);
            assert_memory_equal(piece, numbers + first, (size_t)count * sizeof *piece);
            guarded_free(piece);
        }
        stored_tensor_forget(tensor);
    }
    gguf_close(file);
    free(expected);
}

static void numbers_of_every_type_are_gguf_s(void **state)
{
    (void)state;
    check_numbers(GOLDEN "types.gguf", 3);
    check_numbers(GOLDEN "version2.gguf", 2);
}

static void strided_tensors_are_read_in_the_order_of_their_indices(void **state)
{
    (void)state;
    enum { A = 5, B = 3, C = 7 };
    float data[A * B * C], values[A * B * C];
    for (int i = 0; i < A * B * C; i++)
        data[i] = (float)i;
    /* A view of data[A][B][C] with its first and last axes exchanged. */
    const struct stored_tensor view = {.name = "view",
                                       .type = DTYPE_F32,
                                       .rank = 3,
                                       .shape = {C, B, A},
                                       .stride = {1, C, B * C},
                                       .data = data,
                                       .bytes = sizeof data};
    assert_false(stored_tensor_is_dense(&view));
    for (int64_t first = 0; first < A * B * C; first += 4) {
        int64_t count = A * B * C - first;
        stored_tensor_read(&view, first, count, values);
        for (int64_t i = 0; i < count; i++) {
            int64_t at = first + i, a = at % A, b = at / A % B, c = at / (A * B);
            assert_true(values[i] == (float)(a * B * C + b * C + c));
        }
    }
}

static void values_of_every_type_are_gguf_s(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"u8", 200},         {"i8", -100},         {"u16", 60000},     {"i16", -30000},
                    {"u32", 4000000000}, {"i32", -2000000000}, {"u64", INT64_MAX}, {"i64", -(INT64_C(1) << 62)}};
    struct gguf *file;
    struct gguf_string text;
    const struct gguf_value *array;
    int64_t integer;
    double number;
    bool yes = false, no = true;
    assert_ok(gguf_open(GOLDEN "values.gguf", &file));
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        assert_ok(gguf_get_integer(file, integers[i].key, true, INT64_MIN, INT64_MAX, &integer));
        assert_int_equal(integer, integers[i].value);
    }
    assert_ok(gguf_get_number(file, "f32", true, &number));
    assert_true(number == -0.15625);
    assert_ok(gguf_get_number(file, "f64", true, &number));
    assert_true(number == 1e300);
    assert_ok(gguf_get_number(file, "i16", true, &number));
    assert_true(number == -30000);
    assert_ok(gguf_get_bool(file, "yes", true, &yes));
    assert_ok(gguf_get_bool(file, "no", true, &no));
    assert_true(yes && !no);
    assert_ok(gguf_get_string(file, "text", true, &text));
    assert_int_equal(text.size, 10);
    assert_memory_equal(text.text, "na\xc3\xafve \xe4\xb8\x96", 10);
    assert_ok(gguf_get_array(file, "strings", true, GGUF_STRING, 4, &array));
    static const char *const strings[] = {"", "a", "\xc3\xa9t\xc3\xa9"};
    for (int i = 0; i < 3; i++) {
        text = gguf_element_string(array, i);
        assert_int_equal(text.size, strlen(strings[i]));
        assert_memory_equal(text.text, strings[i], strlen(strings[i]));
    }
    assert_int_equal(gguf_element_string(array, 3).size, 100);
    assert_ok(gguf_get_array(file, "integers", true, GGUF_I32, -1, &array));
    assert_int_equal(array->count, 3);
    assert_int_equal(gguf_element_integer(array, 1), -1);
    assert_ok(gguf_get_array(file, "reals", true, GGUF_F32, 2, &array));
    assert_true(gguf_element_number(array, 1) == -2);
    for (int64_t i = 0; i + 1 < gguf_value_count(file); i++)
        assert_true(strcmp(gguf_value(file, i)->key, gguf_value(file, i + 1)->key) < 0);
    assert_ptr_equal(gguf_find(file, "f32"), gguf_find(file, gguf_find(file, "f32")->key));
    gguf_close(file);
}

static void values_of_another_type_or_range_are_refused(void **state)
{
    (void)state;
    struct gguf *file;
    struct gguf_string text;
    const struct gguf_value *array;
    int64_t integer = 17;
    bool flag;
    assert_ok(gguf_open(GOLDEN "values.gguf", &file));
    assert_ok(gguf_get_integer(file, "nothing", false, 0, 1, &integer));
    assert_int_equal(integer, 17);
    assert_fails(gguf_get_integer(file, "nothing", true, 0, 1, &integer), STATUS_CORRUPT, "the key nothing is missing");
    assert_fails(gguf_get_integer(file, "f32", false, 0, 1, &integer), STATUS_CORRUPT, "f32: expected an integer");
    assert_fails(gguf_get_integer(file, "u8", true, 0, 199, &integer), STATUS_CORRUPT, "expected 0 to 199, found 200");
    assert_fails(gguf_get_integer(file, "yes", true, 0, 1, &integer), STATUS_CORRUPT, "found bool");
    assert_fails(gguf_get_bool(file, "u8", true, &flag), STATUS_CORRUPT, "expected true or false, found u8");
    assert_fails(gguf_get_string(file, "strings", true, &text), STATUS_CORRUPT, "found an array of string");
    assert_fails(gguf_get_array(file, "text", true, GGUF_STRING, -1, &array), STATUS_CORRUPT, "found string");
    assert_fails(gguf_get_array(file, "strings", true, GGUF_STRING, 5, &array), STATUS_CORRUPT,
                 "expected 5 elements, found 4");
    assert_fails(gguf_get_array(file, "integers", true, GGUF_STRING, -1, &array), STATUS_CORRUPT, "array of strings");
    gguf_close(file);
}

/* ---- files that lie ---- */

struct bytes {
    unsigned char data[4096];
    size_t size;
};

static void put(struct bytes *bytes, const void *data, size_t size)
{
    assert_true(bytes->size + size <= sizeof bytes->data);
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void put32(struct bytes *bytes, uint32_t value)
{
    put(bytes, &value, sizeof value);
}

static void put64(struct bytes *bytes, uint64_t value)
{
    put(bytes, &value, sizeof value);
}

static void put_string(struct bytes *bytes, const char *text)
{
    put64(bytes, strlen(text));
    put(bytes, text, strlen(text));
}

static struct bytes header(uint32_t version, uint64_t tensors, uint64_t values)
{
    struct bytes bytes = {.size = 0};
    put(&bytes, "GGUF", 4);
    put32(&bytes, version);
    put64(&bytes, tensors);
    put64(&bytes, values);
    return bytes;
}

static void put_tensor(struct bytes *bytes, const char *name, uint64_t rows, uint64_t columns, uint32_t type,
                       uint64_t offset)
{
    put_string(bytes, name);
    put32(bytes, 2);
    put64(bytes, columns);
    put64(bytes, rows);
    put32(bytes, type);
    put64(bytes, offset);
}

static void put_data(struct bytes *bytes, size_t size)
{
    static const unsigned char zeros[2048];
    put(bytes, zeros, (32 - bytes->size % 32) % 32);
    put(bytes, zeros, size);
}

static void refuse(const struct bytes *bytes, const char *reason)
{
    const char *path = write_bytes("bad.gguf", bytes->data, (int64_t)bytes->size);
    struct gguf *file;
    assert_fails(gguf_open(path, &file), STATUS_CORRUPT, reason);
    assert_true(strstr(status_text(), "bad.gguf"));
    assert_null(file);
}

static void headers_that_lie_are_refused(void **state)
{
    (void)state;
    struct bytes bytes = header(3, 0, 0);
    bytes.data[0] = 'g';
    refuse(&bytes, "not a GGUF file");
    bytes = header(1, 0, 0);
    refuse(&bytes, "version 1 is not supported");
    bytes = header(0x03000000, 0, 0);
    refuse(&bytes, "big-endian");
    bytes = header(3, UINT64_MAX, 0);
    refuse(&bytes, "18446744073709551615 tensors");
    bytes = header(3, 0, 1 << 20);
    refuse(&bytes, "1048576 values");
    bytes = header(3, 0, 60000);
    refuse(&bytes, "ends inside a key");
    bytes = header(3, 60000, 0);
    refuse(&bytes, "ends inside a tensor's name");
}

static void values_that_lie_are_refused(void **state)
{
    (void)state;
    struct bytes bytes = header(3, 0, 1);
    put64(&bytes, UINT64_MAX);
    refuse(&bytes, "a key of 18446744073709551615 bytes");
    bytes = header(3, 0, 1);
    put64(&bytes, 3);
    put(&bytes, "a\0b", 3);
    refuse(&bytes, "NUL");
    bytes = header(3, 0, 1);
    put_string(&bytes, "odd");
    put32(&bytes, 13);
    put64(&bytes, 0);
    refuse(&bytes, "odd: type 13");
    bytes = header(3, 0, 1);
    put_string(&bytes, "text");
    put32(&bytes, GGUF_STRING);
    put64(&bytes, UINT64_C(1) << 63);
    refuse(&bytes, "ends inside text");
    bytes = header(3, 0, 1);
    put_string(&bytes, "nested");
    put32(&bytes, GGUF_ARRAY);
    put32(&bytes, GGUF_ARRAY);
    put64(&bytes, 1);
    refuse(&bytes, "type 9 of an array's elements");
    for (int i = 0; i < 2; i++) { /* counts whose product with the size overflows, and one that only is too large */
        bytes = header(3, 0, 1);
        put_string(&bytes, "many");
        put32(&bytes, GGUF_ARRAY);
        put32(&bytes, GGUF_F64);
        put64(&bytes, i ? 1000 : UINT64_C(1) << 61);
        refuse(&bytes, i ? "ends inside many" : "more than the file holds");
        bytes = header(3, 0, 1);
        put_string(&bytes, "strings");
        put32(&bytes, GGUF_ARRAY);
        put32(&bytes, GGUF_STRING);
        put64(&bytes, i ? UINT64_MAX : 1000);
        refuse(&bytes, "strings");
    }
    bytes = header(3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_string(&bytes, "same");
        put32(&bytes, GGUF_U32);
        put32(&bytes, 1);
    }
    refuse(&bytes, "the key same is there twice");
    bytes = header(3, 0, 1);
    put_string(&bytes, "general.alignment");
    put32(&bytes, GGUF_U32);
    put32(&bytes, 0);
    refuse(&bytes, "general.alignment");
    bytes = header(3, 0, 1);
    put_string(&bytes, "split.count");
    put32(&bytes, GGUF_U16);
    put(&bytes, "\3", 2);
    refuse(&bytes, "one of 3 parts");
}

static void tensors_that_lie_are_refused(void **state)
{
    (void)state;
    struct bytes bytes = header(3, 1, 0);
    put_string(&bytes, "deep");
    put32(&bytes, 5);
    put_data(&bytes, 64);
    refuse(&bytes, "5 dimensions");
    static const struct {
        uint64_t rows, columns;
        uint32_t type;
        uint64_t offset;
        size_t data;
        const char *reason;
    } cases[] = {
        {2, 32, 0, 0, 255, "ends inside tensor w: expected 256 bytes"},
        {2, 32, 0, 32, 256, "ends inside tensor w: expected 288"},
        {2, 32, 0, 16, 512, "expected a multiple of 32"},
        {2, 32, 0, UINT64_MAX - 31, 512, "which the file does not have"},
        {UINT64_C(1) << 63, 1, 0, 0, 64, "is impossible"},
        {UINT64_C(1) << 62, 4, 0, 0, 64, "its shape is impossible"},
        {UINT64_C(1) << 60, 2, 0, 0, 64, "its shape is impossible"},
        {0, 32, 0, 0, 64, "a dimension of 0"},
        {2, 48, 3, 0, 512, "expected a multiple of 32 for q4_1"},
        {2, 128, 12, 0, 512, "expected a multiple of 256 for q4_k"},
        {2, 256, 14, 0, 1024, "type 14 (q6_k)"},
        {2, 32, 4, 0, 512, "type 4 (unknown)"},
        {2, 32, 26, 0, 512, "type 26 (i32)"},
        {2, 32, UINT32_MAX, 0, 512, "(unknown)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bytes = header(3, 1, 0);
        put_tensor(&bytes, "w", cases[i].rows, cases[i].columns, cases[i].type, cases[i].offset);
        put_data(&bytes, cases[i].data);
        refuse(&bytes, cases[i].reason);
    }
    for (int same = 0; same < 2; same++) {
        bytes = header(3, 2, 0);
        put_tensor(&bytes, "a", 2, 32, 0, 0);
        put_tensor(&bytes, same ? "a" : "b", 2, 32, 0, same ? 256 : 128);
        put_data(&bytes, 512);
        refuse(&bytes, same ? "the tensor a is there twice" : "overlaps");
    }
}

static void whatever_is_cut_off_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {GOLDEN "values.gguf", GOLDEN "types.gguf"};
    for (int f = 0; f < 2; f++) {
        int64_t size, step = f ? 97 : 1;
        unsigned char *data = read_golden(names[f], &size);
        for (int64_t length = 1; length < size; length += length < 1500 ? 1 : step) {
            struct gguf *file;
            const char *path = write_bytes("cut.gguf", data, length);
            enum status status = gguf_open(path, &file);
            if (status == STATUS_OK) { /* what may be missing at the end is padding */
                assert_int_equal(f, 0);
                assert_true(length > size - 32);
            } else {
                assert_int_equal(status, STATUS_CORRUPT);
            }
            gguf_close(file);
        }
        free(data);
    }
}

/* Bytes and whole numbers of the header are replaced by chosen or random ones. What is accepted all the same is read. */
static void no_change_crashes_hangs_or_takes_memory(void **state)
{
    (void)state;
    const int64_t rounds = test_is_long() ? 50000 : 500, header_bytes = 1100;
    static const uint64_t lies[] = {0,       1,          31,        255,        65536,
                                    1 << 28, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_C(1) << 63};
    int64_t size, accepted = 0, before = peak_kilobytes();
    unsigned char *data = read_golden(GOLDEN "types.gguf", &size), *changed = malloc((size_t)size);
    float *values = malloc(65536 * sizeof *values);
    struct rng rng = rng_make(test_seed(), RNG_TEST, 2, 0);
    assert_true(changed && values);
    for (int64_t n = 0; n < rounds; n++) {
        memcpy(changed, data, (size_t)size);
        for (uint64_t i = 0; i <= rng_below(&rng, 3); i++) {
            int64_t at = (int64_t)rng_below(&rng, (uint64_t)header_bytes);
            uint64_t lie = rng_below(&rng, 2) ? lies[rng_below(&rng, sizeof lies / sizeof *lies)] : rng_u64(&rng);
            memcpy(changed + at, &lie, (size_t)1 << rng_below(&rng, 4));
        }
        double start = processor_seconds();
        struct gguf *file;
        enum status status = gguf_open(write_bytes("changed.gguf", changed, size), &file);
        for (int64_t t = 0; status == STATUS_OK && t < gguf_tensor_count(file); t++) {
            const struct stored_tensor *tensor = gguf_tensor(file, t);
            int64_t count = stored_tensor_elements(tensor);
            stored_tensor_read(tensor, count > 65536 ? count - 65536 : 0, count > 65536 ? 65536 : count, values);
        }
        accepted += status == STATUS_OK;
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        gguf_close(file);
        assert_true(processor_seconds() - start < 1);
    }
    assert_true(peak_kilobytes() - before < 64 * 1024);
    print_message("%lld of %lld changed files are accepted\n", (long long)accepted, (long long)rounds);
    free(data);
    free(changed);
    free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_every_type_are_gguf_s),
        cmocka_unit_test(strided_tensors_are_read_in_the_order_of_their_indices),
        cmocka_unit_test(values_of_every_type_are_gguf_s),
        cmocka_unit_test(values_of_another_type_or_range_are_refused),
        cmocka_unit_test(headers_that_lie_are_refused),
        cmocka_unit_test(values_that_lie_are_refused),
        cmocka_unit_test(tensors_that_lie_are_refused),
        cmocka_unit_test(whatever_is_cut_off_is_refused),
        cmocka_unit_test(no_change_crashes_hangs_or_takes_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
