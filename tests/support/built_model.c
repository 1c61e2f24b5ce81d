/* A model is loaded from a file, since only files have a kind; the file is not needed afterwards. */
#include "support/built_model.h"

#include "support/files.h"
#include "support/test_support.h"

#include <unistd.h>

struct text_model *load_built_model(const struct bytes *bytes)
{
    struct text_model *model;
    const char *path = test_path("built.model");
    write_plainly(path, bytes->data, (int64_t)bytes->size);
    assert_ok(text_model_load(path, &model));
    unlink(path);
    return model;
}
