/* Folders of judges (tests/golden/judges) with one thing changed. */
#ifndef SPIRITLM_TESTS_JUDGE_FOLDERS_H
#define SPIRITLM_TESTS_JUDGE_FOLDERS_H

#include "io/json.h"

#define JUDGES TEST_GOLDEN_DIRECTORY "/judges"

/* A copy of a folder of tests/golden/judges below the test's folder, in which the first `old` of `file` is `new`. Without `old` the
 * whole file is `new`, and without `new` it is missing. Fails the test when there is no such text. */
const char *changed_judge(const char *golden, const char *file, const char *old, const char *new);

/* The same copy, in which a member of the JSON object in `file` is the JSON text `value`; NULL: it is missing. */
const char *changed_judge_member(const char *golden, const char *file, const char *key, const char *value);

/* expected.json of a folder; the caller decrefs. */
json_t *expected_of_judge(const char *folder);

#endif
