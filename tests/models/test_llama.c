/* Sizes, the table of parameters, the plan of activations and the first values of the weights. */
#include "support/llama_support.h"
#include "support/test_support.h"
#include "support/weights.h"

#include "core/hash.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct llama_config llama2_7b = {.vocabulary_size = 32000,
                                              .hidden_size = 4096,
                                              .intermediate_size = 11008,
                                              .layers = 32,
                                              .heads = 32,
                                              .kv_heads = 32,
                                              .head_size = 128,
                                              .maximum_positions = 4096,
                                              .rope_theta = 10000,
                                              .rms_norm_epsilon = 1e-5};

/* The published number of parameters of LLaMA-2 7B, and of 70B, whose heads are grouped. */
static void parameters_are_counted(void **state)
{
    (void)state;
    assert_int_equal(llama_parameter_count(&llama2_7b), 6738415616);
    const struct llama_config llama2_70b = {.vocabulary_size = 32000,
                                            .hidden_size = 8192,
                                            .intermediate_size = 28672,
                                            .layers = 80,
                                            .heads = 64,
                                            .kv_heads = 8,
                                            .head_size = 128,
                                            .maximum_positions = 4096,
                                            .rope_theta = 10000,
                                            .rms_norm_epsilon = 1e-5};
    assert_int_equal(llama_parameter_count(&llama2_70b), 68976648192);
    struct llama_config tied = llama2_7b;
    tied.tie_embeddings = true;
    assert_int_equal(llama_parameter_count(&tied), 6738415616 - 32000 * 4096);
}

/* By hand: 32 layers of 4*4096^2 + 3*4096*11008 and a head of 32000*4096, times 6; attention 6*32*4096 a position. */
static void operations_are_counted(void **state)
{
    (void)state;
    double matrices = 32.0 * (4.0 * 4096 * 4096 + 3.0 * 4096 * 11008) + 32000.0 * 4096;
    assert_true(llama_flops_per_token(&llama2_7b, 0) == 6 * matrices);
    assert_true(llama_flops_per_token(&llama2_7b, 4096) == 6 * matrices + 6.0 * 32 * 4096 * 4096);
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    struct llama_config config = llama_small_config();
    assert_ok(llama_config_check(&config));
    const struct {
        int64_t *value;
        int64_t bad;
        const char *text;
    } cases[] = {
        {&config.vocabulary_size, 0, "vocab_size is 0"},
        {&config.vocabulary_size, INT64_MAX, "vocab_size"},
        {&config.hidden_size, -1, "hidden_size is -1"},
        {&config.intermediate_size, 0, "intermediate_size"},
        {&config.layers, 5000, "num_hidden_layers is 5000"},
        {&config.heads, 0, "num_attention_heads"},
        {&config.heads, 5, "not a multiple of num_key_value_heads 2"},
        {&config.kv_heads, 3, "not a multiple of num_key_value_heads 3"},
        {&config.kv_heads, 8, "not a multiple"},
        {&config.head_size, 9, "head_dim 9 is odd"},
        {&config.maximum_positions, 0, "max_position_embeddings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t good = *cases[i].value;
        *cases[i].value = cases[i].bad;
        assert_fails(llama_config_check(&config), STATUS_USAGE, cases[i].text);
        *cases[i].value = good;
    }
    config.rope_theta = NAN;
    assert_fails(llama_config_check(&config), STATUS_USAGE, "rope_theta");
    config = llama_small_config();
    config.rms_norm_epsilon = 0;
    assert_fails(llama_config_check(&config), STATUS_USAGE, "rms_norm_eps");
    struct parameter_layout layout;
    assert_fails(parameter_layout_create(&config, &layout), STATUS_USAGE, "rms_norm_eps");
    assert_null(layout.views);
}

static void check_layout(const struct llama_config *config)
{
    struct parameter_layout layout;
    assert_ok(parameter_layout_create(config, &layout));
    int64_t end = 0, elements = 0;
    for (int64_t i = 0; i < layout.count; i++) {
        const struct parameter_view *view = &layout.views[i];
        assert_int_equal(view->count, view->shape[0] * (view->rank == 2 ? view->shape[1] : 1));
        assert_true(view->decay == (view->rank == 2));
        assert_ptr_equal(parameter_layout_find(&layout, view->name), view);
        if (view->alias) {
            assert_string_equal(view->name, "lm_head.weight");
            assert_int_equal(view->offset, 0);
            continue;
        }
        /* k, v and up follow at once, everything else at the next multiple of 128. */
        bool joined = strstr(view->name, "k_proj") || strstr(view->name, "v_proj") || strstr(view->name, "up_proj");
        assert_int_equal(view->offset, joined ? end : (end + 127) / 128 * 128);
        end = view->offset + view->count;
        elements += view->count;
        assert_true(view->offset >= layout.bucket_offsets[view->layer >= 0 ? view->layer + 1
                                                          : i == 0         ? 0
                                                                           : layout.bucket_count - 1]);
        assert_true(end <= layout.bucket_offsets[view->layer >= 0 ? view->layer + 2
                                                 : i == 0         ? 1
                                                                  : layout.bucket_count]);
    }
    assert_int_equal(elements, llama_parameter_count(config));
    assert_int_equal(layout.elements, (end + 127) / 128 * 128);
    assert_int_equal(layout.bucket_count, config->layers + 2);
    assert_int_equal(layout.bucket_offsets[0], 0);
    assert_int_equal(layout.bucket_offsets[layout.bucket_count], layout.elements);
    for (int64_t i = 0; i <= layout.bucket_count; i++)
        assert_int_equal(layout.bucket_offsets[i] % 128, 0);
    assert_null(parameter_layout_find(&layout, "model.layers.99.mlp.up_proj.weight"));
    parameter_layout_free(&layout);
}

static void tensors_lie_as_promised(void **state)
{
    (void)state;
    struct llama_config config = llama_small_config();
    check_layout(&config);
    config.tie_embeddings = true;
    check_layout(&config);
    config = llama2_7b;
    check_layout(&config);
}

/* ---- the plan of activations ---- */

static int64_t planned_bytes(const struct llama_config *config, enum dtype dtype, int64_t rows, int64_t length,
                             enum recomputation recomputation, bool backward)
{
    struct memory_plan plan = {.name = "activations"};
    const struct llama_workspace_options options = {rows, length, recomputation, backward, 0};
    assert_ok(llama_plan_workspace(test_kernels(), config, dtype, &options, &plan));
    int64_t total = plan.total;
    memory_plan_free(&plan);
    return total;
}

static void the_plan_is_what_is_allocated(void **state)
{
    (void)state;
    struct llama_config config = llama_small_config();
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++)
        for (int recomputation = RECOMPUTATION_NONE; recomputation <= RECOMPUTATION_BLOCK; recomputation++)
            for (int backward = 0; backward <= 1; backward++) {
                struct llama_fixture fixture;
                struct llama_workspace *workspace;
                const struct llama_workspace_options options = {3, 37, (enum recomputation)recomputation, backward, 0};
                size_t scratch;
                llama_fixture_create(&fixture, &config, (enum dtype)dtype, 1);
                int64_t before = test_kernels()->memory(&fixture.context).allocated;
                assert_ok(llama_plan_scratch(test_kernels(), &config, (enum dtype)dtype, &options, &scratch));
                assert_ok(llama_workspace_create(fixture.model, &options, &workspace));
                assert_int_equal(
                    test_kernels()->memory(&fixture.context).allocated - before - (int64_t)scratch,
                    planned_bytes(&config, (enum dtype)dtype, 3, 37, (enum recomputation)recomputation, backward));
                assert_int_equal(fixture.context.scratch_bytes, scratch);
                llama_workspace_destroy(workspace);
                assert_int_equal(test_kernels()->memory(&fixture.context).allocated - before, scratch);
                llama_fixture_destroy(&fixture);
            }
}

/* The angle of the last of `positions` by the model's tables, read from the device. */
static void read_last_angles(struct llama_fixture *fixture, int64_t positions, float *cosine, float *sine)
{
    const struct llama *model = fixture->model;
    int64_t half = model->config.head_size / 2, last = (positions - 1) * half;
    assert_int_equal(model->rope_positions, positions);
    llama_fixture_read(fixture, cosine, model->rope_cosine + last, (size_t)half * sizeof(float));
    llama_fixture_read(fixture, sine, model->rope_sine + last, (size_t)half * sizeof(float));
}

/* A model that promises 2^31 - 1 positions has tables for those in use: first some thousands, more once rows are longer, as
 * planned; and the angles are the formula's. */
static void rotary_tables_are_as_long_as_the_rows(void **state)
{
    (void)state;
    struct llama_config config = llama_small_config();
    config.maximum_positions = INT32_MAX;
    static const int64_t lengths[] = {1, 4096, 4097, 9001};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct llama_fixture fixture;
        struct llama_workspace *workspace;
        struct memory_plan plan = {.name = "parameters"};
        int64_t positions = lengths[i] > 4096 ? lengths[i] : 4096, half = config.head_size / 2;
        const struct llama_workspace_options options = {.rows = 1, .length = lengths[i]};
        float cosine[64], sine[64];
        llama_fixture_create(&fixture, &config, DTYPE_F32, 1);
        read_last_angles(&fixture, 4096, cosine, sine);
        assert_ok(llama_plan(&config, DTYPE_F32, lengths[i], &plan));
        assert_ok(llama_workspace_create(fixture.model, &options, &workspace));
        int64_t activations = planned_bytes(&config, DTYPE_F32, 1, lengths[i], RECOMPUTATION_NONE, false);
        int64_t allocated = test_kernels()->memory(&fixture.context).allocated - (int64_t)fixture.context.scratch_bytes;
        assert_in_range(plan.total + activations - allocated, 0, 2048); /* a plan rounds each part up to 256 bytes */
        read_last_angles(&fixture, positions, cosine, sine);
        for (int64_t h = 0; h < half; h++) {
            double angle =
                (double)(positions - 1) * pow(config.rope_theta, -2.0 * (double)h / (double)config.head_size);
            assert_true(fabs((double)cosine[h] - cos(angle)) <= 1e-7 && fabs((double)sine[h] - sin(angle)) <= 1e-7);
        }
        memory_plan_free(&plan);
        llama_workspace_destroy(workspace);
        llama_fixture_destroy(&fixture);
    }
}

/* What a layer must keep at least, by hand, for 7B in bf16 and 4096 tokens; and that the modes keep their order. */
static void recomputation_saves_memory(void **state)
{
    (void)state;
    const int64_t tokens = 4096, layer_input = tokens * 4096 * 2;
    int64_t none = planned_bytes(&llama2_7b, DTYPE_BF16, 1, tokens, RECOMPUTATION_NONE, true);
    int64_t light = planned_bytes(&llama2_7b, DTYPE_BF16, 1, tokens, RECOMPUTATION_LIGHT, true);
    int64_t block = planned_bytes(&llama2_7b, DTYPE_BF16, 1, tokens, RECOMPUTATION_BLOCK, true);
    int64_t forward = planned_bytes(&llama2_7b, DTYPE_BF16, 1, tokens, RECOMPUTATION_NONE, false);
    /* none keeps two norms (2 * 4096) and the activated values (11008) a layer more than light. */
    assert_true(none - light >= 31 * tokens * (2 * 4096 + 11008) * 2);
    /* light keeps q|k|v, attention, middle and gate|up (5 * 4096 + 2 * 11008) a layer more than block. */
    assert_true(light - block >= 31 * tokens * (5 * 4096 + 2 * 11008) * 2 - layer_input);
    /* A GPU is given larger chunks of logits. */
    assert_true(block < 33 * layer_input + ((int64_t)(test_kernels_cpu() ? 1024 : 1280) << 20));
    assert_true(forward < (int64_t)800 << 20);
    print_message("7B, bf16, 4096 tokens: none %lld, light %lld, block %lld, forward alone %lld MiB\n",
                  (long long)(none >> 20), (long long)(light >> 20), (long long)(block >> 20),
                  (long long)(forward >> 20));
    struct memory_plan plan = {.name = "activations"};
    struct llama_workspace_options options = {.rows = INT64_MAX / 2, .length = 4, .backward = true};
    assert_fails(llama_plan_workspace(test_kernels(), &llama2_7b, DTYPE_F32, &options, &plan), STATUS_USAGE,
                 "activations");
    options.rows = 0;
    assert_fails(llama_plan_workspace(test_kernels(), &llama2_7b, DTYPE_F32, &options, &plan), STATUS_USAGE,
                 "activations");
    memory_plan_free(&plan);
}

/* ---- first values ---- */

static double deviation(const float *values, int64_t count)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    assert_true(fabs(sum / (double)count) < 6 * sqrt(squares) / (double)count);
    return sqrt(squares / (double)count);
}

static void first_values_have_their_deviation(void **state)
{
    (void)state;
    struct llama_config config = llama_small_config();
    config.hidden_size = 200;
    struct llama_fixture fixture;
    llama_fixture_create(&fixture, &config, DTYPE_BF16, 3);
    const struct parameter_layout *layout = &fixture.model->layout;
    float *masters = guarded_allocate((size_t)layout->elements * sizeof *masters);
    memset(masters, 0, (size_t)layout->elements * sizeof *masters);
    struct weight_sink sink = weights_into(masters);
    assert_ok(llama_initialize(fixture.model, test_seed(), 0.02, &sink));
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        const float *values = masters + view->offset;
        if (view->rank == 1) {
            for (int64_t j = 0; j < view->count; j++)
                assert_true(values[j] == 1);
            continue;
        }
        bool residual = strstr(view->name, "o_proj") || strstr(view->name, "down_proj");
        double expected = residual ? 0.02 / sqrt(2.0 * 3) : 0.02;
        double ratio = deviation(values, view->count) / expected;
        assert_true(fabs(ratio - 1) < 6 / sqrt(2 * (double)view->count));
    }
    bf16 *weights = weights_of(fixture.model);
    for (int64_t i = 0; i < layout->elements; i++)
        assert_int_equal(weights[i], bf16_from_float(masters[i])); /* the padding too: zero */
    free(weights);
    guarded_free(masters);
    llama_fixture_destroy(&fixture);
}

static float *initialized(const struct llama_config *config, int threads, struct parameter_layout *layout)
{
    struct llama_fixture fixture;
    llama_fixture_create(&fixture, config, DTYPE_F32, threads);
    size_t bytes = (size_t)fixture.model->layout.elements * sizeof(float);
    float *masters = guarded_allocate(bytes), *weights;
    memset(masters, 0, bytes);
    struct weight_sink sink = weights_into(masters);
    assert_ok(llama_initialize(fixture.model, 5, 0.02, &sink));
    weights = weights_of(fixture.model);
    assert_memory_equal(masters, weights, bytes);
    free(weights);
    assert_ok(parameter_layout_create(config, layout));
    llama_fixture_destroy(&fixture);
    return masters;
}

/* Against the streams drawn from end to end: rows longer than a piece, rows across two pieces, and a sink that is given
 * pieces of tensors and no padding. */
static const struct parameter_layout *expected_layout;

static enum status check_piece(void *argument, int64_t offset, const float *values, int64_t count)
{
    int64_t *seen = argument, view = 0;
    (void)values;
    assert_in_range(count, 1, WEIGHT_PIECE);
    while (offset >= expected_layout->views[view].offset + expected_layout->views[view].count)
        view++;
    assert_true(offset >= expected_layout->views[view].offset);
    assert_true(offset + count <= expected_layout->views[view].offset + expected_layout->views[view].count);
    *seen += count;
    return STATUS_OK;
}

static void first_values_do_not_depend_on_pieces(void **state)
{
    (void)state;
    const int64_t wide = WEIGHT_PIECE + 12345;
    struct llama_config config = {3, 2, wide, 1, 1, 1, 2, 8, 10000, 1e-5, true};
    struct llama_fixture fixture;
    llama_fixture_create(&fixture, &config, DTYPE_F32, 2);
    int64_t seen = 0;
    struct weight_sink sink = {check_piece, &seen};
    expected_layout = &fixture.model->layout;
    assert_ok(llama_initialize(fixture.model, 5, 0.02, &sink));
    assert_int_equal(seen, llama_parameter_count(&config));
    float *weights = weights_of(fixture.model);
    static const char *const names[] = {"model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight"};
    for (int i = 0; i < 2; i++) {
        const struct parameter_view *view = parameter_layout_find(&fixture.model->layout, names[i]);
        struct sha256 hash = sha256_of(names[i], strlen(names[i]));
        uint64_t name = 0;
        for (int b = 7; b >= 0; b--)
            name = name << 8 | hash.bytes[b];
        double std = i == 0 ? 0.02 : 0.02 / sqrt(2.0);
        for (int64_t row = 0; row < view->shape[0]; row++) {
            struct rng rng = rng_make(5, RNG_INITIALIZE, name, (uint64_t)row);
            const float *values = weights + view->offset + row * view->shape[1];
            for (int64_t j = 0; j < view->shape[1]; j++)
                if (values[j] != (float)(rng_normal(&rng) * std))
                    fail_msg("%s: row %" PRId64 ", column %" PRId64, names[i], row, j);
        }
    }
    free(weights);
    llama_fixture_destroy(&fixture);
}

/* More layers, more rows of vocabulary or another number of threads leave what was there as it was. */
static void first_values_depend_on_names_alone(void **state)
{
    (void)state;
    struct llama_config small = llama_small_config(), large = small;
    large.layers = 5;
    large.vocabulary_size = 90;
    large.intermediate_size = 80;
    struct parameter_layout small_layout, large_layout;
    float *a = initialized(&small, 1, &small_layout), *b = initialized(&large, 3, &large_layout);
    const char *const same[] = {"model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight",
                                "model.layers.2.mlp.up_proj.weight", "lm_head.weight"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const struct parameter_view *x = parameter_layout_find(&small_layout, same[i]);
        const struct parameter_view *y = parameter_layout_find(&large_layout, same[i]);
        assert_memory_equal(a + x->offset, b + y->offset, (size_t)x->count * sizeof *a);
    }
    const struct parameter_view *x = parameter_layout_find(&small_layout, same[0]);
    const struct parameter_view *y = parameter_layout_find(&small_layout, same[3]);
    assert_memory_not_equal(a + x->offset, a + y->offset, (size_t)x->count * sizeof *a);
    guarded_free(a);
    guarded_free(b);
    parameter_layout_free(&small_layout);
    parameter_layout_free(&large_layout);
}

/* New rows of a continued model are the rows that a fresh one would have, and nothing else is touched. */
static void new_rows_are_filled_alone(void **state)
{
    (void)state;
    for (int tied = 0; tied <= 1; tied++) {
        struct llama_config config = llama_small_config();
        config.tie_embeddings = tied;
        struct parameter_layout layout;
        float *fresh = initialized(&config, 1, &layout);
        struct llama_fixture fixture;
        llama_fixture_create(&fixture, &config, DTYPE_F32, 1);
        float *masters = guarded_allocate((size_t)layout.elements * sizeof *masters);
        for (int64_t i = 0; i < layout.elements; i++)
            masters[i] = 7;
        weights_overwrite(fixture.model, 0, masters, layout.elements);
        struct weight_sink sink = weights_into(masters);
        struct llama_new_rows rows = {.first = 50, .kind = LLAMA_ROWS_NORMAL, .deviation = 0.02};
        assert_ok(llama_initialize_rows(fixture.model, 5, &rows, &sink));
        float *weights = weights_of(fixture.model);
        assert_memory_equal(masters, weights, (size_t)layout.elements * sizeof *masters);
        free(weights);
        int64_t head = parameter_layout_find(&layout, "lm_head.weight")->offset;
        for (int64_t i = 0; i < layout.elements; i++) {
            int64_t columns = config.hidden_size, count = config.vocabulary_size;
            bool filled =
                (i >= 50 * columns && i < count * columns) || (i >= head + 50 * columns && i < head + count * columns);
            assert_true(masters[i] == (filled ? fresh[i] : 7));
        }
        rows.first = 62;
        assert_fails(llama_initialize_rows(fixture.model, 5, &rows, NULL), STATUS_INTERNAL, "62");
        guarded_free(fresh);
        guarded_free(masters);
        parameter_layout_free(&layout);
        llama_fixture_destroy(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_counted),
        cmocka_unit_test(operations_are_counted),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(tensors_lie_as_promised),
        cmocka_unit_test(the_plan_is_what_is_allocated),
        cmocka_unit_test(rotary_tables_are_as_long_as_the_rows),
        cmocka_unit_test(recomputation_saves_memory),
        cmocka_unit_test(first_values_have_their_deviation),
        cmocka_unit_test(first_values_do_not_depend_on_pieces),
        cmocka_unit_test(first_values_depend_on_names_alone),
        cmocka_unit_test(new_rows_are_filled_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
