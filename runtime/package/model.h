/* The one place that opens a trained model: whoever scores, generates or looks inside goes through it. */
#ifndef SPIRITLM_PACKAGE_MODEL_H
#define SPIRITLM_PACKAGE_MODEL_H

#include "models/llama/llama.h"
#include "package/components.h"

/* Opens `name`, a checkpoint or a run (then its newest checkpoint that verifies), or a model as its owner distributes it in any layout
 * of llama_source.h, of text alone or Spirit LM as released: its components, and the model in the
 * type that its weights have, whoever wrote them (llama_read_dtype): bf16 where all are bf16, else f32, which f16 weights
 * become too. Weights stay in their file where llama_open leaves them there; how much that is, and how much is copied, is
 * told on standard error unless the model is small. The model is for inference alone. kernels and context are borrowed and must outlive the model. *checkpoint, allocated for the caller, is the
 * folder that was read (NULL: not wanted). On failure nothing is left to free. */
enum status model_open(const char *name, const struct kernels *kernels, struct device_context *context,
                       struct components **components, struct llama **model, char **checkpoint);

/* What `name` stands for, as in model_open: the folder or file of its weights, verified where it has a MANIFEST, and its
 * components, which belong together, as far as can be seen without reading numbers. Needs no device. Both belong to the
 * caller; NULL after a failure. */
enum status model_find(const char *name, struct components **components, char **path);

/* Whether model_open would open this checkpoint folder, numbers that are not finite aside: its components and its weights
 * belong together. Needs no device. *components is freed by the caller. */
enum status model_check(const char *folder, struct components **components);

#endif
