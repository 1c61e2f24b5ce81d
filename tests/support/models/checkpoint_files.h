/* Files of weights that a test writes itself: the checkpoints that are made of formulas (formula_weights.h), in the layouts in
 * which their owners distribute them. */
#ifndef SPIRITLM_TESTS_CHECKPOINT_FILES_H
#define SPIRITLM_TESTS_CHECKPOINT_FILES_H

#include "support/models/formula_weights.h"
#include "support/torch_builder.h"

#include <jansson.h>

struct checkpoint {
    struct tensor_info *tensors; /* of f32; names are the checkpoint's own */
    float **values;
    int64_t count;
};

/* All tensors of one tag. Each function here fails the test when it cannot do its work. */
void checkpoint_make(const char *tag, struct checkpoint *checkpoint);
void checkpoint_free(struct checkpoint *checkpoint);

/* NULL: none. */
float *checkpoint_find(const struct checkpoint *checkpoint, const char *name);
/* Gives a tensor another name; NULL as the new name leaves it out of the files. */
void checkpoint_rename(struct checkpoint *checkpoint, const char *name, const char *new_name);

/* A zip file of PyTorch: a dict with the members of `values` (a JSON object or NULL), and an ordered dict of the tensors under
 * `key`, or with the tensors themselves where `key` is NULL. */
void checkpoint_write_torch(const struct checkpoint *checkpoint, const char *path, const json_t *values,
                            const char *key);
void checkpoint_write_safetensors(const struct checkpoint *checkpoint, const char *path);

/* Appends JSON to a pickle: objects as dicts, arrays as lists. */
void pickle_json(struct bytes *pickle, const json_t *value);

#endif
