/* What every computing program starts with: the thread pool, the kernels and a context on them; and, from the settings,
 * the components of the model. */
#ifndef SPIRITLM_PROGRAMS_MACHINE_H
#define SPIRITLM_PROGRAMS_MACHINE_H

#include "core/thread_pool.h"
#include "generate/components.h"
#include "kernels/kernels.h"
#include "models/llama.h"
#include "programs/common/settings.h"

struct machine {
    struct thread_pool *pool;
    const struct kernels *kernels;
    struct device_context context;
};

/* threads 0: SPIRITLM_THREADS, else all processors. */
enum status machine_create(int64_t threads, struct machine *machine);
void machine_destroy(struct machine *machine); /* a zeroed one is fine */

/* Text model, vocabulary and speech tokenizer as the sections tokenizer, prepare and data name them. With
 * prepare.ready.label the units are made elsewhere, and tokenizer.units, .pitch_codes and .style_codes are their sizes.
 */
enum status components_from_settings(const struct settings *settings, struct components **components);

/* A checkpoint, or the newest of a run: components, and the model in its own type. *checkpoint, allocated for the
 * caller, is the folder that was read (NULL: not wanted). */
enum status model_load(const char *name, struct machine *machine, struct components **components, struct llama **model,
                       char **checkpoint);

#endif
