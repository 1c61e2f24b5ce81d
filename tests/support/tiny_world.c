#include "support/tiny_world.h"

#include "support/test_kernels.h"
#include "support/test_support.h"

#include <stdlib.h>

void tiny_world_open(int64_t rows, int64_t positions, struct tiny_world *world)
{
    const struct llama_config config = {512, 32, 48, 2, 4, 2, 8, positions, 10000, 1e-5, false};
    const struct kernels *kernels = test_kernels();
    tiny_corpus_make(rows, 1, &world->corpus);
    assert_ok(tiny_corpus_components(&world->corpus, &world->components));
    assert_ok(device_context_create(kernels, NULL, 0, &world->context));
    assert_ok(llama_create(&config, DTYPE_F32, kernels, &world->context, &world->model));
    float *masters = calloc((size_t)world->model->layout.elements, sizeof(float));
    assert_non_null(masters);
    assert_ok(llama_initialize(world->model, 5, 0.3, masters));
    free(masters);
}

void tiny_world_close(struct tiny_world *world)
{
    llama_destroy(world->model);
    device_context_destroy(test_kernels(), &world->context);
    components_free(world->components);
}
