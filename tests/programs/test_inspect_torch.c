/* inspect on files of PyTorch: what it prints of genuine ones, that nothing hostile in them reaches the terminal, and what
 * --verify finds. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/torch_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN TEST_GOLDEN_DIRECTORY "/torch/"

static char output[1 << 20];

static int inspect(const char *options, const char *path)
{
    return run_command(output, sizeof output, "%s/inspect %s '%s'", TEST_PROGRAM_DIRECTORY, options, path);
}

static void assert_printed(const char *text)
{
    if (!strstr(output, text))
        fail_msg("expected \"%s\" in:\n%s", text, output);
}

static void genuine_files_are_shown(void **state)
{
    (void)state;
    static const char *const names[] = {"zip.pt", "zip4.pt", "stream.pt", "stream4.pt"};
    static const char *const lines[] = {
        "\n  f32  [2, 3]  model.0.weight\n",
        "\n  bf16 [5]  types.bfloat16\n",
        "\n  bool [3]  types.bool\n",
        "\n  f32  [6, 4]  views.transposed\n",
        "\n  f32  []  views.scalar\n",
        "\n  i32  [2]  3\n",
        "\n  31 tensors, ",
        "\n    args.arch: \"hubert\"\n",
        "\n    args.lr: [0.25]\n",
        "\n    args.nothing: none\n",
        "\n    misc.size: [2, 3]\n",
        "\n    misc.bytes: 256 bytes\n",
        "\n    misc.dtype: \"torch.bfloat16\"\n",
        "\n    misc.path: an object of pathlib.PurePosixPath\n",
        "\n    numpy.real: 0.1\n",
        "\n    torch._utils._rebuild_tensor_v2\n",
    };
    for (int i = 0; i < 4; i++) {
        char path[1024];
        snprintf(path, sizeof path, GOLDEN "%s", names[i]);
        assert_int_equal(inspect("", path), 0);
        assert_printed(i < 2 ? "PyTorch, zip file\n" : "PyTorch, stream as before PyTorch 1.6\n");
        for (size_t l = 0; l < sizeof lines / sizeof *lines; l++)
            assert_printed(lines[l]);
        assert_int_equal(inspect("--verify", path), STATUS_CORRUPT);
        assert_printed("tensor special: expected finite numbers, found nan at 0");
    }
    assert_int_equal(inspect("--verify", GOLDEN "alone.pt"), 0);
    assert_printed("verified: every record has its CRC, every number is finite");
}

static const char *write_file(const struct bytes *pickle, const struct zip_piece *storages, int count)
{
    struct bytes file = {0};
    const char *path = test_path("inspected"); /* known by its first bytes alone */
    torch_build(&file, pickle->data, pickle->size, storages, count);
    write_plainly(path, file.data, (int64_t)file.size);
    bytes_free(&file);
    return path;
}

static void hostile_texts_are_escaped(void **state)
{
    (void)state;
    float number = 1;
    const struct zip_piece storage = {.data = (uint8_t *)&number, .size = 4};
    struct bytes pickle = {0};
    pickle_raw(&pickle, "}(");
    pickle_text(&pickle, "name\x1b[2J\nfalse line");
    pickle_class(&pickle, "torch._utils", "_rebuild_tensor");
    pickle_raw(&pickle, "(");
    pickle_storage(&pickle, "FloatStorage", "0", 1);
    pickle_integer(&pickle, 0);
    pickle_raw(&pickle, "K\x01\x85K\x01\x85tR");
    pickle_text(&pickle, "key\x1b]0;title\x07");
    pickle_text(&pickle, "value\x1b[31m\r\n\xe2\x80\xae");
    pickle_text(&pickle, "object");
    pickle_class(&pickle, "mod\x1bule", "Class\x9b");
    pickle_raw(&pickle, ")Ru.");
    assert_int_equal(inspect("--verify", write_file(&pickle, &storage, 1)), 0);
    assert_null(strchr(output, '\x1b'));
    assert_null(strchr(output, '\x07'));
    assert_null(strchr(output, '\r'));
    assert_null(strstr(output, "\xe2\x80\xae"));
    assert_null(strstr(output, "\nfalse line"));
    assert_printed("name\\x1B[2J\\nfalse line");
    assert_printed("value\\x1B[31m\\r\\n");
    pickle.size = 0;
    pickle_class(&pickle, "os", "system\x1b[2J");
    pickle_raw(&pickle, ".");
    assert_int_equal(inspect("", write_file(&pickle, &storage, 1)), STATUS_CORRUPT);
    assert_null(strchr(output, '\x1b'));
    assert_printed("it names os.system");
    bytes_free(&pickle);
}

/* A small file whose values are in 2^60 places: they are counted, and the rest is not printed. */
static void endless_values_end(void **state)
{
    (void)state;
    struct bytes pickle = {0};
    pickle_raw(&pickle, "K\x01");
    for (int i = 0; i < 60; i++)
        pickle_raw(&pickle, "2\x86");
    pickle_raw(&pickle, ".");
    assert_int_equal(inspect("", write_file(&pickle, NULL, 0)), 0);
    assert_printed("... and more");
    pickle.size = 0;
    pickle_raw(&pickle, "]");
    for (int i = 0; i < 60; i++)
        pickle_raw(&pickle, "2\x86");
    pickle_raw(&pickle, ".");
    assert_int_equal(inspect("", write_file(&pickle, NULL, 0)), 0);
    assert_printed("... and more");
    bytes_free(&pickle);
}

/* A view with gaps: what lies in the gaps is nobody's number. Repetitions are read once, however many they are. */
static void verify_reads_what_tensors_show(void **state)
{
    (void)state;
    float numbers[5] = {1, (float)strtod("nan", NULL), 3, (float)strtod("inf", NULL), 5};
    static const char *const shapes[] = {"I3\n\x85I2\n\x85", "I3\nI115292150460684697\n\x86I2\nI0\n\x86",
                                         "I2\n\x85I1\n\x85", "I4\nI2\n\x86I1\nI1\n\x86"};
    static const char *const found[] = {"every number is finite", "every number is finite", "found nan at 1",
                                        "found nan at 1"};
    const struct zip_piece storage = {.data = (uint8_t *)numbers, .size = sizeof numbers};
    for (int i = 0; i < 4; i++) {
        struct bytes pickle = {0};
        pickle_class(&pickle, "torch._utils", "_rebuild_tensor");
        pickle_raw(&pickle, "(");
        pickle_storage(&pickle, "FloatStorage", "0", 5);
        pickle_integer(&pickle, 0);
        pickle_raw(&pickle, shapes[i]);
        pickle_raw(&pickle, "tR.");
        assert_int_equal(inspect("--verify", write_file(&pickle, &storage, 1)), i < 2 ? 0 : STATUS_CORRUPT);
        assert_printed(found[i]);
        bytes_free(&pickle);
    }
}

/* Large records are not read when a file is opened. */
static void verify_checks_large_records(void **state)
{
    (void)state;
    const size_t size = 2 << 20;
    uint8_t *data = calloc(1, size);
    assert_non_null(data);
    struct bytes pickle = {0};
    pickle_class(&pickle, "torch._utils", "_rebuild_tensor");
    pickle_raw(&pickle, "(");
    pickle_storage(&pickle, "FloatStorage", "0", (int64_t)size / 4);
    pickle_integer(&pickle, 0);
    pickle_integer(&pickle, (int64_t)size / 4);
    pickle_raw(&pickle, "\x85K\x01\x85tR.");
    const struct zip_piece good = {.data = data, .size = size}, bad = {.data = data, .size = size, .crc_change = 1};
    assert_int_equal(inspect("--verify", write_file(&pickle, &good, 1)), 0);
    const char *path = write_file(&pickle, &bad, 1);
    assert_int_equal(inspect("", path), 0);
    assert_int_equal(inspect("--verify", path), STATUS_CORRUPT);
    assert_printed("record \"archive/data/0\": expected CRC-32");
    bytes_free(&pickle);
    free(data);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    write_plainly(test_path("other.bin"), "just some bytes, more than 22", 29);
    assert_int_equal(inspect("", test_path("other.bin")), STATUS_CORRUPT);
    assert_printed("expected a file of PyTorch, found neither");
    write_plainly(test_path("short.pt"), "PK", 2);
    assert_int_equal(inspect("", test_path("short.pt")), STATUS_CORRUPT);
    assert_printed("too few for a file of PyTorch");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(genuine_files_are_shown),     cmocka_unit_test(hostile_texts_are_escaped),
        cmocka_unit_test(endless_values_end),          cmocka_unit_test(verify_reads_what_tensors_show),
        cmocka_unit_test(verify_checks_large_records), cmocka_unit_test(other_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
