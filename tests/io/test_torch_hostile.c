/* Files of PyTorch that lie: pickles that want something called, contain themselves or grow without end; files that are
 * cut off, and files changed at random. Zip files that lie: test_torch_zip.c.
 * All are built here. Each must be refused with its reason or be read, in less than a second and with little memory. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/torch_builder.h"
#include "support/usage.h"

#include "io/atomic_file.h"
#include "io/weights/torch_archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN TEST_GOLDEN_DIRECTORY "/torch/"

enum { MEMORY_KILOBYTES = 64 << 10 }; /* besides the file itself */

/* Seconds for the worst that the reader's own limits admit. */
#ifdef __SANITIZE_ADDRESS__
enum { LONGEST = 10 };
#else
enum { LONGEST = 1 };
#endif

static enum status open_within(double seconds, const void *data, size_t size, struct torch_archive **archive)
{
    const char *path = test_path("hostile.pt");
    write_plainly(path, data, (int64_t)size);
    double begin = processor_seconds();
    enum status status = torch_archive_open(path, archive);
    assert_true(processor_seconds() - begin < seconds);
    assert_true(status == STATUS_OK || *archive == NULL);
    return status;
}

static enum status open_bytes(const void *data, size_t size, struct torch_archive **archive)
{
    return open_within(LONGEST, data, size, archive);
}

static void refuse_file(const struct bytes *file, const char *reason)
{
    struct torch_archive *archive;
    assert_fails(open_bytes(file->data, file->size, &archive), STATUS_CORRUPT, reason);
    assert_non_null(strstr(status_text(), "hostile.pt"));
}

/* Four floats, "0"; three bytes, "1". */
static const uint8_t numbers[16];
static const struct zip_piece storages[] = {{.data = (uint8_t *)(uintptr_t)numbers, .size = 16},
                                            {.data = (uint8_t *)(uintptr_t)numbers, .size = 3}};

static void refuse_pickle(const struct bytes *pickle, const char *reason)
{
    struct bytes file = {0};
    torch_build(&file, pickle->data, pickle->size, storages, 2);
    refuse_file(&file, reason);
    bytes_free(&file);
}

static void refuse_operations(const char *operations, size_t size, const char *reason)
{
    struct bytes pickle = {0};
    bytes_add(&pickle, operations, size);
    refuse_pickle(&pickle, reason);
    bytes_free(&pickle);
}

static void attacks_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const attacks[][2] = {
        {"cos\nsystem\n(X\x04\0\0\0", "os.system"},    {"cposix\nsystem\n(", "posix.system"},
        {"cbuiltins\neval\n(", "builtins.eval"},       {"c__builtin__\nexecfile\n(", "__builtin__.execfile"},
        {"csubprocess\nPopen\n(", "subprocess.Popen"}, {"crunpy\n_run_code\n(", "runpy._run_code"}};
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        struct bytes pickle = {0};
        pickle_raw(&pickle, attacks[i][0]);
        pickle_text(&pickle, "touch /tmp/harm");
        pickle_raw(&pickle, "tR.");
        refuse_pickle(&pickle, attacks[i][1]);
        bytes_free(&pickle);
    }
    refuse_operations("\x80\x04\x8c\x02os\x8c\x06system\x93.", 16, "os.system");
}

/* Whatever it is, and whatever is done with it. */
static void unknown_classes_are_opaque(void **state)
{
    (void)state;
    struct bytes pickle = {0}, file = {0};
    struct torch_archive *archive;
    pickle_raw(&pickle, "(d");
    pickle_text(&pickle, "a");
    pickle_class(&pickle, "my.module", "Config");
    pickle_raw(&pickle, ")\x81}");
    pickle_text(&pickle, "x");
    pickle_raw(&pickle, "K\x01sb(");
    pickle_text(&pickle, "k");
    pickle_raw(&pickle, "K\x01u]a)R");
    pickle_raw(&pickle, "s.");
    /* appending to, setting items of and calling an opaque object leave it opaque */
    torch_build(&file, pickle.data, pickle.size, NULL, 0);
    assert_ok(open_bytes(file.data, file.size, &archive));
    const struct torch_value *value = torch_value_get(torch_archive_root(archive), "a");
    assert_int_equal(value->kind, TORCH_OPAQUE);
    assert_string_equal(value->class_name, "my.module.Config");
    assert_int_equal(torch_archive_count(archive), 0);
    assert_int_equal(torch_archive_class_count(archive), 1);
    torch_archive_close(archive);
    bytes_free(&pickle);
    bytes_free(&file);
}

static void broken_pickles_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *operations;
        size_t size;
        const char *reason;
    } cases[] = {
        {"", 0, "it ends in the middle"},
        {"N", 1, "it ends in the middle"},
        {".", 1, "expected one value at its end"},
        {"NN.", 3, "expected one value at its end"},
        {"N(.", 3, "expected one value at its end"},
        {"N.N", 3, "behind the end of its pickle"},
        {"\x80\x06N.", 4, "protocol 6"},
        {"\xffN.", 3, "opcode 0xff is not allowed"},
        {"ios\nsystem\n.", 12, "opcode 0x69 is not allowed"},
        {"(o.", 3, "opcode 0x6f is not allowed"},
        {"P0\n.", 4, "opcode 0x50 is not allowed"},
        {"\x82\x01.", 3, "opcode 0x82 is not allowed"},
        {"\x97.", 2, "opcode 0x97 is not allowed"},
        {"t.", 2, "expected a mark"},
        {"N\x86.", 3, "expected 2 values on the stack"},
        {"N(0t.", 5, "expected a mark"},
        {"2.", 2, "expected a value on the stack"},
        {"Na.", 3, "expected 2 values"},
        {"NNa.", 4, "expected a list to add to"},
        {")Na.", 4, "expected a list to add to"},
        {"]NNs.", 5, "expected a dict to add to"},
        {"}(Nu.", 5, "a key without a value"},
        {"(Nd.", 4, "a key without a value"},
        {"h\x01.", 3, "place 1 of the memo is empty"},
        {"Nr\xff\xff\xff\xff.", 7, "place 4294967295 of the memo"},
        {"Nj\xff\xff\xff\xff.", 7, "place 4294967295 of the memo"},
        {"Np99999999999\n.", 15, "a line without an end"},
        {"NR.", 3, "expected a value on the stack"},
        {"NNR.", 4, "the arguments of an object"},
        {"N)R.", 4, "an object of something that is not a class"},
        {"NNb.", 4, "a state for a value that has none"},
        {"NQ.", 3, "expected a storage"},
        {"X\xff\xff\xff\xff.", 6, "expected 4294967295 more bytes"},
        {"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", 10, "expected 18446744073709551615 more bytes"},
        {"\x8b\xff\xff\xff\xff.", 6, "expected 4294967295 more bytes"},
        {"\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.", 11, "a frame of"},
        {"I12x\n.", 6, "expected a number"},
        {"F\n.", 3, "expected a number"},
        {"S'a\\q'\n.", 8, "unknown escape"},
        {"Sa\n.", 4, "a text in quotes"},
        {"ca\n.", 4, "a line without an end"},
        {"NN\x93.", 4, "the name of a class is not a text"},
        {"c_codecs\nencode\n(X\x02\0\0\0\xc4\x80X\x06\0\0\0latin1tR.", 38, "no byte"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse_operations(cases[i].operations, cases[i].size, cases[i].reason);
}

static void what_contains_itself_is_refused(void **state)
{
    (void)state;
    static const char *const operations[] = {
        "]q\x01h\x01\x61.",                                /* a list in itself */
        "]q\x01(h\x01t\x61.",                              /* through a tuple */
        "}q\x01(X\x01\0\0\0kh\x01u.",                      /* a dict in itself; its length is below */
        "]q\x01]q\x02h\x01\x61\x61.",                      /* through another list */
        "cargparse\nNamespace\n)\x81q\x01}U\x01kh\x01sb.", /* a namespace in itself */
    };
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        refuse_operations(operations[i], i == 2 ? 14 : strlen(operations[i]), "contains itself");
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    struct bytes pickle = {0}, file = {0};
    struct torch_archive *archive;
    for (int i = 0; i < TORCH_DEPTH_LIMIT - 1; i++)
        pickle_raw(&pickle, "](");
    pickle_raw(&pickle, "N");
    for (int i = 0; i < TORCH_DEPTH_LIMIT - 1; i++)
        pickle_raw(&pickle, "e");
    pickle_raw(&pickle, ".");
    torch_build(&file, pickle.data, pickle.size, NULL, 0);
    assert_ok(open_bytes(file.data, file.size, &archive));
    torch_archive_close(archive);
    bytes_free(&file);
    pickle.size = 0;
    pickle_raw(&pickle, "N");
    for (int i = 0; i < 1000000; i++)
        pickle_raw(&pickle, "\x85");
    pickle_raw(&pickle, ".");
    refuse_pickle(&pickle, "need more than 32 MiB");
    pickle.size = 0;
    pickle_raw(&pickle, "N");
    for (int i = 0; i < 1000; i++)
        pickle_raw(&pickle, "\x85");
    pickle_raw(&pickle, ".");
    refuse_pickle(&pickle, "nested deeper than 100");
    bytes_free(&pickle);
}

/* Repeats `operations` as long as the pickle stays below `size` bytes. */
static void repeat(struct bytes *pickle, const char *operations, size_t count, size_t size)
{
    while (pickle->size + count < size)
        bytes_add(pickle, operations, count);
}

/* Pickles whose values are far larger than they are themselves. */
static void bombs_are_refused(void **state)
{
    (void)state;
    struct bytes pickle = {0};
    int64_t before = peak_kilobytes();
    enum { SIZE = 3 << 20 };
    repeat(&pickle, "]", 1, SIZE); /* a list per byte */
    refuse_pickle(&pickle, "");
    pickle.size = 0;
    repeat(&pickle, "(", 1, SIZE); /* a mark per byte */
    refuse_pickle(&pickle, "marks on the stack");
    pickle.size = 0;
    repeat(&pickle, "N", 1, SIZE);
    refuse_pickle(&pickle, "values on the stack");
    pickle.size = 0;
    pickle_raw(&pickle, "N");
    for (uint32_t i = 0; pickle.size < SIZE; i += 1024) { /* a chunk of the memo per entry */
        uint8_t put[5] = {'r', (uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16), (uint8_t)(i >> 24)};
        bytes_add(&pickle, put, 5);
    }
    refuse_pickle(&pickle, "of the memo is not below");
    pickle.size = 0;
    pickle_raw(&pickle, "NN\x86q\x02](");
    for (int i = 0; i < 100000; i++)
        pickle_raw(&pickle, "h\x02");
    pickle_raw(&pickle, "eq\x01(");
    repeat(&pickle, "ccollections\nOrderedDict\nh\x01\x85R", 29, SIZE); /* the same pairs copied over and over */
    refuse_pickle(&pickle, "need more than 32 MiB");
    pickle.size = 0;
    pickle_raw(&pickle, "cargparse\nNamespace\nq\x02}q\x01(");
    for (int i = 0; i < 100000; i++)
        pickle_raw(&pickle, "NN");
    pickle_raw(&pickle, "u(");
    repeat(&pickle,
           "h\x02)\x81h\x01"
           "b",
           7, SIZE); /* the same dict copied over and over */
    refuse_pickle(&pickle, "need more than 32 MiB");
    bytes_free(&pickle);
    assert_true(peak_kilobytes() - before < MEMORY_KILOBYTES + 4 * SIZE / 1024); /* the test holds the file, too */
}

static void put_tensor(struct bytes *pickle, const char *class, const char *key, int64_t elements, int64_t first,
                       const char *shape, const char *strides)
{
    pickle_class(pickle, "torch._utils", "_rebuild_tensor_v2");
    pickle_raw(pickle, "(");
    pickle_storage(pickle, class, key, elements);
    pickle_integer(pickle, first);
    pickle_raw(pickle, shape);
    pickle_raw(pickle, strides);
    pickle_raw(pickle, "\x89}tR");
}

/* A tree in which a tensor has 2^40 names, and one with a million steps to every tensor. */
static void values_in_endless_places_are_refused(void **state)
{
    (void)state;
    struct bytes pickle = {0}, file = {0};
    struct torch_archive *archive;
    put_tensor(&pickle, "FloatStorage", "0", 4, 0, "I4\n\x85", "I1\n\x85");
    for (int i = 0; i < 40; i++)
        pickle_raw(&pickle, "2\x86");
    pickle_raw(&pickle, ".");
    refuse_pickle(&pickle, "used in too many places");
    pickle.size = 0;
    pickle_raw(&pickle, "](");
    put_tensor(&pickle, "FloatStorage", "0", 4, 0, "I4\n\x85", "I1\n\x85");
    for (int i = 0; i < 100000; i++)
        pickle_raw(&pickle, "N");
    pickle_raw(&pickle, "e");
    for (int i = 0; i < 10; i++)
        pickle_raw(&pickle, "222\x87\x86");
    pickle_raw(&pickle, ".");
    refuse_pickle(&pickle, "");
    /* Without a tensor in it, the same is harmless. */
    pickle.size = 0;
    pickle_raw(&pickle, "N");
    for (int i = 0; i < 80; i++)
        pickle_raw(&pickle, "2\x86");
    pickle_raw(&pickle, ".");
    torch_build(&file, pickle.data, pickle.size, NULL, 0);
    assert_ok(open_bytes(file.data, file.size, &archive));
    torch_archive_close(archive);
    bytes_free(&file);
    bytes_free(&pickle);
}

static void tensors_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *class, *key;
        int64_t elements, first;
        const char *shape, *strides, *reason;
    } cases[] = {
        {"FloatStorage", "2", 4, 0, "I4\n\x85", "I1\n\x85", "storage \"2\" of a tensor is missing"},
        {"FloatStorage", "../data.pkl", 4, 0, "I4\n\x85", "I1\n\x85", "of a tensor is missing"},
        {"FloatStorage", "0", 5, 0, "I4\n\x85", "I1\n\x85", "expected 5 elements"},
        {"FloatStorage", "0", 3, 0, "I3\n\x85", "I1\n\x85", "expected 3 elements"},
        {"DoubleStorage", "0", 4, 0, "I4\n\x85", "I1\n\x85", "expected 4 elements"},
        {"FloatStorage", "0", -4, 0, "I4\n\x85", "I1\n\x85", "expected a storage"},
        {"FloatStorage", "0", INT64_MAX, 0, "I4\n\x85", "I1\n\x85", "elements of torch.FloatStorage"},
        {"FloatStorage", "0", 4, 0, "I5\n\x85", "I1\n\x85", "lie outside of the 4"},
        {"FloatStorage", "0", 4, 1, "I4\n\x85", "I1\n\x85", "lie outside of the 4"},
        {"FloatStorage", "0", 4, 5, "I0\n\x85", "I1\n\x85", "lie outside of the 4"},
        {"FloatStorage", "0", 4, -1, "I1\n\x85", "I1\n\x85", "a first element"},
        {"FloatStorage", "0", 4, INT64_MAX, "I2\n\x85", "I1\n\x85", "lie outside of the 4"},
        {"FloatStorage", "0", 4, 0, "I2\n\x85", "I4\n\x85", "lie outside of the 4"},
        {"FloatStorage", "0", 4, 3, "I2\n\x85", "I-1\n\x85", "stride 0 of a tensor"},
        {"FloatStorage", "0", 4, 0, "I-2\n\x85", "I1\n\x85", "dimension 0 of a tensor"},
        {"FloatStorage", "0", 4, 0, "F2\n\x85", "I1\n\x85", "dimension 0 of a tensor"},
        {"FloatStorage", "0", 4, 0, "I2\n\x85", "I1\nI1\n\x86", "without as many strides"},
        {"FloatStorage", "0", 4, 0, "I9223372036854775807\n\x85", "I0\n\x85", "overflows at its dimension 0"},
        {"FloatStorage", "0", 4, 0, "I4294967296\nI2147483648\n\x86", "I0\nI0\n\x86", "overflows at its dimension 1"},
        {"FloatStorage", "0", 4, 0, "I4294967296\nI2147483648\nI0\n\x87", "I0\nI0\nI0\n\x87", "overflows at its"},
        {"FloatStorage", "0", 4, 0, "I3\nI3\n\x86", "I9223372036854775807\nI0\n\x86", "strides overflow"},
        {"FloatStorage", "0", 4, 0, "(I1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nt", ")", "9 dimensions"},
        {"FloatStorage", "0", 4, 0, "N", ")", "shape is not a tuple"},
        {"UntypedStorage", "0", 16, 0, "I4\n\x85", "I1\n\x85", "takes its dtype from a storage without one"},
        {"NoSuchStorage", "0", 16, 0, "I4\n\x85", "I1\n\x85", "unknown class torch.NoSuchStorage"},
    };
    struct bytes pickle = {0}, file = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pickle.size = 0;
        put_tensor(&pickle, cases[i].class, cases[i].key, cases[i].elements, cases[i].first, cases[i].shape,
                   cases[i].strides);
        pickle_raw(&pickle, ".");
        refuse_pickle(&pickle, cases[i].reason);
    }
    /* The last element that is there, and none at all behind it. */
    struct torch_archive *archive;
    pickle.size = 0;
    pickle_raw(&pickle, "(");
    put_tensor(&pickle, "FloatStorage", "0", 4, 0, "I2\n\x85", "I3\n\x85");
    put_tensor(&pickle, "FloatStorage", "0", 4, 4, "I0\n\x85", "I1\n\x85");
    pickle_raw(&pickle, "t.");
    torch_build(&file, pickle.data, pickle.size, storages, 2);
    assert_ok(open_bytes(file.data, file.size, &archive));
    assert_int_equal(torch_archive_tensor(archive, 0)->bytes, 16);
    assert_int_equal(torch_archive_tensor(archive, 1)->bytes, 0);
    torch_archive_close(archive);
    bytes_free(&file);
    bytes_free(&pickle);
}

static void equal_names_are_refused(void **state)
{
    (void)state;
    struct bytes pickle = {0};
    pickle_raw(&pickle, "}(");
    pickle_text(&pickle, "a.b");
    put_tensor(&pickle, "FloatStorage", "0", 4, 0, "I4\n\x85", "I1\n\x85");
    pickle_text(&pickle, "a");
    pickle_raw(&pickle, "}");
    pickle_text(&pickle, "b");
    put_tensor(&pickle, "FloatStorage", "0", 4, 0, "I4\n\x85", "I1\n\x85");
    pickle_raw(&pickle, "su.");
    refuse_pickle(&pickle, "two tensors have the name \"a.b\"");
    pickle.size = 0;
    pickle_raw(&pickle, "}(");
    pickle_text(&pickle, "same");
    pickle_raw(&pickle, "N");
    pickle_text(&pickle, "same");
    pickle_raw(&pickle, "Nu.");
    refuse_pickle(&pickle, "key \"same\" twice");
    pickle.size = 0;
    pickle_raw(&pickle, "}U\x03"
                        "a");
    bytes_add(&pickle, "\0b", 2);
    put_tensor(&pickle, "FloatStorage", "0", 4, 0, "I4\n\x85", "I1\n\x85");
    pickle_raw(&pickle, "s.");
    refuse_pickle(&pickle, "has a NUL");
    bytes_free(&pickle);
}

/* ---- files that are cut off or changed ---- */

static void *read_golden(const char *path, int64_t *size)
{
    void *data;
    assert_ok(file_read(path, 1 << 20, &data, size));
    return data;
}

static void whatever_is_cut_off_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"zip.pt", "stream.pt", "zip4.pt", "stream4.pt", "alone.pt"};
    for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
        char path[1024];
        int64_t size;
        struct torch_archive *archive;
        snprintf(path, sizeof path, GOLDEN "%s", names[f]);
        unsigned char *data = read_golden(path, &size);
        for (int64_t length = 0; length < size; length++)
            assert_fails(open_bytes(data, (size_t)length, &archive), STATUS_CORRUPT, "hostile.pt");
        unsigned char *longer = calloc(1, (size_t)size + 1);
        assert_non_null(longer);
        memcpy(longer, data, (size_t)size);
        assert_fails(open_bytes(longer, (size_t)size + 1, &archive), STATUS_CORRUPT, "hostile.pt");
        free(longer);
        free(data);
    }
}

static void streams_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *found, *put, *reason;
        size_t size;
    } cases[] = {
        {"\x4d\xe9\x03.", "\x4d\xe8\x03.", "expected version 1001", 4},
        {"little_endianq\x02\x88", "little_endianq\x02\x89", "highest byte of a number first", 16},
        {"DoubleStorage", "NoSuchStorage", "unknown class torch.NoSuchStorage", 13},
    };
    int64_t size;
    uint8_t *data = read_golden(GOLDEN "stream.pt", &size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes file = {0};
        bytes_add(&file, data, (size_t)size);
        uint8_t *at = memmem(file.data, file.size, cases[i].found, cases[i].size);
        assert_non_null(at);
        memcpy(at, cases[i].put, cases[i].size);
        refuse_file(&file, cases[i].reason);
        bytes_free(&file);
    }
    free(data);
}

/* What is accepted can be read through and through. */
static void use(const struct torch_archive *archive)
{
    float values[64];
    for (int64_t i = 0; i < torch_archive_count(archive); i++) {
        const struct stored_tensor *tensor = torch_archive_tensor(archive, i);
        int64_t count = stored_tensor_elements(tensor);
        assert_ptr_equal(torch_archive_find(archive, tensor->name), tensor);
        if (tensor->type <= DTYPE_F64)
            for (int64_t first = 0; first < count; first += count / 4 + 1)
                stored_tensor_read(tensor, first, count - first < 64 ? count - first : 64, values);
    }
    enum status status = torch_archive_verify(archive);
    assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
}

static void no_change_crashes_hangs_or_takes_memory(void **state)
{
    (void)state;
    static const char *const names[] = {GOLDEN "zip.pt",
                                        GOLDEN "stream.pt",
                                        GOLDEN "zip4.pt",
                                        GOLDEN "alone.pt",
                                        TEST_GOLDEN_DIRECTORY "/speech_models/kmeans/kmeans.joblib",
                                        TEST_GOLDEN_DIRECTORY "/speech_models/kmeans/minibatch.joblib"};
    enum { NAMES = sizeof names / sizeof *names };
    const int64_t rounds = NAMES * (test_is_long() ? 50000 : 500);
    int64_t sizes[NAMES], accepted = 0, before = peak_kilobytes();
    unsigned char *golden[NAMES];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 3, 0);
    for (int f = 0; f < NAMES; f++)
        golden[f] = read_golden(names[f], &sizes[f]);
    for (int64_t n = 0; n < rounds; n++) {
        struct torch_archive *archive = NULL;
        size_t size = (size_t)sizes[n % NAMES], room = size + 16384;
        uint8_t *data = malloc(room);
        assert_non_null(data);
        memcpy(data, golden[n % NAMES], size);
        for (uint64_t left = 1 + rng_below(&rng, 3); left > 0; left--)
            size = torch_mutate(data, size, room, &rng, mutate_plainly);
        enum status status = open_within(1, data, size, &archive);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        if (status == STATUS_OK) {
            accepted++;
            use(archive);
        }
        torch_archive_close(archive);
        free(data);
    }
    print_message("%lld of %lld changed files are accepted\n", (long long)accepted, (long long)rounds);
    assert_true(accepted > rounds / 100 && accepted < rounds);
    assert_true(peak_kilobytes() - before < MEMORY_KILOBYTES);
    for (int f = 0; f < NAMES; f++)
        free(golden[f]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attacks_are_refused_by_name),
        cmocka_unit_test(unknown_classes_are_opaque),
        cmocka_unit_test(broken_pickles_are_refused),
        cmocka_unit_test(what_contains_itself_is_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(values_in_endless_places_are_refused),
        cmocka_unit_test(tensors_that_lie_are_refused),
        cmocka_unit_test(equal_names_are_refused),
        cmocka_unit_test(whatever_is_cut_off_is_refused),
        cmocka_unit_test(streams_that_lie_are_refused),
        cmocka_unit_test(no_change_crashes_hangs_or_takes_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
