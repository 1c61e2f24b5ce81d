/* Texts in lower case, of all scripts. */
#ifndef SPIRITLM_TEXT_LOWER_CASE_H
#define SPIRITLM_TEXT_LOWER_CASE_H

#include "core/status.h"

/* A copy in Unicode's lower case, as its standard defines it without regard to a language (section 3.13, toLowercase):
 * most letters have one small letter; "İ" becomes "i" with a dot above, so that nothing is lost; "ẞ" becomes "ß"; "Σ"
 * becomes the final "ς" after a letter that has case where no such letter follows, and "σ" elsewhere, accents,
 * apostrophes, full stops and the like between them aside. (Turkish would have "ı" for "I"; nothing in a text says
 * which language it is in.) Bytes that are not UTF-8 stay. *lower is allocated for the caller. */
enum status text_lower_case(const char *text, char **lower);

#endif
