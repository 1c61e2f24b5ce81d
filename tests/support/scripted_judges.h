/* Judges that say what a test tells them to. Programs that are linked as tests/eval/scripted_judges.cmake says have them in the place of
 * the real ones, which they open from any folder. */
#ifndef SPIRITLM_TESTS_SCRIPTED_JUDGES_H
#define SPIRITLM_TESTS_SCRIPTED_JUDGES_H

#include <stdint.h>

/* Each returns a label, a string that stays; that of speech may return NULL, "too short for a frame". */
typedef const char *scripted_text_judge(const char *text);
typedef const char *scripted_speech_judge(const float *samples, int64_t count);

void scripted_judges_set(scripted_text_judge *text, scripted_speech_judge *speech);

#endif
