/* A Hugging Face folder made from a model's files in any layout, without a device: the same numbers to
 * the bit. */
#include "support/files.h"
#include "support/test_support.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "models/llama/llama_folder.h"
#include "models/llama/llama_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const layouts[] = {"hf", "hf_sharded", "bin", "bin_sharded", "old", "meta1", "meta2", "f32.gguf"};

static void same_numbers(const struct source_tensor *a, const struct source_tensor *b)
{
    int64_t count = source_tensor_elements(a);
    float *left = guarded_allocate((size_t)count * sizeof *left),
          *right = guarded_allocate((size_t)count * sizeof *right);
    assert_int_equal(source_tensor_elements(b), count);
    source_tensor_read(a, 0, count, left);
    source_tensor_read(b, 0, count, right);
    if (memcmp(left, right, (size_t)count * sizeof *left) != 0)
        fail_msg("%s differs", a->name);
    guarded_free(left);
    guarded_free(right);
}

static void copies_of_every_layout_are_the_same_numbers(void **state)
{
    (void)state;
    struct llama_source *expected, *copy;
    assert_ok(llama_source_open(TEST_GOLDEN_DIRECTORY "/layouts/f32/hf", &expected));
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        char path[PATH_BYTES];
        struct atomic_directory *directory;
        struct llama_copy copied;
        struct llama_config config;
        const char *folder = test_path("%s.copy", layouts[i]);
        assert_ok(path_format(path, TEST_GOLDEN_DIRECTORY "/layouts/f32/%s", layouts[i]));
        assert_ok(atomic_directory_begin(folder, false, &directory));
        assert_ok(llama_copy_folder(path, directory, 1, -1, &copied));
        assert_ok(atomic_directory_commit(directory));
        assert_int_equal(copied.dtype, DTYPE_F32);
        assert_int_equal(copied.elements, 5200);
        assert_ok(llama_read_config(folder, &config));
        assert_int_equal(config.vocabulary_size, 40);
        assert_int_equal(config.kv_heads, 2);
        assert_false(config.tie_embeddings);
        assert_ok(llama_source_open(folder, &copy));
        assert_int_equal(llama_source_layout(copy), LLAMA_SAFETENSORS);
        assert_int_equal(llama_source_count(copy), 21);
        for (int64_t t = 0; t < 21; t++) {
            const struct source_tensor *tensor = llama_source_tensor(copy, t);
            assert_non_null(llama_source_find(expected, tensor->name));
            assert_non_null(source_tensor_in_place(tensor, DTYPE_F32));
            same_numbers(tensor, llama_source_find(expected, tensor->name));
        }
        llama_source_close(copy);
    }
    llama_source_close(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(copies_of_every_layout_are_the_same_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
