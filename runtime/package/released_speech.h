/* The speech tokenizer of Spirit LM's release, as its tree of files has it. */
#ifndef SPIRITLM_PACKAGE_RELEASED_SPEECH_H
#define SPIRITLM_PACKAGE_RELEASED_SPEECH_H

#include "speech/component.h"
#include "text/vocabulary.h"

/* That of a model in `folder` with this vocabulary: Base, or Expressive where there are pitch and style units. No file is read yet. */
enum status released_speech_open(const char *folder, const struct vocabulary *vocabulary, struct speech **speech);

#endif
