/* Safetensors against the safetensors library's own files and verdicts (tests/oracles/make_safetensors.py), and against
 * hostile headers. */
#include "support/files.h"
#include "support/test_support.h"

#include "io/atomic_file.h"
#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

#define GOLDEN TEST_GOLDEN_DIRECTORY "/io/"

/* What make_safetensors.py put into every_type.safetensors, in the order in which the library stored it. */
static const struct tensor_info every_type[] = {
    {"whole", DTYPE_I64, 2, {2, 2}, 32},
    {"doubles", DTYPE_F64, 1, {3}, 24},
    {"model.layers.0.weight", DTYPE_F32, 2, {3, 5}, 60},
    {"nothing", DTYPE_F32, 2, {0, 4}, 0},
    {"scalar", DTYPE_F32, 0, {0}, 4},
    {"short whole", DTYPE_I32, 1, {7}, 28},
    {"caf\xc3\xa9 \"quoted\" \\ \xf0\x9f\x98\x80", DTYPE_BF16, 4, {1, 2, 1, 3}, 12},
    {"half", DTYPE_F16, 1, {9}, 18},
    {"units", DTYPE_U16, 1, {5}, 10},
    {"bytes", DTYPE_U8, 1, {11}, 11},
};
enum { EVERY_TYPE = sizeof every_type / sizeof *every_type };
/* The library counts characters of the name, C counts bytes. */
static const int name_characters[EVERY_TYPE] = {5, 7, 21, 7, 6, 11, 17, 4, 5, 5};

static unsigned char expected_byte(int tensor, int64_t i)
{
    return (unsigned char)((i * 37 + name_characters[tensor]) % 251);
}

static void reads_the_library_s_files(void **state)
{
    (void)state;
    struct safetensors *file;
    assert_ok(safetensors_open(GOLDEN "every_type.safetensors", &file));
    assert_int_equal(safetensors_count(file), EVERY_TYPE);
    for (int i = 0; i < EVERY_TYPE; i++) {
        const struct tensor_info *info = safetensors_find(file, every_type[i].name);
        assert_non_null(info);
        assert_int_equal(info->type, every_type[i].type);
        assert_int_equal(info->rank, every_type[i].rank);
        for (int d = 0; d < info->rank; d++)
            assert_int_equal(info->shape[d], every_type[i].shape[d]);
        assert_int_equal(info->bytes, every_type[i].bytes);
        const unsigned char *data = safetensors_data(file, info);
        for (int64_t b = 0; b < info->bytes; b++)
            assert_int_equal(data[b], expected_byte(i, b));
    }
    for (int i = 0; i + 1 < EVERY_TYPE; i++)
        assert_true(strcmp(safetensors_info(file, i)->name, safetensors_info(file, i + 1)->name) < 0);
    assert_null(safetensors_find(file, "none"));
    assert_null(safetensors_find(file, "__metadata__"));
    assert_string_equal(safetensors_metadata(file, "format"), "pt");
    assert_null(safetensors_metadata(file, "none"));
    safetensors_close(file);
    assert_ok(safetensors_open(GOLDEN "no_tensors.safetensors", &file));
    assert_int_equal(safetensors_count(file), 0);
    assert_null(safetensors_find(file, "x"));
    assert_null(safetensors_metadata(file, "x"));
    safetensors_close(file);
}

static enum status write_file(const char *folder, const char *name, const struct tensor_info *info,
                              const void *const *data, int64_t count, const char *const *metadata,
                              int64_t metadata_count)
{
    struct atomic_directory *directory = NULL;
    struct output_file *file = NULL;
    enum status result = STATUS_OK;
    TRY(atomic_directory_begin(folder, true, &directory));
    TRY(atomic_directory_create(directory, name, 0, &file));
    TRY(safetensors_write(file, info, data, count, metadata, metadata_count));
    result = output_close(file);
    file = NULL;
    TRY(result);
    return atomic_directory_commit(directory);
fail:
    output_abandon(file);
    atomic_directory_abandon(directory);
    return result;
}

/* Given the library's order, our writer makes the library's file to the byte, so the library can read what we write. */
static void writes_the_library_s_bytes(void **state)
{
    (void)state;
    unsigned char bytes[EVERY_TYPE][64];
    const void *data[EVERY_TYPE];
    for (int i = 0; i < EVERY_TYPE; i++) {
        for (int64_t b = 0; b < every_type[i].bytes; b++)
            bytes[i][b] = expected_byte(i, b);
        data[i] = bytes[i];
    }
    static const char *const metadata[] = {"format", "pt"};
    assert_ok(write_file(test_path("own"), "model.safetensors", every_type, data, EVERY_TYPE, metadata, 1));
    void *ours, *theirs;
    int64_t our_size, their_size, stated;
    assert_ok(file_read(test_path("own/model.safetensors"), 1 << 20, &ours, &our_size));
    assert_ok(file_read(GOLDEN "every_type.safetensors", 1 << 20, &theirs, &their_size));
    assert_int_equal(our_size, their_size);
    assert_memory_equal(ours, theirs, (size_t)our_size);
    assert_ok(safetensors_file_bytes(every_type, EVERY_TYPE, metadata, 1, &stated));
    assert_int_equal(stated, our_size);
    free(ours);
    free(theirs);
    assert_ok(write_file(test_path("own"), "model.safetensors", NULL, NULL, 0, NULL, 0));
    assert_ok(file_read(test_path("own/model.safetensors"), 1 << 20, &ours, &our_size));
    assert_ok(file_read(GOLDEN "no_tensors.safetensors", 1 << 20, &theirs, &their_size));
    assert_int_equal(our_size, their_size);
    assert_memory_equal(ours, theirs, (size_t)our_size);
    free(ours);
    free(theirs);
}

/* The tensors' bytes may come in any pieces, but exactly as many as the header says; the file is the same to the byte. */
static void writes_in_any_pieces(void **state)
{
    (void)state;
    static const struct tensor_info info[2] = {{"a", DTYPE_F32, 2, {3, 5}, 60}, {"b", DTYPE_BF16, 1, {7}, 14}};
    unsigned char bytes[75];
    for (int i = 0; i < 75; i++)
        bytes[i] = (unsigned char)(i * 11);
    const void *const whole[2] = {bytes, bytes + 60};
    assert_ok(write_file(test_path("whole"), "x", info, whole, 2, NULL, 0));
    for (int64_t step = 1; step <= 74; step += 1 + step / 4) {
        struct atomic_directory *directory;
        struct output_file *file;
        struct safetensors_writer writer;
        assert_ok(atomic_directory_begin(test_path("pieces"), true, &directory));
        assert_ok(atomic_directory_create(directory, "x", 0, &file));
        assert_ok(safetensors_begin(file, info, 2, NULL, 0, &writer));
        for (int64_t at = 0; at < 74; at += step) {
            assert_fails(safetensors_end(&writer), STATUS_INTERNAL, "were never written");
            assert_fails(safetensors_append(&writer, bytes, 75 - at), STATUS_INTERNAL, "the header expects");
            assert_ok(safetensors_append(&writer, bytes + at, 74 - at < step ? 74 - at : step));
        }
        assert_fails(safetensors_append(&writer, bytes, 1), STATUS_INTERNAL, "1 more bytes, the header expects 0");
        assert_ok(safetensors_end(&writer));
        assert_ok(output_close(file));
        assert_ok(atomic_directory_commit(directory));
        assert_true(same_file(test_path("whole/x"), test_path("pieces/x")));
    }
}

static void refuses_to_write_nonsense(void **state)
{
    (void)state;
    static const float value[4];
    const void *const data[2] = {value, value};
    struct tensor_info info[2] = {{"a", DTYPE_F32, 1, {2}, 8}, {"a", DTYPE_F32, 1, {2}, 8}};
    assert_fails(write_file(test_path("bad"), "x", info, data, 2, NULL, 0), STATUS_INTERNAL,
                 "tensor a is written twice");
    info[1].name = "__metadata__";
    assert_fails(write_file(test_path("bad"), "x", info, data, 2, NULL, 0), STATUS_INTERNAL, "written twice");
    info[1].name = "\xff";
    assert_fails(write_file(test_path("bad"), "x", info, data, 2, NULL, 0), STATUS_INTERNAL, "not UTF-8");
    info[1] = (struct tensor_info){"b", DTYPE_F32, 1, {2}, 7};
    assert_fails(write_file(test_path("bad"), "x", info, data, 2, NULL, 0), STATUS_INTERNAL,
                 "expected 8 bytes for its shape");
    void *nothing;
    int64_t size;
    assert_fails(file_read(test_path("bad"), 1, &nothing, &size), STATUS_USAGE, "No such file");
}

static enum status open_bytes(const void *bytes, int64_t size)
{
    struct safetensors *file;
    write_plainly(test_path("hostile.safetensors"), bytes, size);
    enum status result = safetensors_open(test_path("hostile.safetensors"), &file);
    if (result == STATUS_OK) { /* every byte of every tensor can be read: sanitizers watch */
        volatile unsigned char sum = 0;
        for (int64_t i = 0; i < safetensors_count(file); i++) {
            const struct tensor_info *info = safetensors_info(file, i);
            const unsigned char *data = safetensors_data(file, info);
            assert_int_equal((uintptr_t)data % dtype_size(info->type), 0);
            for (int64_t b = 0; b < info->bytes; b++)
                sum = (unsigned char)(sum + data[b]);
        }
        safetensors_close(file);
    } else {
        assert_null(file);
    }
    return result;
}

static enum status open_header(const char *header, int64_t data_bytes)
{
    unsigned char bytes[4096] = {0};
    size_t length = strlen(header);
    assert_true(length + 8 + (size_t)data_bytes <= sizeof bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, header, length);
    return open_bytes(bytes, (int64_t)length + 8 + data_bytes);
}

#define ENTRY(name, type, shape, begin, end)                                                                           \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void refuses_hostile_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        int64_t data_bytes;
        const char *part;
    } cases[] = {
        {"{" ENTRY("a", "F32", "[2]", "0", "8") "," ENTRY("b", "F32", "[2]", "4", "12") "}", 12,
         "tensor b: expected to begin at byte 8"},
        {"{" ENTRY("a", "F32", "[2]", "0", "8") "," ENTRY("b", "F32", "[2]", "0", "8") "}", 8,
         "where the one before ends, found 0"},
        {"{" ENTRY("a", "F32", "[2]", "0", "8") "," ENTRY("b", "F32", "[2]", "12", "20") "}", 20,
         "expected to begin at byte 8, where the one before ends, found 12"},
        {"{" ENTRY("a", "F32", "[2]", "4", "12") "}", 12,
         "expected to begin at byte 0, where the one before ends, found 4"},
        {"{" ENTRY("a", "F32", "[2]", "0", "8") "}", 9, "expected 8 bytes of data for its tensors, found 9"},
        {"{}", 1, "expected 0 bytes of data for its tensors, found 1"},
        {"{" ENTRY("a", "F32", "[2]", "0", "8") "}", 7, "within the 7 bytes of data, found bytes 0 to 8"},
        {"{" ENTRY("a", "F32", "[2]", "8", "0") "}", 8, "bytes 8 to 0"},
        {"{" ENTRY("a", "F32", "[2]", "-8", "0") "}", 8, "bytes -8 to 0"},
        {"{" ENTRY("a", "F32", "[2]", "0", "9223372036854775807") "}", 8,
         "within the 8 bytes of data, found bytes 0 to 9223372036854775807"},
        {"{" ENTRY("a", "F32", "[2]", "0", "18446744073709551616") "}", 8, "too big integer"},
        {"{" ENTRY("a", "F32", "[3]", "0", "8") "}", 8, "expected 12 bytes for its shape, found 8"},
        {"{" ENTRY("a", "F32", "[4611686018427387904]", "0", "0") "}", 0, "expected -1 bytes for its shape"},
        {"{" ENTRY("a", "F64", "[4294967296,4294967296]", "0", "0") "}", 0, "expected -1 bytes for its shape"},
        {"{" ENTRY("a", "F32", "[-2]", "0", "8") "}", 8, "should hold only sizes"},
        {"{" ENTRY("a", "F32", "[2.0]", "0", "8") "}", 8, "should hold only sizes"},
        {"{" ENTRY("a", "F32", "[\"2\"]", "0", "8") "}", 8, "should hold only sizes"},
        {"{" ENTRY("a", "F32", "2", "0", "8") "}", 8, "\"shape\" should be a list"},
        {"{" ENTRY("a", "F32", "[1,1,1,1,1,1,1,1,2]", "0", "8") "}", 8, "a list of at most 8"},
        {"{" ENTRY("a", "F8_E4M3", "[8]", "0", "8") "}", 8, "tensor a: type \"F8_E4M3\" is not supported"},
        {"{" ENTRY("a", "f32", "[2]", "0", "8") "}", 8, "type \"f32\" is not supported"},
        {"{" ENTRY("a", "F32", "[2]", "0", "8") "," ENTRY("a", "F32", "[2]", "8", "16") "}", 16,
         "duplicate object key"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "\"dtype\" is missing"},
        {"{\"a\":{\"dtype\":3,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "\"dtype\" should be a string"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "\"shape\" should be"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "\"data_offsets\" should be two numbers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", 8, "\"data_offsets\" should be"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]}}", 8, "\"data_offsets\" should be"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":null}}", 8, "\"data_offsets\" should be"},
        {"{\"a\":[]}", 0, "expected an object"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "__metadata__ \"k\" is not a string"},
        {"{\"\xff\":1}", 0, "not valid JSON: unable to decode byte 0xff"},
        {"{\"\xed\xa0\x80\":1}", 0, "not valid JSON"},
        {"{\"a\\u0000\":1}", 0, "not valid JSON"},
        {"[]", 0, "does not begin with {"},
        {" {}", 0, "does not begin with {"},
        {"{} x", 0, "not valid JSON"},
        {"{", 0, "bytes are too few"},
        {"{ ", 0, "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(open_header(cases[i].header, cases[i].data_bytes), STATUS_CORRUPT, cases[i].part);
    assert_ok(open_header("{" ENTRY("b", "F32", "[2]", "8", "16") "," ENTRY("a", "F32", "[2]", "0", "8") "}", 16));
    /* headers of odd length put the numbers at unaligned addresses */
    assert_ok(open_header("{" ENTRY("a", "U8", "[3]", "0", "3") "," ENTRY("b", "F64", "[2]", "3", "19") "} ", 19));
    assert_ok(open_header("{" ENTRY("a", "U8", "[3]", "0", "3") "," ENTRY("b", "F64", "[2]", "3", "19") "}", 19));
}

/* Numbers at an odd address are read where they lie, in any pieces, also after their pages were given back. */
static void reads_in_place(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static unsigned char bytes[8 + 200 + COUNT * 8];
    static float values[COUNT];
    const char *header = "{" ENTRY("b", "U8", "[3]", "0", "3") "," ENTRY("d", "F64", "[3000]", "3", "24003") "}";
    size_t length = strlen(header), size = 8 + length + 3 + COUNT * 8;
    assert_true(size <= sizeof bytes && length < 256 && (length + 3) % 8 != 0);
    bytes[0] = (unsigned char)length;
    memcpy(bytes + 8, header, length);
    for (int i = 0; i < COUNT; i++) {
        double value = i * 0.5 - 7;
        memcpy(bytes + 8 + length + 3 + i * 8, &value, 8);
    }
    write_plainly(test_path("odd.safetensors"), bytes, (int64_t)size);
    struct safetensors *file;
    assert_ok(safetensors_open_in_place(test_path("odd.safetensors"), &file));
    const struct tensor_info *info = safetensors_find(file, "d");
    assert_non_null(info);
    const void *data = safetensors_data(file, info);
    assert_int_equal((uintptr_t)data % 8, (8 + length + 3) % 8); /* where it lies in the file */
    for (int64_t first = 0, count = 1; first < COUNT; first += count, count = count * 2 + 1) {
        count = count < COUNT - first ? count : COUNT - first;
        tensor_to_float(info, data, first, count, values);
        safetensors_forget(file, info);
        for (int64_t i = 0; i < count; i++)
            assert_true((double)values[i] == (double)(first + i) * 0.5 - 7);
    }
    safetensors_close(file);
}

static void refuses_hostile_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {
        3, 9, 100000000, 100000001, 1u << 31, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        unsigned char bytes[10] = {0};
        for (int b = 0; b < 8; b++)
            bytes[b] = (unsigned char)(lengths[i] >> (8 * b));
        memcpy(bytes + 8, "{}", 2);
        assert_fails(open_bytes(bytes, 10), STATUS_CORRUPT, "a header of");
    }
    for (int64_t size = 0; size < 10; size++)
        assert_fails(open_bytes("\2\0\0\0\0\0\0\0{}", size), STATUS_CORRUPT, "bytes are too few");
    assert_ok(open_bytes("\2\0\0\0\0\0\0\0{}", 10));
    struct safetensors *file;
    assert_fails(safetensors_open(test_path("none"), &file), STATUS_USAGE, "No such file");
    assert_fails(safetensors_open(test_directory(), &file), STATUS_USAGE, "found a folder");
}

/* 600 mutants with the library's verdict. Ours accepts nothing that the library refuses. It may refuse more: duplicate
 * names, and numbers of another type that happen to be right. */
static void agrees_with_the_library_on_mutants(void **state)
{
    (void)state;
    void *data;
    int64_t size, mutants = 0, accepted = 0, accepted_by_both = 0;
    assert_ok(file_read(GOLDEN "mutants.bin", 1 << 24, &data, &size));
    const unsigned char *at = data, *end = at + size;
    while (at < end) {
        bool library_accepts = at[0] != 0;
        uint32_t length = (uint32_t)at[1] | (uint32_t)at[2] << 8 | (uint32_t)at[3] << 16 | (uint32_t)at[4] << 24;
        enum status status = open_bytes(at + 5, length);
        if (status == STATUS_OK && !library_accepts)
            fail_msg("mutant %lld: expected refusal as by the library, found it accepted", (long long)mutants);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        accepted += library_accepts;
        accepted_by_both += library_accepts && status == STATUS_OK;
        if (library_accepts && status != STATUS_OK)
            print_message("refused, though the library accepts it: %s\n", status_text());
        at += 5 + length;
        mutants++;
    }
    assert_int_equal(mutants, 600);
    assert_true(accepted >= 20 && accepted_by_both >= accepted - 3);
    free(data);
}

/* Every single bit of the golden file's header is flipped: no crash, and what opens stays inside the file. */
static void survives_flipped_bits(void **state)
{
    (void)state;
    void *data;
    int64_t size;
    assert_ok(file_read(GOLDEN "every_type.safetensors", 1 << 20, &data, &size));
    unsigned char *bytes = data;
    for (int64_t at = 0; at < size - 199; at++) {
        int bit = (int)(at % 8);
        bytes[at] ^= (unsigned char)(1 << bit);
        enum status status = open_bytes(bytes, size);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        bytes[at] ^= (unsigned char)(1 << bit);
    }
    for (int64_t cut = 0; cut < size; cut++)
        assert_int_equal(open_bytes(bytes, cut), STATUS_CORRUPT);
    free(data);
}

static void opens_folders_with_an_index(void **state)
{
    (void)state;
    static const float values[2][2] = {{1, 2}, {3, 4}};
    const void *const data[2] = {values[0], values[1]};
    const struct tensor_info a = {"a", DTYPE_F32, 1, {2}, 8}, b = {"b", DTYPE_F32, 1, {2}, 8};
    struct atomic_directory *directory;
    struct output_file *file;
    assert_ok(atomic_directory_begin(test_path("sharded"), false, &directory));
    assert_ok(atomic_directory_create(directory, "one.safetensors", 0, &file));
    assert_ok(safetensors_write(file, &b, &data[1], 1, NULL, 0));
    assert_ok(output_close(file));
    assert_ok(atomic_directory_create(directory, "two.safetensors", 0, &file));
    assert_ok(safetensors_write(file, &a, &data[0], 1, NULL, 0));
    assert_ok(output_close(file));
    assert_ok(atomic_directory_commit(directory));
    const char index[] = "sharded/model.safetensors.index.json";
    struct safetensors_folder *folder;
    const void *found;
    assert_fails(safetensors_folder_open(test_path("sharded"), &folder), STATUS_USAGE, "neither model.safetensors");
    write_text(test_path("%s", index),
               "{\"metadata\":{},\"weight_map\":{\"b\":\"one.safetensors\",\"a\":\"two.safetensors\"}}");
    assert_ok(safetensors_folder_open(test_path("sharded"), &folder));
    assert_int_equal(safetensors_folder_count(folder), 2);
    assert_string_equal(safetensors_folder_info(folder, 0)->name, "a");
    assert_non_null(safetensors_folder_find(folder, "b", &found));
    assert_memory_equal(found, values[1], 8);
    assert_non_null(safetensors_folder_find(folder, "a", &found));
    assert_memory_equal(found, values[0], 8);
    assert_null(safetensors_folder_find(folder, "c", &found));
    safetensors_folder_close(folder);

    static const char *const wrong[][2] = {
        {"{}", "\"weight_map\" is missing"},
        {"{\"weight_map\":[]}", "\"weight_map\" is missing"},
        {"{\"weight_map\":{\"b\":\"one.safetensors\",\"a\":\"one.safetensors\"}}",
         "tensor a is not in one.safetensors"},
        {"{\"weight_map\":{\"b\":\"two.safetensors\",\"a\":\"one.safetensors\"}}", "is not in"},
        {"{\"weight_map\":{\"b\":\"one.safetensors\",\"a\":\"none.safetensors\"}}", "none.safetensors"},
        {"{\"weight_map\":{\"b\":\"one.safetensors\",\"a\":\"../sharded/two.safetensors\"}}", "name of a file of this"},
        {"{\"weight_map\":{\"b\":\"one.safetensors\",\"a\":3}}", "name of a file of this"},
        {"{\"weight_map\":{\"b\":\"one.safetensors\",\"a\":\"\"}}", "name of a file of this"},
        {"{\"weight_map\":", "model.safetensors.index.json:1:"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_text(test_path("%s", index), wrong[i][0]);
        assert_fails(safetensors_folder_open(test_path("sharded"), &folder), STATUS_CORRUPT, wrong[i][1]);
        assert_null(folder);
    }
    void *bytes;
    int64_t size;
    assert_ok(file_read(test_path("sharded/one.safetensors"), 1 << 20, &bytes, &size));
    assert_ok(atomic_write(test_path("sharded/three.safetensors"), bytes, size));
    free(bytes);
    write_text(test_path("%s", index), "{\"weight_map\":{\"b\":\"one.safetensors\",\"a\":\"three.safetensors\"}}");
    assert_fails(safetensors_folder_open(test_path("sharded"), &folder), STATUS_CORRUPT, "tensor b is in two files");
    write_text(test_path("%s", index), "{\"weight_map\":{}}");
    assert_ok(safetensors_folder_open(test_path("sharded"), &folder));
    safetensors_folder_close(folder);
    assert_fails(safetensors_folder_open(test_path("nowhere"), &folder), STATUS_USAGE, "no such folder");
    assert_fails(safetensors_folder_open(test_path("sharded/one.safetensors"), &folder), STATUS_USAGE, "found a file");
}

static void sizes_never_overflow(void **state)
{
    (void)state;
    assert_int_equal(tensor_bytes(DTYPE_BF16, 2, (const int64_t[]){3, 5}), 30);
    assert_int_equal(tensor_bytes(DTYPE_F64, 0, NULL), 8);
    assert_int_equal(tensor_bytes(DTYPE_F32, 2, (const int64_t[]){3, 0}), 0);
    assert_int_equal(tensor_bytes(DTYPE_F32, 1, (const int64_t[]){-1}), -1);
    assert_int_equal(tensor_bytes(DTYPE_F32, 1, (const int64_t[]){INT64_MAX / 4}), INT64_MAX / 4 * 4);
    assert_int_equal(tensor_bytes(DTYPE_F32, 1, (const int64_t[]){INT64_MAX / 4 + 1}), -1);
    assert_int_equal(tensor_bytes(DTYPE_U8, 9, (const int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_library_s_files), cmocka_unit_test(writes_the_library_s_bytes),
        cmocka_unit_test(writes_in_any_pieces),      cmocka_unit_test(reads_in_place),
        cmocka_unit_test(refuses_to_write_nonsense), cmocka_unit_test(refuses_hostile_headers),
        cmocka_unit_test(refuses_hostile_lengths),   cmocka_unit_test(agrees_with_the_library_on_mutants),
        cmocka_unit_test(survives_flipped_bits),     cmocka_unit_test(opens_folders_with_an_index),
        cmocka_unit_test(sizes_never_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
