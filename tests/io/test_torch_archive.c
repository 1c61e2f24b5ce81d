/* Files of PyTorch against PyTorch itself (tests/oracles/torch_golden.py): tensors to the bit and plain values, in both
 * formats; and what PyTorch 1.13 does not write, from files built here. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/torch_builder.h"

#include "io/weights/torch_archive.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN TEST_GOLDEN_DIRECTORY "/torch/"

static const char *const files[] = {GOLDEN "zip.pt", GOLDEN "zip4.pt", GOLDEN "stream.pt", GOLDEN "stream4.pt"};
enum { FILES = sizeof files / sizeof *files };

/* The elements in the order of their indices, by the definition of strides. */
static void gather(const struct stored_tensor *tensor, unsigned char *out)
{
    int64_t index[TENSOR_MAX_RANK] = {0}, size = (int64_t)dtype_size(tensor->type);
    for (int64_t i = 0; i < stored_tensor_elements(tensor); i++) {
        int64_t at = 0;
        for (int d = 0; d < tensor->rank; d++)
            at += index[d] * tensor->stride[d];
        assert_true(at * size + size <= tensor->bytes);
        memcpy(out + i * size, (const unsigned char *)tensor->data + at * size, (size_t)size);
        for (int d = tensor->rank - 1; d >= 0 && ++index[d] == tensor->shape[d]; d--)
            index[d] = 0;
    }
}

static void tensors_are_pytorch_s(void **state)
{
    (void)state;
    for (int f = 0; f < FILES; f++) {
        struct safetensors *expected;
        struct torch_archive *archive;
        assert_ok(safetensors_open(GOLDEN "tensors.safetensors", &expected));
        assert_ok(torch_archive_open(files[f], &archive));
        assert_true(torch_archive_form(archive) == (f < 2 ? TORCH_FORM_ZIP : TORCH_FORM_STREAM));
        assert_int_equal(torch_archive_count(archive), safetensors_count(expected));
        for (int64_t i = 0; i < torch_archive_count(archive); i++) {
            const struct stored_tensor *tensor = torch_archive_tensor(archive, i);
            const struct tensor_info *info = safetensors_info(expected, i);
            assert_string_equal(tensor->name, info->name);
            assert_ptr_equal(torch_archive_find(archive, info->name), tensor);
            assert_int_equal(tensor->type, info->type);
            assert_int_equal(tensor->rank, info->rank);
            for (int d = 0; d < info->rank; d++)
                assert_int_equal(tensor->shape[d], info->shape[d]);
            unsigned char *bytes = guarded_allocate((size_t)info->bytes + 1);
            gather(tensor, bytes);
            if (info->bytes > 0)
                assert_memory_equal(bytes, safetensors_data(expected, info), (size_t)info->bytes);
            guarded_free(bytes);
            stored_tensor_forget(tensor); /* and it is still there: */
            bytes = guarded_allocate((size_t)info->bytes + 1);
            gather(tensor, bytes);
            if (info->bytes > 0)
                assert_memory_equal(bytes, safetensors_data(expected, info), (size_t)info->bytes);
            guarded_free(bytes);
        }
        assert_null(torch_archive_find(archive, "model.0"));
        assert_ok(torch_archive_verify(archive));
        torch_archive_close(archive);
        safetensors_close(expected);
    }
}

static void shared_storages_are_shared(void **state)
{
    (void)state;
    for (int f = 0; f < FILES; f++) {
        struct torch_archive *archive;
        assert_ok(torch_archive_open(files[f], &archive));
        const char *base = torch_archive_find(archive, "views.base")->data;
        assert_ptr_equal(torch_archive_find(archive, "views.transposed")->data, base);
        assert_ptr_equal(torch_archive_find(archive, "views.row")->data, base + 2 * 6 * 4);
        assert_ptr_equal(torch_archive_find(archive, "views.strided")->data, base + 6 * 4);
        torch_archive_close(archive);
    }
}

static void assert_text(const struct torch_value *root, const char *path, const char *text)
{
    const struct torch_value *value = torch_value_find(root, path);
    if (!value || !torch_value_is(value, text))
        fail_msg("%s is not \"%s\"", path, text);
}

static void assert_integer(const struct torch_value *root, const char *path, int64_t expected)
{
    const struct torch_value *value = torch_value_find(root, path);
    int64_t integer;
    if (!value || value->kind != TORCH_INTEGER || !torch_value_integer(value, &integer) || integer != expected)
        fail_msg("%s is not %lld", path, (long long)expected);
}

static void assert_real(const struct torch_value *root, const char *path, double expected)
{
    const struct torch_value *value = torch_value_find(root, path);
    double real;
    if (!value || value->kind != TORCH_REAL || !torch_value_real(value, &real) || real != expected)
        fail_msg("%s is not %.17g", path, expected);
}

static void assert_opaque(const struct torch_value *root, const char *path, const char *name)
{
    const struct torch_value *value = torch_value_find(root, path);
    if (!value || value->kind != TORCH_OPAQUE || strcmp(value->class_name, name) != 0)
        fail_msg("%s is not an object of %s", path, name);
}

static void plain_values_are_python_s(void **state)
{
    (void)state;
    for (int f = 0; f < FILES; f++) {
        struct torch_archive *archive;
        assert_ok(torch_archive_open(files[f], &archive));
        const struct torch_value *root = torch_archive_root(archive), *value;
        assert_text(root, "args.arch", "hubert");
        assert_real(root, "args.lr.0", 0.25);
        assert_int_equal(torch_value_find(root, "args.nothing")->kind, TORCH_NONE);
        assert_true(torch_value_find(root, "args.flag")->boolean);
        value = torch_value_find(root, "args.off");
        assert_true(value->kind == TORCH_BOOL && !value->boolean);
        assert_text(root, "args.nested.layers", "[(512, 10, 5)]");
        assert_integer(root, "numpy.integer", -7);
        assert_real(root, "numpy.real", 0.1);
        assert_real(root, "numpy.half", 0.5);
        assert_true(torch_value_find(root, "numpy.truth")->boolean);
        assert_opaque(root, "numpy.objects", "numpy.ndarray");
        assert_opaque(root, "numpy.texts", "numpy.ndarray");
        assert_opaque(root, "numpy.big_endian", "numpy.ndarray");
        value = torch_value_find(root, "misc.size");
        assert_true(value->kind == TORCH_TUPLE && torch_value_count(value) == 2);
        assert_integer(root, "misc.size.1", 3);
        assert_text(root, "misc.device", "cuda:1");
        assert_text(root, "misc.dtype", "torch.bfloat16");
        value = torch_value_find(root, "misc.bytes");
        assert_true(value->kind == TORCH_BYTES && value->size == 256);
        for (int i = 0; i < 256; i++)
            assert_int_equal((unsigned char)value->text[i], i);
        value = torch_value_find(root, "misc.no_bytes");
        assert_true(value->kind == TORCH_BYTES && value->size == 0);
        assert_opaque(root, "misc.huge", "int");
        assert_integer(root, "misc.negative", -5);
        assert_integer(root, "misc.least", INT64_MIN);
        assert_real(root, "misc.real", 1e-300);
        assert_text(root, "misc.unicode", "na\xc3\xafve \xe4\xb8\x96\xe7\x95\x8c");
        assert_integer(root, "misc.ordered.a", 2);
        assert_real(root, "misc.tuple.1.0", 2.5);
        assert_int_equal(torch_value_count(torch_value_find(root, "misc.tuple.2")), 0);
        assert_opaque(root, "misc.complex_tensor", "torch.ComplexFloatStorage");
        assert_int_equal(torch_value_find(root, "model.0.weight")->kind, TORCH_TENSOR);
        assert_null(torch_value_find(root, "args.missing"));
        assert_null(torch_value_find(root, "misc.tuple.3"));
        torch_archive_close(archive);
    }
}

static void classes_are_listed(void **state)
{
    (void)state;
    struct torch_archive *archive;
    assert_ok(torch_archive_open(files[0], &archive));
    bool found = false;
    for (int64_t i = 0; i < torch_archive_class_count(archive); i++) {
        found |= strcmp(torch_archive_class(archive, i), "argparse.Namespace") == 0;
        if (i > 0)
            assert_true(strcmp(torch_archive_class(archive, i - 1), torch_archive_class(archive, i)) < 0);
    }
    assert_true(found);
    torch_archive_close(archive);
}

static void a_tensor_can_be_saved_alone(void **state)
{
    (void)state;
    struct torch_archive *archive;
    float values[6];
    assert_ok(torch_archive_open(GOLDEN "alone.pt", &archive));
    assert_int_equal(torch_archive_count(archive), 1);
    const struct stored_tensor *tensor = torch_archive_find(archive, "");
    assert_int_equal(tensor->shape[0], 3);
    stored_tensor_read(tensor, 0, 6, values);
    for (int i = 0; i < 6; i++)
        assert_true(values[i] == (float)i);
    torch_archive_close(archive);
}

/* ---- built here ---- */

static struct torch_archive *open_pickle(const struct bytes *pickle, const struct zip_piece *storages, int count)
{
    struct bytes file = {0};
    struct torch_archive *archive;
    torch_build(&file, pickle->data, pickle->size, storages, count);
    const char *path = test_path("built.pt");
    write_plainly(path, file.data, (int64_t)file.size);
    bytes_free(&file);
    assert_ok(torch_archive_open(path, &archive));
    return archive;
}

/* What newer versions write: untyped storages with the dtype beside them, tensors of other classes, parameters with state. */
static void newer_tensors_are_read(void **state)
{
    (void)state;
    uint16_t numbers[4] = {1, 2, 3, 65535};
    const struct zip_piece storage = {.data = (uint8_t *)numbers, .size = sizeof numbers};
    struct bytes pickle = {0};
    pickle_raw(&pickle, "\x80\x02}(");
    pickle_text(&pickle, "v3");
    pickle_class(&pickle, "torch._utils", "_rebuild_tensor_v3");
    pickle_raw(&pickle, "(");
    pickle_storage(&pickle, "UntypedStorage", "0", 8);
    pickle_integer(&pickle, 1);
    pickle_raw(&pickle, "K\x03\x85K\x01\x85\x89}");
    pickle_class(&pickle, "torch", "uint16");
    pickle_raw(&pickle, "tR");
    pickle_text(&pickle, "parameter");
    pickle_class(&pickle, "torch._utils", "_rebuild_parameter_with_state");
    pickle_raw(&pickle, "(");
    pickle_class(&pickle, "torch._tensor", "_rebuild_from_type_v2");
    pickle_raw(&pickle, "(");
    pickle_class(&pickle, "torch._utils", "_rebuild_tensor_v2");
    pickle_class(&pickle, "some.where", "Subclass");
    pickle_raw(&pickle, "(");
    pickle_storage(&pickle, "HalfStorage", "0", 4);
    pickle_raw(&pickle, "K");
    bytes_add(&pickle, "\0", 1);
    pickle_raw(&pickle, "K\x04\x85K\x01\x85\x89}t}tR\x88}}tRu.");
    struct torch_archive *archive = open_pickle(&pickle, &storage, 1);
    const struct stored_tensor *tensor = torch_archive_find(archive, "v3");
    assert_int_equal(tensor->type, DTYPE_U16);
    assert_int_equal(tensor->shape[0], 3);
    assert_memory_equal(tensor->data, numbers + 1, 6);
    tensor = torch_archive_find(archive, "parameter");
    assert_int_equal(tensor->type, DTYPE_F16);
    assert_memory_equal(tensor->data, numbers, 8);
    torch_archive_close(archive);
    bytes_free(&pickle);
}

/* Operations that torch.save does not use today: protocol 0's texts, numbers and memo among them. */
static void old_operations_are_read(void **state)
{
    (void)state;
    struct bytes pickle = {0};
    pickle_raw(&pickle,
               "(dS'a\\n\\x41\\'\"'\nV\\u00e9\\U0001d11ex\nsS'i'\nI-12\nsS't'\nI01\nsS'l'\nL-77L\nsS'f'\nF-2.5e3\ns"
               "Vlist\np0\n(lp1\nI1\nag0\nasVsame\ng1\ns"
               "Vset\n\x8f(K\x01K\x02\x90sVtuple\n(K\x05\x30K\x06\x32ts.");
    struct torch_archive *archive = open_pickle(&pickle, NULL, 0);
    const struct torch_value *root = torch_archive_root(archive);
    assert_text(root, "a\nA'\"", "\xc3\xa9\xf0\x9d\x84\x9ex");
    assert_integer(root, "i", -12);
    assert_true(torch_value_find(root, "t")->boolean);
    assert_integer(root, "l", -77);
    assert_real(root, "f", -2500);
    assert_integer(root, "list.0", 1);
    assert_text(root, "list.1", "list");
    assert_ptr_equal(torch_value_find(root, "same")->items, torch_value_find(root, "list")->items);
    assert_integer(root, "set.1", 2);
    assert_int_equal(torch_value_count(torch_value_find(root, "tuple")), 2);
    assert_integer(root, "tuple.1", 6);
    torch_archive_close(archive);
    bytes_free(&pickle);
}

/* Every form in which a zip file may give a record's size, in any folder. */
static void every_form_of_record_is_read(void **state)
{
    (void)state;
    struct bytes pickle = {0};
    float numbers[3] = {1, 2, 3};
    pickle_class(&pickle, "torch._utils", "_rebuild_tensor");
    pickle_raw(&pickle, "(");
    pickle_storage(&pickle, "FloatStorage", "0", 3);
    pickle_raw(&pickle, "K");
    bytes_add(&pickle, "\0", 1);
    pickle_raw(&pickle, "K\x03\x85K\x01\x85tR.");
    for (int form = 0; form < ZIP_FORMS; form++)
        for (int large = 0; large < 4; large++) {
            const struct zip_piece pieces[] = {
                {.name = "a b/data.pkl", .data = pickle.data, .size = pickle.size, .form = form, .zip64 = large & 1},
                {.name = "a b/byteorder", .data = (uint8_t *)(uintptr_t) "little", .size = 6, .form = form},
                {.name = "a b/empty", .data = pickle.data, .form = form, .zip64 = large & 1},
                {.name = "a b/data/0", .data = (uint8_t *)numbers, .size = 12, .form = form, .zip64 = large & 1},
            };
            struct bytes file = {0};
            struct torch_archive *archive;
            float values[3];
            const char *path = test_path("form.pt");
            zip_build(&file, pieces, 4, large & 2);
            write_plainly(path, file.data, (int64_t)file.size);
            bytes_free(&file);
            assert_ok(torch_archive_open(path, &archive));
            assert_ok(torch_archive_verify(archive));
            stored_tensor_read(torch_archive_find(archive, ""), 0, 3, values);
            assert_memory_equal(values, numbers, sizeof values);
            torch_archive_close(archive);
        }
    bytes_free(&pickle);
}

/* An archive of 5 GiB whose second storage lies beyond 4 GiB, as ZIP64 says; its first storage is a hole of zeros, so that
 * the file takes no room on the disk. tests/oracles/torch_golden.py makes one with PyTorch itself. */
static void files_beyond_4_gib_are_read(void **state)
{
    (void)state;
    enum { FIRST_DATA = 64 }; /* zip_build aligns it */
    const int64_t zeros = INT64_C(5) << 30;
    if (!test_is_long())
        skip();
    struct bytes pickle = {0}, file = {0};
    float numbers[3] = {1, 2, 3}, values[3];
    struct torch_archive *archive;
    pickle_raw(&pickle, "\x80\x02]");
    for (int i = 0; i < 2; i++) {
        pickle_class(&pickle, "torch._utils", "_rebuild_tensor_v2");
        pickle_raw(&pickle, "(");
        pickle_storage(&pickle, i ? "FloatStorage" : "ByteStorage", i ? "1" : "0", i ? 3 : zeros);
        pickle_integer(&pickle, 0);
        pickle_integer(&pickle, i ? 3 : zeros);
        pickle_raw(&pickle, "\x85K\x01\x85\x89}tRa");
    }
    pickle_raw(&pickle, ".");
    const struct zip_piece pieces[] = {
        {.name = "a/data/0",
         .hole = (uint64_t)zeros,
         .crc_change = 0x193838c3, /* of 5 GiB of zeros, as Python's zlib.crc32 has it */
         .zip64 = true,
         .form = ZIP_DESCRIPTOR64},
        {.name = "a/data.pkl", .data = pickle.data, .size = pickle.size, .zip64 = true},
        {.name = "a/data/1", .data = (uint8_t *)numbers, .size = sizeof numbers, .zip64 = true},
    };
    zip_build(&file, pieces, 3, true);
    const char *path = test_path("large.pt");
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(descriptor >= 0);
    ssize_t rest = (ssize_t)file.size - FIRST_DATA;
    assert_int_equal(pwrite(descriptor, file.data, FIRST_DATA, 0), FIRST_DATA);
    assert_int_equal(pwrite(descriptor, file.data + FIRST_DATA, (size_t)rest, FIRST_DATA + zeros), rest);
    close(descriptor);
    assert_ok(torch_archive_open(path, &archive));
    assert_int_equal(torch_archive_tensor(archive, 0)->bytes, zeros);
    stored_tensor_read(torch_archive_find(archive, "1"), 0, 3, values);
    assert_memory_equal(values, numbers, sizeof values);
    assert_ok(torch_archive_verify(archive));
    torch_archive_close(archive);
    assert_int_equal(unlink(path), 0);
    bytes_free(&file);
    bytes_free(&pickle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_pytorch_s),       cmocka_unit_test(shared_storages_are_shared),
        cmocka_unit_test(plain_values_are_python_s),   cmocka_unit_test(classes_are_listed),
        cmocka_unit_test(a_tensor_can_be_saved_alone), cmocka_unit_test(newer_tensors_are_read),
        cmocka_unit_test(old_operations_are_read),     cmocka_unit_test(every_form_of_record_is_read),
        cmocka_unit_test(files_beyond_4_gib_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
