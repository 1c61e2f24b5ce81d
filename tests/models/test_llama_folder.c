/* Hugging Face folders: ours are, byte for byte, those that LlamaForCausalLM.from_pretrained opened when the golden
 * files were made (tests/oracles/llama_golden.py folders); those of save_pretrained are read; damaged ones are refused.
 *
 *     test_models_llama_folder --write DIRECTORY     writes the folders for that script */
#include "support/files.h"
#include "support/llama_support.h"
#include "support/test_support.h"
#include "support/weights.h"

#include "core/hash.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/llama/llama_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BOS = 1, EOS = 2, SEED = 21 };

static const struct written {
    const char *name;
    enum dtype dtype;
    bool tied;
    int64_t shard_bytes; /* 0: llama_write_folder */
} written_folders[] = {
    {"f32", DTYPE_F32, false, 0},
    {"bf16_tied", DTYPE_BF16, true, 0},
    {"f32_sharded", DTYPE_F32, false, 40000},
};
enum { FOLDERS = sizeof written_folders / sizeof *written_folders };

static struct llama_config written_config(const struct written *written)
{
    struct llama_config config = llama_small_config();
    config.tie_embeddings = written->tied;
    config.rope_theta = written->tied ? 500000 : 10000;
    config.rms_norm_epsilon = written->tied ? 1e-6 : 1e-5;
    return config;
}

static void write_folder(const struct written *written, const char *path)
{
    struct llama_config config = written_config(written);
    struct llama_fixture fixture;
    struct atomic_directory *directory;
    llama_fixture_create(&fixture, &config, written->dtype, 1);
    llama_fixture_weights(&fixture, SEED, 0.1);
    assert_ok(atomic_directory_begin(path, false, &directory));
    if (written->shard_bytes) {
        assert_ok(llama_write_configs(fixture.model, directory, BOS, EOS));
        assert_ok(llama_write_weights(fixture.model, directory, written->shard_bytes));
    } else {
        assert_ok(llama_write_folder(fixture.model, directory, BOS, EOS));
    }
    assert_ok(atomic_directory_commit(directory));
    llama_fixture_destroy(&fixture);
}

/* Logits of one row of ids. */
static float *logits_of(struct llama *model, const int32_t *ids, int64_t count)
{
    struct llama_workspace *workspace;
    float *logits = guarded_allocate((size_t)(count * model->config.vocabulary_size) * sizeof *logits);
    struct llama_batch batch = {.rows = 1, .length = count, .ids = ids};
    assert_ok(llama_workspace_create(model, &(struct llama_workspace_options){.rows = 1, .length = count}, &workspace));
    assert_ok(llama_logits(model, workspace, &batch, logits));
    llama_workspace_destroy(workspace);
    return logits;
}

static struct safetensors *open_golden(const char *name)
{
    char path[700];
    struct safetensors *file;
    snprintf(path, sizeof path, "%s/llama/%s", TEST_GOLDEN_DIRECTORY, name);
    assert_ok(safetensors_open(path, &file));
    return file;
}

/* The model's logits against those in the golden file: absolute for f32, as a relative norm for bf16. */
static void check_logits(struct llama *model, struct safetensors *golden, const char *ids_name, const char *logits_name)
{
    const struct tensor_info *ids = safetensors_find(golden, ids_name);
    const struct tensor_info *expected = safetensors_find(golden, logits_name);
    assert_true(ids && expected && ids->type == DTYPE_I32 && expected->type == DTYPE_F32);
    int64_t count = expected->bytes / (int64_t)sizeof(float);
    assert_int_equal(count, ids->shape[0] * model->config.vocabulary_size);
    double *wide = malloc((size_t)count * sizeof *wide), worst = 0;
    assert_non_null(wide);
    for (int64_t i = 0; i < count; i++)
        wide[i] = (double)((const float *)safetensors_data(golden, expected))[i];
    float *logits = logits_of(model, safetensors_data(golden, ids), ids->shape[0]);
    double relative = relative_difference(logits, wide, count);
    for (int64_t i = 0; i < count; i++)
        worst = fmax(worst, fabs((double)logits[i] - wide[i]));
    printf("%s: largest difference %.2e, relative %.2e\n", logits_name, worst, relative);
    if (model->dtype == DTYPE_F32)
        assert_close("logits", logits, wide, count, 1e-4);
    else
        assert_true(relative <= 0.02);
    guarded_free(logits);
    free(wide);
}

/* ---- ours ---- */

static void check_hashes(const char *name, struct safetensors *golden)
{
    int64_t files = 0;
    static const char *const all[] = {"config.json", "generation_config.json", "model.safetensors",
                                      "model.safetensors.index.json"};
    for (int i = 0; i < 4 + 20; i++) {
        char file[64], key[160], path[1024], hex[65];
        if (i < 4)
            snprintf(file, sizeof file, "%s", all[i]);
        else
            snprintf(file, sizeof file, "model-%05d-of-00006.safetensors", i - 3);
        snprintf(key, sizeof key, "%s/%s", name, file);
        snprintf(path, sizeof path, "%s/%s", test_path("%s", name), file);
        const char *expected = safetensors_metadata(golden, key);
        struct stat status;
        bool exists = stat(path, &status) == 0;
        if (exists != (expected != NULL))
            fail_msg("%s: %s", key, exists ? "was not there when the golden file was made" : "is missing");
        if (!expected)
            continue;
        void *data;
        int64_t size;
        assert_ok(file_read(path, 1 << 30, &data, &size));
        struct sha256 hash = sha256_of(data, (size_t)size);
        sha256_hex(&hash, hex);
        free(data);
        if (strcmp(hex, expected) != 0)
            fail_msg("%s: SHA-256 %s, expected %s", key, hex, expected);
        files++;
    }
    assert_true(files >= 3);
}

static void our_folders_are_those_that_transformers_opened(void **state)
{
    (void)state;
    struct safetensors *golden = open_golden("folders.safetensors");
    for (int i = 0; i < FOLDERS; i++) {
        const struct written *written = &written_folders[i];
        struct llama_config config;
        struct llama_fixture fixture;
        char ids[64], logits[64];
        write_folder(written, test_path("%s", written->name));
        assert_ok(directory_verify(test_path("%s", written->name), true));
        check_hashes(written->name, golden);
        assert_ok(llama_read_config(test_path("%s", written->name), &config));
        llama_fixture_create(&fixture, &config, written->dtype, 2);
        assert_ok(llama_read_weights(fixture.model, test_path("%s", written->name), NULL, NULL));
        snprintf(ids, sizeof ids, "%s.ids", written->name);
        snprintf(logits, sizeof logits, "%s.logits", written->name);
        check_logits(fixture.model, golden, ids, logits);
        llama_fixture_destroy(&fixture);
    }
    safetensors_close(golden);
}

/* Weights and configuration come back to the bit, also into masters, and bf16 files into f32 models. */
static void folders_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < FOLDERS; i++) {
        const struct written *written = &written_folders[i];
        struct llama_config expected = written_config(written), config;
        assert_ok(llama_read_config(test_path("%s", written->name), &config));
        assert_memory_equal(&config, &expected, sizeof config);
        struct llama_fixture from, same, wide;
        llama_fixture_create(&from, &config, written->dtype, 1);
        llama_fixture_create(&same, &config, written->dtype, 1);
        llama_fixture_create(&wide, &config, DTYPE_F32, 1);
        llama_fixture_weights(&from, SEED, 0.1);
        int64_t rows = -1;
        size_t elements = (size_t)from.model->layout.elements;
        float *masters = guarded_allocate(elements * sizeof *masters);
        memset(masters, 0, elements * sizeof *masters);
        struct weight_sink sink = weights_into(masters);
        assert_ok(llama_read_weights(same.model, test_path("%s", written->name), &sink, &rows));
        assert_int_equal(rows, config.vocabulary_size);
        assert_ok(llama_read_weights(wide.model, test_path("%s", written->name), NULL, NULL));
        void *original = weights_of(from.model), *back = weights_of(same.model), *widened = weights_of(wide.model);
        assert_memory_equal(back, original, elements * dtype_size(written->dtype));
        assert_memory_equal(widened, masters, elements * sizeof *masters);
        float *converted = malloc(elements * sizeof *converted);
        assert_non_null(converted);
        dtype_to_float(converted, original, written->dtype, (int64_t)elements);
        assert_memory_equal(masters, converted, elements * sizeof *masters);
        free(original);
        free(back);
        free(widened);
        free(converted);
        guarded_free(masters);
        llama_fixture_destroy(&from);
        llama_fixture_destroy(&same);
        llama_fixture_destroy(&wide);
    }
}

/* ---- theirs ---- */

/* A float16 folder in shards, as save_pretrained wrote it. */
static void a_foreign_folder_is_read(void **state)
{
    (void)state;
    char path[700];
    struct llama_config config;
    struct llama_fixture fixture;
    snprintf(path, sizeof path, "%s/llama/hf_f16_sharded", TEST_GOLDEN_DIRECTORY);
    assert_ok(llama_read_config(path, &config));
    const struct llama_config expected = {.vocabulary_size = 20,
                                          .hidden_size = 16,
                                          .intermediate_size = 24,
                                          .layers = 2,
                                          .heads = 2,
                                          .kv_heads = 1,
                                          .head_size = 8,
                                          .maximum_positions = 32,
                                          .rope_theta = 10000,
                                          .rms_norm_epsilon = 1e-5};
    assert_memory_equal(&config, &expected, sizeof config);
    struct safetensors *golden = open_golden("hf_f16_sharded.safetensors");
    llama_fixture_create(&fixture, &config, DTYPE_F32, 1);
    assert_ok(llama_read_weights(fixture.model, path, NULL, NULL));
    check_logits(fixture.model, golden, "ids", "logits");
    llama_fixture_destroy(&fixture);
    /* More rows in the model than in the file: what is missing stays as it was. */
    config.vocabulary_size = 27;
    llama_fixture_create(&fixture, &config, DTYPE_F32, 1);
    assert_fails(llama_read_weights(fixture.model, path, NULL, NULL), STATUS_CORRUPT, "20 rows of vocabulary");
    int64_t head = parameter_layout_find(&fixture.model->layout, "lm_head.weight")->offset, rows;
    float *weights = weights_of(fixture.model);
    for (int64_t i = 20 * 16; i < 27 * 16; i++)
        weights[i] = weights[head + i] = 5;
    weights_overwrite(fixture.model, 0, weights, fixture.model->layout.elements);
    free(weights);
    assert_ok(llama_read_weights(fixture.model, path, NULL, &rows));
    assert_int_equal(rows, 20);
    weights = weights_of(fixture.model);
    for (int64_t i = 0; i < 27 * 16; i++)
        assert_true(i < 20 * 16 ? weights[i] != 5 && weights[head + i] != 5
                                : weights[i] == 5 && weights[head + i] == 5);
    free(weights);
    llama_fixture_destroy(&fixture);
    config.vocabulary_size = 19;
    llama_fixture_create(&fixture, &config, DTYPE_F32, 1);
    assert_fails(llama_read_weights(fixture.model, path, NULL, &rows), STATUS_CORRUPT,
                 "model.embed_tokens.weight has the shape 20 x 16, expected 19 x 16");
    llama_fixture_destroy(&fixture);
    safetensors_close(golden);
}

/* ---- refusals ---- */

/* A config.json of one good object with one member set or (NULL) removed. */
static void write_config(const char *folder, const char *key, const char *value)
{
    char path[700];
    json_t *root, *member = NULL;
    const char *good =
        "{\"model_type\":\"llama\",\"vocab_size\":20,\"hidden_size\":16,\"intermediate_size\":24,"
        "\"num_hidden_layers\":2,\"num_attention_heads\":2,\"max_position_embeddings\":32,\"rms_norm_eps\":1e-5}";
    assert_ok(jdoc_parse("good", good, (int64_t)strlen(good), &root));
    if (value) {
        assert_ok(jdoc_parse("value", value, (int64_t)strlen(value), &member));
        assert_int_equal(json_object_set_new(root, key, member), 0);
    } else if (key) {
        assert_int_equal(json_object_del(root, key), 0);
    }
    char *text = jdoc_text(root, 2);
    assert_non_null(text);
    assert_ok(make_directories(folder));
    snprintf(path, sizeof path, "%s/config.json", folder);
    write_text(path, text);
    free(text);
    json_decref(root);
}

static void configurations_are_read_or_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *text; /* value NULL: removed; text NULL: fine */
    } cases[] = {
        {NULL, NULL, NULL},
        {"rope_scaling", "null", NULL},
        {"rope_scaling", "{\"type\":\"default\"}", NULL},
        {"rope_scaling", "{\"rope_type\":\"default\",\"factor\":1}", NULL},
        {"rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":8}", "rope_scaling of type \"llama3\""},
        {"rope_scaling", "{}", "rope_scaling of type \"none\""},
        {"rope_scaling", "[1]", "rope_scaling of type \"none\""},
        {"attention_bias", "false", NULL},
        {"rope_parameters", "{\"rope_type\":\"default\",\"rope_theta\":5e5}", NULL},
        {"max_position_embeddings", NULL, NULL},
        {"head_dim", "10", NULL},
        {"pretraining_tp", "2", NULL},
        {"rope_scaling", "{\"type\":\"linear\",\"factor\":2}", "rope_scaling of type \"linear\" is not supported"},
        {"rope_parameters", "{\"rope_type\":\"yarn\"}", "rope_type is \"yarn\""},
        {"rope_parameters", "3", "rope_parameters is not an object"},
        {"attention_bias", "true", "attention_bias is not supported"},
        {"attention_bias", "1", "attention_bias"},
        {"mlp_bias", "true", "mlp_bias is not supported"},
        {"quantization_config", "{}", "quantization_config is not supported"},
        {"hidden_act", "\"gelu\"", "hidden_act is \"gelu\""},
        {"attention_dropout", "0.1", "attention_dropout 0.1"},
        {"model_type", "\"mistral\"", "model_type is \"mistral\""},
        {"model_type", NULL, "model_type"},
        {"vocab_size", NULL, "vocab_size"},
        {"vocab_size", "-5", "vocab_size"},
        {"vocab_size", "20.5", "vocab_size"},
        {"vocab_size", "\"20\"", "vocab_size"},
        {"hidden_size", "1000000000000000000000", "not valid JSON"},
        {"num_attention_heads", "3", "not a multiple of num_attention_heads 3"},
        {"num_attention_heads", "0", "num_attention_heads"},
        {"num_key_value_heads", "4", "not a multiple of num_key_value_heads 4"},
        {"head_dim", "7", "head_dim 7 is odd"},
        {"rms_norm_eps", "\"small\"", "rms_norm_eps"},
        {"rms_norm_eps", "0", "rms_norm_eps"},
        {"rope_theta", "0.5", "rope_theta"},
        {"tie_word_embeddings", "\"no\"", "tie_word_embeddings"},
    };
    struct llama_config config;
    const char *folder = test_path("configuration");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].text && strcmp(cases[i].text, "not valid JSON") == 0) {
            char path[800];
            snprintf(path, sizeof path, "%s/config.json", folder);
            write_text(path, "{\"hidden_size\": 1e");
        } else {
            write_config(folder, cases[i].key, cases[i].value);
        }
        if (cases[i].text) {
            assert_fails(llama_read_config(folder, &config), STATUS_CORRUPT, cases[i].text);
            assert_non_null(strstr(status_text(), "config.json"));
        } else {
            assert_ok(llama_read_config(folder, &config));
        }
    }
    write_config(folder, "rope_parameters", "{\"rope_type\":\"default\",\"rope_theta\":5e5}");
    assert_ok(llama_read_config(folder, &config));
    assert_true(config.rope_theta == 5e5 && config.kv_heads == 2 && config.head_size == 8);
    assert_fails(llama_read_config(test_path("nowhere"), &config), STATUS_USAGE, "nowhere");
}

/* A change to one tensor of a small model's folder. */
struct change {
    const char *tensor, *text;
    int what;
};
enum { DROPPED, RENAMED, TRANSPOSED, SHORT, NOT_FINITE, WRONG_TYPE, UNTIED, TIED_COPY, ROTARY };

/* The folder is never published: what is read lies under atomic_directory_path. */
static struct atomic_directory *write_changed(const struct llama_fixture *fixture, const float *weights,
                                              const struct change *change, const char *folder)
{
    enum { MOST = 40 };
    const struct parameter_layout *layout = &fixture->model->layout;
    struct tensor_info infos[MOST];
    const void *data[MOST];
    int64_t count = 0;
    static float altered[61 * 40];
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        bool it = strcmp(view->name, change->tensor) == 0;
        if ((it && change->what == DROPPED) || (view->alias && !it))
            continue;
        assert_true(count + 1 < MOST);
        struct tensor_info *info = &infos[count];
        *info = (struct tensor_info){
            .name = view->name, .type = DTYPE_F32, .rank = view->rank, .shape = {view->shape[0], view->shape[1]}};
        data[count++] = weights + view->offset;
        if (it && change->what == RENAMED)
            info->name = "model.layers.7.mlp.up_proj.weight";
        if (it && change->what == TRANSPOSED) {
            info->shape[0] = view->shape[1];
            info->shape[1] = view->shape[0];
        }
        if (it && change->what == SHORT)
            info->shape[0]--;
        if (it && (change->what == NOT_FINITE || change->what == UNTIED)) {
            assert_true(view->count <= 61 * 40);
            memcpy(altered, weights + view->offset, (size_t)view->count * sizeof *altered);
            altered[view->count - 1] = change->what == UNTIED ? 3 : NAN;
            data[count - 1] = altered;
        }
        if (it && change->what == WRONG_TYPE)
            info->type = DTYPE_I32;
        info->bytes = tensor_bytes(info->type, info->rank, info->shape);
    }
    if (change->what == ROTARY) {
        infos[count] = (struct tensor_info){.name = "model.layers.0.self_attn.rotary_emb.inv_freq",
                                            .type = DTYPE_F32,
                                            .rank = 1,
                                            .shape = {5},
                                            .bytes = 5 * sizeof(float)};
        data[count++] = weights;
    }
    struct atomic_directory *directory;
    struct output_file *file;
    assert_ok(atomic_directory_begin(folder, true, &directory));
    assert_ok(atomic_directory_create(directory, "model.safetensors", 0, &file));
    assert_ok(safetensors_write(file, infos, data, count, NULL, 0));
    assert_ok(output_close(file));
    return directory;
}

static void tensors_are_refused_by_name(void **state)
{
    (void)state;
    static const struct change plain[] = {
        {"model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight is missing", DROPPED},
        {"lm_head.weight", "lm_head.weight is missing", DROPPED},
        {"model.layers.1.mlp.up_proj.weight", "model.layers.7.mlp.up_proj.weight does not belong", RENAMED},
        {"model.layers.0.mlp.down_proj.weight", "down_proj.weight has the shape 72 x 40, expected 40 x 72", TRANSPOSED},
        {"model.layers.2.self_attn.k_proj.weight", "k_proj.weight has the shape 19 x 40, expected 20 x 40", SHORT},
        {"model.norm.weight", "model.norm.weight has the shape 39, expected 40", SHORT},
        {"lm_head.weight", "lm_head.weight has 60 rows, but the embedding has 61", SHORT},
        {"model.layers.2.self_attn.q_proj.weight", "q_proj.weight holds nan at element 1599", NOT_FINITE},
        {"model.norm.weight", "model.norm.weight holds i32", WRONG_TYPE},
        {"", NULL, ROTARY},
    };
    static const struct change tied[] = {
        {"", NULL, DROPPED},
        {"lm_head.weight", NULL, TIED_COPY},
        {"lm_head.weight", "lm_head.weight differs from model.embed_tokens.weight", UNTIED},
        {"model.embed_tokens.weight", "model.embed_tokens.weight is missing", DROPPED},
    };
    for (int is_tied = 0; is_tied <= 1; is_tied++) {
        struct llama_config config = llama_small_config();
        config.tie_embeddings = is_tied;
        struct llama_fixture fixture, reader;
        llama_fixture_create(&fixture, &config, DTYPE_F32, 1);
        llama_fixture_create(&reader, &config, DTYPE_BF16, 1);
        llama_fixture_weights(&fixture, SEED, 0.1);
        float *weights = weights_of(fixture.model);
        const struct change *changes = is_tied ? tied : plain;
        size_t count = is_tied ? sizeof tied / sizeof *tied : sizeof plain / sizeof *plain;
        for (size_t i = 0; i < count; i++) {
            struct atomic_directory *directory = write_changed(&fixture, weights, &changes[i], test_path("changed"));
            const char *folder = atomic_directory_path(directory);
            if (!changes[i].text) {
                assert_ok(llama_read_weights(reader.model, folder, NULL, NULL));
            } else {
                assert_fails(llama_read_weights(reader.model, folder, NULL, NULL), STATUS_CORRUPT, changes[i].text);
                assert_non_null(strstr(status_text(), "changed"));
            }
            atomic_directory_abandon(directory);
        }
        free(weights);
        llama_fixture_destroy(&fixture);
        llama_fixture_destroy(&reader);
    }
}

/* Configurations with numbers that need all their digits come back the same; an id below zero is null. */
static void numbers_are_written_shortest(void **state)
{
    (void)state;
    struct llama_config config = llama_small_config(), back;
    config.rms_norm_epsilon = 1.0 / 3e5;
    config.rope_theta = 123456.789;
    struct llama_fixture fixture;
    struct atomic_directory *directory;
    llama_fixture_create(&fixture, &config, DTYPE_F32, 1);
    assert_ok(atomic_directory_begin(test_path("numbers"), true, &directory));
    assert_ok(llama_write_folder(fixture.model, directory, -1, 7));
    assert_ok(atomic_directory_commit(directory));
    assert_ok(llama_read_config(test_path("numbers"), &back));
    assert_memory_equal(&config, &back, sizeof config);
    char path[800];
    json_t *root;
    int64_t eos;
    snprintf(path, sizeof path, "%s/generation_config.json", test_path("numbers"));
    assert_ok(jdoc_read(path, &root));
    assert_false(jdoc_has(root, "bos_token_id"));
    assert_ok(jdoc_get_int(path, root, "eos_token_id", 0, 100, &eos));
    assert_int_equal(eos, 7);
    json_decref(root);
    llama_fixture_destroy(&fixture);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        for (int i = 0; i < FOLDERS; i++) {
            char path[1024];
            snprintf(path, sizeof path, "%s/%s", argv[2], written_folders[i].name);
            write_folder(&written_folders[i], path);
        }
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_folders_are_those_that_transformers_opened),
        cmocka_unit_test(folders_round_trip),
        cmocka_unit_test(a_foreign_folder_is_read),
        cmocka_unit_test(configurations_are_read_or_refused_by_name),
        cmocka_unit_test(tensors_are_refused_by_name),
        cmocka_unit_test(numbers_are_written_shortest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
