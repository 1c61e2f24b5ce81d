/* The forms that texts are brought into before their words are compared. A published error rate means little without the
 * form that it was computed in:
 *
 *   none             as it is
 *   librispeech      as LibriSpeech's transcripts: capital letters and apostrophes, single spaces
 *   whisper-basic    Whisper's form for all languages (BasicTextNormalizer with its defaults)
 *   whisper-english  Whisper's form for English (EnglishTextNormalizer)
 *
 * The two of Whisper are byte for byte what PyPI's whisper_normalizer 0.1.15 makes of a text, for all characters that both its
 * Unicode (Python's) and utf8proc's know; their oddities are part of them ("one and a half" becomes "one.5", "o'clock"
 * "0 clock"). They do not strip spaces at the ends. */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_TEXT_FORM_H
#define SPIRITLM_EVAL_TRANSCRIPTS_TEXT_FORM_H

#include "core/status.h"

#include <stdbool.h>

enum text_form {
    TEXT_FORM_NONE,
    TEXT_FORM_LIBRISPEECH,
    TEXT_FORM_WHISPER_BASIC,
    TEXT_FORM_WHISPER_ENGLISH,
    TEXT_FORMS
};

const char *text_form_name(enum text_form form);
bool text_form_find(const char *name, enum text_form *form);
const char *text_form_list(void); /* all names, for errors */

struct text_normalizer;

/* `spellings`: the British spellings that whisper-english replaces by American ones, a JSON object of texts: the file, or a
 * folder with normalizer.json, as every Whisper model's folder is one. NULL: no spelling is changed, which is not what Whisper's
 * own figures were computed with (text_normalizer_protocol says so). Any other form takes none: STATUS_USAGE. */
enum status text_normalizer_open(enum text_form form, const char *spellings, struct text_normalizer **normalizer);
void text_normalizer_free(struct text_normalizer *normalizer);

enum text_form text_normalizer_form(const struct text_normalizer *normalizer);

/* In words, for a protocol: "whisper-english without spellings". */
const char *text_normalizer_protocol(const struct text_normalizer *normalizer);

/* The form of a NUL-terminated text, allocated for the caller. STATUS_CORRUPT when it is not UTF-8. May be called by several
 * threads at once. Time and memory grow with the length alone. */
enum status text_normalizer_apply(const struct text_normalizer *normalizer, const char *text, char **form);

#endif
