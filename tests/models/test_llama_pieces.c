/* Hugging Face folders whose tensors are larger than the pieces in which they are read and written, wherever in the file
 * they lie; and the type in which a folder's model runs. */
#include "support/files.h"
#include "support/llama_support.h"
#include "support/test_support.h"
#include "support/weights.h"

#include "io/atomic_file.h"
#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* Weights larger than a piece: written and read back to the bit; also where a header of odd length puts every number at an
 * odd address; and a NaN far into a tensor is found and named. */
static void tensors_larger_than_a_piece(void **state)
{
    (void)state;
    static const char name[] = "model.layers.0.mlp.down_proj.weight";
    enum { COLUMNS = WEIGHT_PIECE + 12345, BAD = WEIGHT_PIECE + 77777 };
    const struct llama_config config = {3, 2, COLUMNS, 1, 1, 1, 2, 8, 10000, 1e-5, true};
    struct llama_fixture from, to;
    struct atomic_directory *directory;
    llama_fixture_create(&from, &config, DTYPE_BF16, 2);
    llama_fixture_create(&to, &config, DTYPE_BF16, 2);
    assert_ok(llama_initialize(from.model, 9, 0.1, NULL));
    assert_ok(atomic_directory_begin(test_path("large"), false, &directory));
    assert_ok(llama_write_folder(from.model, directory, 1, 2));
    assert_ok(atomic_directory_commit(directory));
    void *expected = weights_of(from.model), *found;
    size_t bytes = (size_t)from.model->layout.elements * sizeof(bf16);
    unsigned char *file;
    int64_t size;
    assert_ok(file_read(test_path("large/model.safetensors"), 1 << 30, (void **)&file, &size));
    int64_t header = file[0] | file[1] << 8;
    unsigned char *odd = malloc((size_t)size + 1);
    assert_non_null(odd);
    memcpy(odd, file, 8 + (size_t)header);
    odd[0]++; /* the header is a space longer; its length is a multiple of 8, so nothing is carried */
    odd[8 + header] = ' ';
    memcpy(odd + 9 + header, file + 8 + header, (size_t)(size - 8 - header));
    for (int misaligned = 0; misaligned <= 1; misaligned++) {
        if (misaligned)
            write_plainly(test_path("large/model.safetensors"), odd, size + 1);
        assert_ok(llama_initialize(to.model, 10, 0.1, NULL)); /* what must be overwritten */
        assert_ok(llama_read_weights(to.model, test_path("large"), NULL, NULL));
        found = weights_of(to.model);
        assert_memory_equal(found, expected, bytes);
        free(found);
    }
    struct safetensors *place;
    assert_ok(safetensors_open_in_place(test_path("large/model.safetensors"), &place));
    int64_t at = (const unsigned char *)safetensors_data(place, safetensors_find(place, name)) -
                 (const unsigned char *)safetensors_data(place, safetensors_find(place, "model.embed_tokens.weight"));
    safetensors_close(place);
    memset(odd + 9 + header + at + BAD * (int64_t)sizeof(bf16), 0xff, sizeof(bf16)); /* a NaN, and a later one */
    memset(odd + 9 + header + at + (BAD + 90001) * (int64_t)sizeof(bf16), 0xff, sizeof(bf16));
    write_plainly(test_path("large/model.safetensors"), odd, size + 1);
    assert_fails(llama_read_weights(to.model, test_path("large"), NULL, NULL), STATUS_CORRUPT,
                 "down_proj.weight holds -nan at element 1126353");
    free(odd);
    free(file);
    free(expected);
    llama_fixture_destroy(&from);
    llama_fixture_destroy(&to);
}

/* A model runs in the type of its folder: bf16 where all that is a weight is bf16, in f32 what is of other types too. */
static void a_folder_says_its_type(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum dtype types[3], expected;
    } cases[] = {
        {"all_bf16", {DTYPE_BF16, DTYPE_BF16, DTYPE_BF16}, DTYPE_BF16},
        {"rotary_f32", {DTYPE_BF16, DTYPE_BF16, DTYPE_F32}, DTYPE_BF16},
        {"one_f32", {DTYPE_BF16, DTYPE_F32, DTYPE_BF16}, DTYPE_F32},
        {"one_widened", {DTYPE_BF16, DTYPE_F32, DTYPE_BF16}, DTYPE_BF16},
        {"one_f16", {DTYPE_F16, DTYPE_BF16, DTYPE_BF16}, DTYPE_F32},
        {"all_f16", {DTYPE_F16, DTYPE_F16, DTYPE_F16}, DTYPE_F32},
        {"all_f32", {DTYPE_F32, DTYPE_F32, DTYPE_F32}, DTYPE_F32},
    };
    static const char *const names[3] = {"lm_head.weight", "model.norm.weight",
                                         "model.layers.0.self_attn.rotary_emb.inv_freq"};
    static const float zeros[4], exact[4] = {1.5f, -0.25f, 0, 3}, inexact[4] = {1.5f, 0.1f, 0, 3};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct atomic_directory *directory;
        struct output_file *file;
        struct tensor_info infos[3];
        const bool widened = strcmp(cases[i].name, "one_widened") == 0;
        const void *const data[3] = {zeros, cases[i].types[1] == DTYPE_F32 ? widened ? exact : inexact : zeros, zeros};
        for (int t = 0; t < 3; t++)
            infos[t] =
                (struct tensor_info){names[t], cases[i].types[t], 1, {4}, 4 * (int64_t)dtype_size(cases[i].types[t])};
        assert_ok(atomic_directory_begin(test_path("%s", cases[i].name), false, &directory));
        assert_ok(atomic_directory_create(directory, "model.safetensors", 0, &file));
        assert_ok(safetensors_write(file, infos, data, 3, NULL, 0));
        assert_ok(output_close(file));
        assert_ok(atomic_directory_commit(directory));
        enum dtype found = DTYPE_COUNT;
        assert_ok(llama_read_dtype(test_path("%s", cases[i].name), &found));
        assert_int_equal(found, cases[i].expected);
    }
    enum dtype found;
    assert_ok(llama_read_dtype(TEST_GOLDEN_DIRECTORY "/llama/hf_f16_sharded", &found));
    assert_int_equal(found, DTYPE_F32);
    assert_fails(llama_read_dtype(test_path("nowhere"), &found), STATUS_USAGE, "nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_larger_than_a_piece),
        cmocka_unit_test(a_folder_says_its_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
