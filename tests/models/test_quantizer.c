/* Quantizers: k-means in every form in which it is kept gives the clusters of scikit-learn's definition, blanks are filled as the
 * release fills them, and what does not fit is refused by name. The linear quantizer's units: test_encoder_values.c. */
#include "support/test_support.h"

#include "core/thread_pool.h"
#include "io/json.h"
#include "models/encoder/quantizer.h"
#include "support/files.h"
#include "support/models/checkpoint_files.h"
#include "support/test_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KMEANS TEST_GOLDEN_DIRECTORY "/speech_models/kmeans/"
enum { POINTS = 40, WIDTH = 6, CLUSTERS = 5 };

static struct device_context context;

static int open_world(void **state)
{
    (void)state;
    assert_ok(device_context_create(test_kernels(), NULL, 0, &context));
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    device_context_destroy(test_kernels(), &context);
    return 0;
}

static void read_golden(const char *name, void *bytes, size_t size)
{
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, size, file), size);
    fclose(file);
}

/* A file of torch.save with the centres, as the release's alternative quantizer has them. */
static const char *write_torch(void)
{
    const char *path = test_path("kmeans.pt");
    struct quantizer *quantizer;
    struct torch_archive *archive;
    float values[CLUSTERS * WIDTH];
    char name[] = "cluster_centers";
    struct tensor_info info = {.name = name, .rank = 2, .shape = {CLUSTERS, WIDTH}, .bytes = sizeof values};
    float *data = values;
    const struct checkpoint checkpoint = {.tensors = &info, .values = &data, .count = 1};
    json_t *wrong = json_pack("{s:i}", "n_clusters", CLUSTERS + 1);
    assert_ok(torch_archive_open(KMEANS "float32.joblib", &archive));
    stored_tensor_read(torch_archive_find(archive, name), 0, CLUSTERS * WIDTH, values);
    torch_archive_close(archive);
    checkpoint_write_torch(&checkpoint, path, wrong, NULL);
    assert_fails(quantizer_open(path, WIDTH, test_kernels(), &context, &quantizer), STATUS_CORRUPT,
                 "n_clusters is 6, but there are 5 centres");
    json_decref(wrong);
    checkpoint_write_torch(&checkpoint, path, NULL, "model_weight");
    return path;
}

static void every_form_of_k_means_gives_the_same_units(void **state)
{
    (void)state;
    const char *const files[] = {KMEANS "float32.joblib", KMEANS "kmeans.joblib", KMEANS "minibatch.joblib",
                                 KMEANS "kmeans.pkl", write_torch()};
    enum { FRAMES = 20 };
    float points[POINTS * WIDTH];
    int32_t expected[POINTS], found[2][FRAMES];
    struct sha256 first;
    void *device;
    read_golden(KMEANS "points.bin", points, sizeof points);
    read_golden(KMEANS "labels.bin", expected, sizeof expected);
    assert_ok(test_kernels()->allocate(&context, sizeof points, &device));
    assert_ok(test_kernels()->copy_to_device(&context, QUEUE_COMPUTE, device, points, sizeof points));
    assert_ok(test_kernels()->synchronize(&context));
    const int64_t frames[] = {FRAMES, FRAMES - 1}; /* of the second clip the last frame is padding */
    const struct encoder_output output = {
        .values = device, .frames = frames, .clips = 2, .stride = FRAMES, .width = WIDTH};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct quantizer *quantizer;
        int32_t *const units[] = {found[0], found[1]};
        memset(found, 0xff, sizeof found);
        assert_ok(quantizer_open(files[i], WIDTH, test_kernels(), &context, &quantizer));
        assert_int_equal(quantizer_size(quantizer), CLUSTERS);
        assert_ok(quantizer_run(quantizer, &context, &output, units));
        assert_memory_equal(found, expected, (2 * FRAMES - 1) * sizeof(int32_t));
        assert_int_equal(found[1][FRAMES - 1], -1);
        if (i == 0)
            first = *quantizer_fingerprint(quantizer);
        assert_memory_equal(quantizer_fingerprint(quantizer), &first, sizeof first);
        quantizer_close(quantizer);
    }
    test_kernels()->release(&context, device);
}

static void blanks_take_the_unit_to_their_left(void **state)
{
    (void)state;
    static const struct {
        int32_t units[6], expected[6];
        int64_t count;
    } cases[] = {
        {{1, 9, 2, 9, 9, 3}, {1, 1, 2, 2, 2, 3}, 6},
        {{9, 9, 2, 9, 3, 9}, {3, 3, 2, 2, 3, 3}, 6}, /* the first one's left neighbour is the last */
        {{9, 4, 9, 9, 9, 9}, {4, 4, 4, 4, 4, 4}, 6},
        {{9, 9, 9, 9, 9, 9}, {9, 9, 9, 9, 9, 9}, 6},
        {{9}, {9}, 1},
        {{0}, {0}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t units[6];
        memcpy(units, cases[i].units, sizeof units);
        quantizer_fill_blanks(units, cases[i].count, 9);
        assert_memory_equal(units, cases[i].expected, sizeof units);
    }
}

static void quantizers_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct quantizer *quantizer;
    struct checkpoint checkpoint;
    const char *path = test_path("linear.pt");
    json_t *config = json_pack("{s:{s:i,s:i,s:i}}", "model_cfg", "vocab_size", 500, "dim", 768, "upstream_dim", 768);
    json_t *other = json_pack("{s:{s:i,s:i,s:i}}", "model_cfg", "vocab_size", 400, "dim", 768, "upstream_dim", 768);
    json_t *lacking = json_pack("{s:{s:i,s:i}}", "model_cfg", "vocab_size", 500, "dim", 768);
    assert_fails(quantizer_open(KMEANS "kmeans.joblib", 7, test_kernels(), &context, &quantizer), STATUS_CORRUPT,
                 "expected centres of 7 numbers");
    assert_null(quantizer);
    assert_fails(quantizer_open(KMEANS "labels.bin", WIDTH, test_kernels(), &context, &quantizer), STATUS_CORRUPT,
                 "labels.bin");
    assert_fails(quantizer_open(TEST_GOLDEN_DIRECTORY "/torch/zip.pt", WIDTH, test_kernels(), &context, &quantizer),
                 STATUS_CORRUPT, "expected a linear quantizer (model_cfg, model_weight) or k-means (cluster_centers)");
    checkpoint_make("quantizer", &checkpoint);
    checkpoint_write_torch(&checkpoint, path, config, "model_weight");
    assert_fails(quantizer_open(path, 512, test_kernels(), &context, &quantizer), STATUS_CORRUPT,
                 "it is made for frames of 768 numbers; the encoder's have 512");
    checkpoint_write_torch(&checkpoint, path, other, "model_weight");
    assert_fails(quantizer_open(path, 768, test_kernels(), &context, &quantizer), STATUS_CORRUPT,
                 "model_weight.0.weight: expected shape [677, 768], found [702, 768]");
    checkpoint_write_torch(&checkpoint, path, lacking, "model_weight");
    assert_fails(quantizer_open(path, 768, test_kernels(), &context, &quantizer), STATUS_CORRUPT,
                 "model_cfg.upstream_dim");
    checkpoint_rename(&checkpoint, "2.bias", NULL);
    checkpoint_write_torch(&checkpoint, path, config, "model_weight");
    assert_fails(quantizer_open(path, 768, test_kernels(), &context, &quantizer), STATUS_CORRUPT,
                 "tensor model_weight.2.bias is missing");
    checkpoint_free(&checkpoint);
    json_decref(config);
    json_decref(other);
    json_decref(lacking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_form_of_k_means_gives_the_same_units),
                                       cmocka_unit_test(blanks_take_the_unit_to_their_left),
                                       cmocka_unit_test(quantizers_that_do_not_fit_are_refused)};
    return cmocka_run_group_tests(tests, open_world, close_world);
}
