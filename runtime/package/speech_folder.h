/* The one place that opens a speech tokenizer's folder and knows which kinds exist: everyone else sees a set of
 * components (speech/component.h). */
#ifndef SPIRITLM_PACKAGE_SPEECH_FOLDER_H
#define SPIRITLM_PACKAGE_SPEECH_FOLDER_H

#include "speech/component.h"

/* Verifies the folder against its MANIFEST and opens it as the kind that its tokenizer.json names. *speech is for
 * speech_free; NULL after a failure. STATUS_USAGE: no such folder; STATUS_CORRUPT: damaged, or of a format, version or
 * kind that this program does not know. */
enum status speech_folder_open(const char *folder, struct speech **speech);

#endif
