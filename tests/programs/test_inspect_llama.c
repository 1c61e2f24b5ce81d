/* inspect on a Llama in every layout: one configuration, Hugging Face's names, and the same hashes of the same weights. Expected
 * hashes were computed by Python's hashlib over the numbers that the safetensors library reads from
 * tests/golden/layouts/f32/hf. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/torch_builder.h"

#include "core/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYOUTS TEST_GOLDEN_DIRECTORY "/layouts/f32/"

static char output[1 << 16];

static const char *const layouts[] = {"hf",    "hf_sharded", "bin",      "bin_sharded",         "old",
                                      "meta1", "meta2",      "f32.gguf", "hf/model.safetensors"};
enum { LAYOUT_COUNT = sizeof layouts / sizeof *layouts };

static const char *const hashes[] = {
    "\n  85e4aaa86f38a597a3041a50ed898aaf9946ce998991741edecc17e7744a1ac0 f32  [40, 16]  lm_head.weight\n",
    "\n  27c28cc305bf1d9b3bee654676eb8c243108379ffdb0c4dbbb70813036c88073 f32  [8, 16]  "
    "model.layers.1.self_attn.k_proj.weight\n",
    "\n  14e21189fa96a5c91ba141398d2ce716c702a6f490262752cf689a65a2733f0c f32  [16, 16]  "
    "model.layers.0.self_attn.q_proj.weight\n",
    "\n  1bab2fdbca12b4ebd68d4fd480257c4353552878c36b0960cd2a240aec251bd2 f32  [16, 24]  "
    "model.layers.1.mlp.down_proj.weight\n",
};

static int inspect(const char *options, const char *path)
{
    return run_command(output, sizeof output, "'%s/inspect' %s '%s'", TEST_PROGRAM_DIRECTORY, options, path);
}

static void assert_printed(const char *text)
{
    if (!strstr(output, text))
        fail_msg("expected \"%s\" in:\n%s", text, output);
}

/* The lines with hashes, without those of rotary tables, which only some layouts have. */
static char *hash_lines(void)
{
    char *lines = calloc(1, sizeof output);
    assert_non_null(lines);
    for (char *line = strtok(output, "\n"); line; line = strtok(NULL, "\n"))
        if (strncmp(line, "  ", 2) == 0 && strspn(line + 2, "0123456789abcdef") == 64 && !strstr(line, "freq"))
            sprintf(lines + strlen(lines), "%s\n", line);
    return lines;
}

static void every_layout_has_the_same_hashes(void **state)
{
    (void)state;
    char *first = NULL;
    for (int i = 0; i < LAYOUT_COUNT; i++) {
        char path[1024];
        snprintf(path, sizeof path, LAYOUTS "%s", layouts[i]);
        if (inspect("--hash", path) != 0)
            fail_msg("%s", output);
        for (size_t h = 0; h < sizeof hashes / sizeof *hashes; h++)
            assert_printed(hashes[h]);
        char *lines = hash_lines();
        if (!first)
            first = strdup(lines);
        assert_string_equal(lines, first);
        free(lines);
    }
    free(first);
}

static void the_configuration_is_shown(void **state)
{
    (void)state;
    for (int i = 0; i + 1 < LAYOUT_COUNT; i++) {
        char path[1024];
        snprintf(path, sizeof path, LAYOUTS "%s", layouts[i]);
        assert_int_equal(inspect("--verify", path), 0);
        assert_printed("\n  2 layers of width 16, feed-forward 24; 4 heads of 4, 2 for keys and values\n");
        assert_printed("\n  vocabulary of 40 rows, its own head; ");
        assert_printed("rope_theta 10000, rms_norm_eps 1e-05\n");
        assert_printed("\n  f32  [8, 16]  model.layers.1.self_attn.k_proj.weight\n");
        assert_printed("\n  verified: every number is finite\n");
    }
    assert_int_equal(inspect("", LAYOUTS "meta2"), 0);
    assert_printed("Llama in Meta's layout\n");
    assert_int_equal(inspect("", LAYOUTS "bin_sharded"), 0);
    assert_printed("Hugging Face's layout, weights of PyTorch\n");
}

/* What is missing or does not belong together is refused by name, as generate refuses it. */
static void incomplete_folders_are_refused(void **state)
{
    (void)state;
    const char *folder = test_path("incomplete");
    assert_int_equal(run_command(output, sizeof output, "cp -r '" LAYOUTS "meta2' '%s' && rm '%s/consolidated.00.pth'",
                                 folder, folder),
                     0);
    assert_int_equal(inspect("", folder), STATUS_USAGE);
    assert_printed("no consolidated.00.pth");
    folder = test_path("without_shard");
    assert_int_equal(run_command(output, sizeof output,
                                 "cp -r '" LAYOUTS "bin_sharded' '%s' && rm '%s/pytorch_model-00002-of-00002.bin'",
                                 folder, folder),
                     0);
    assert_int_not_equal(inspect("", folder), 0);
    assert_printed("pytorch_model-00002-of-00002.bin");
    folder = test_path("one_layer");
    assert_int_equal(run_command(output, sizeof output,
                                 "cp -r '" LAYOUTS
                                 "bin' '%s' && sed -i 's/\"num_hidden_layers\": 2/\"num_hidden_layers\": 1/' "
                                 "'%s/config.json'",
                                 folder, folder),
                     0);
    assert_int_equal(inspect("", folder), STATUS_CORRUPT);
    assert_printed("model.layers.1.");
}

/* A Llama of width 4 in pytorch_model.bin, all of whose tensors begin at the start of one large record. */
static void write_torch_folder(const char *folder, uint32_t crc_change)
{
    static const char *const vectors[] = {"model.norm.weight", "model.layers.0.input_layernorm.weight",
                                          "model.layers.0.post_attention_layernorm.weight"};
    static const char *const matrices[] = {"model.embed_tokens.weight",
                                           "lm_head.weight",
                                           "model.layers.0.self_attn.q_proj.weight",
                                           "model.layers.0.self_attn.k_proj.weight",
                                           "model.layers.0.self_attn.v_proj.weight",
                                           "model.layers.0.self_attn.o_proj.weight",
                                           "model.layers.0.mlp.gate_proj.weight",
                                           "model.layers.0.mlp.up_proj.weight",
                                           "model.layers.0.mlp.down_proj.weight"};
    enum { VECTORS = sizeof vectors / sizeof *vectors, TENSORS = VECTORS + sizeof matrices / sizeof *matrices };
    const size_t size = 2 << 20;
    uint8_t *data = calloc(1, size);
    const struct zip_piece storage = {.data = data, .size = size, .crc_change = crc_change};
    struct bytes pickle = {0}, file = {0};
    char path[1024];
    assert_non_null(data);
    pickle_raw(&pickle, "}(");
    for (int i = 0; i < TENSORS; i++) {
        pickle_text(&pickle, i < VECTORS ? vectors[i] : matrices[i - VECTORS]);
        pickle_class(&pickle, "torch._utils", "_rebuild_tensor");
        pickle_raw(&pickle, "(");
        pickle_storage(&pickle, "FloatStorage", "0", (int64_t)size / 4);
        pickle_integer(&pickle, 0);
        pickle_raw(&pickle, i < VECTORS ? "K\x04\x85K\x01\x85tR" : "K\x04K\x04\x86K\x04K\x01\x86tR");
    }
    pickle_raw(&pickle, "u.");
    torch_build(&file, pickle.data, pickle.size, &storage, 1);
    assert_int_equal(run_command(output, sizeof output, "mkdir '%s'", folder), 0);
    write_text_in(folder, "config.json",
                  "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"hidden_act\": \"silu\", "
                  "\"vocab_size\": 4, \"hidden_size\": 4, \"intermediate_size\": 4, \"num_hidden_layers\": 1, "
                  "\"num_attention_heads\": 1, \"max_position_embeddings\": 16, \"rms_norm_eps\": 1e-5}");
    snprintf(path, sizeof path, "%s/pytorch_model.bin", folder);
    write_plainly(path, file.data, (int64_t)file.size);
    bytes_free(&pickle);
    bytes_free(&file);
    free(data);
}

/* Large records are not read when a file is opened; --verify reads those of a folder's files too. */
static void verify_checks_large_records(void **state)
{
    (void)state;
    write_torch_folder(test_path("whole"), 0);
    write_torch_folder(test_path("changed"), 1);
    assert_int_equal(inspect("--verify", test_path("whole")), 0);
    assert_printed("verified: 1 file, every record has its CRC");
    assert_int_equal(inspect("", test_path("changed")), 0);
    assert_int_equal(inspect("--verify", test_path("changed")), STATUS_CORRUPT);
    assert_printed("pytorch_model.bin: ");
    assert_printed("expected CRC-32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_has_the_same_hashes),
        cmocka_unit_test(the_configuration_is_shown),
        cmocka_unit_test(incomplete_folders_are_refused),
        cmocka_unit_test(verify_checks_large_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
