/* The components of a model that is to be made, from the settings; and a trained model with its own. */
#ifndef SPIRITLM_PROGRAMS_LOAD_MODEL_H
#define SPIRITLM_PROGRAMS_LOAD_MODEL_H

#include "package/components.h"
#include "models/llama/llama.h"
#include "programs/common/machine.h"
#include "programs/common/settings.h"

/* Text model, vocabulary and speech tokenizer as the sections tokenizer, prepare and data name them. With
 * prepare.ready.label the units are made elsewhere, and tokenizer.units, .pitch_codes and .style_codes are their sizes.
 */
enum status components_from_settings(const struct settings *settings, struct components **components);

/* A checkpoint, or the newest of a run: components, and the model in its own type. *checkpoint, allocated for the
 * caller, is the folder that was read (NULL: not wanted). */
enum status model_load(const char *name, struct machine *machine, struct components **components, struct llama **model,
                       char **checkpoint);

#endif
