/* The components of a new model, from the settings. */
#ifndef SPIRITLM_PROGRAMS_COMPONENTS_SETTINGS_H
#define SPIRITLM_PROGRAMS_COMPONENTS_SETTINGS_H

#include "package/components.h"
#include "programs/common/settings.h"

/* Text model, vocabulary and speech tokenizer as the sections tokenizer, prepare and data name them. With
 * prepare.ready.label the units are made elsewhere, and tokenizer.units, .pitch_codes and .style_codes are their sizes.
 */
enum status components_from_settings(const struct settings *settings, struct components **components);

#endif
