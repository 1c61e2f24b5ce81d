/* Spoken StoryCloze and Topic-StoryCloze (Hassid et al. 2023): which members of an archive belong to which story. Two layouts:
 *
 *   whole stories   N_STORY_correct.wav, N+1_STORY_incorrect.wav with an even N, and a .txt beside each with all of its words
 *   in pieces       BASE_mutual.wav (the context), BASE_correct.wav and BASE_incorrect.wav (the two endings), and a .txt beside each
 *
 * possibly in folders, each with a set of its own (one per voice). */
#ifndef SPIRITLM_EVAL_ZERO_SHOT_STORY_CLOZE_H
#define SPIRITLM_EVAL_ZERO_SHOT_STORY_CLOZE_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { STORY_AUDIO, STORY_TEXT, STORY_FORMS };
enum { STORY_CORRECT, STORY_INCORRECT, STORY_CONTEXT, STORY_PARTS };

struct story {
    char *id;                                  /* with its folder; owned */
    int64_t number;                            /* of the correct side in the layout of whole stories; -1 */
    int64_t members[STORY_PARTS][STORY_FORMS]; /* indices of the names; -1: there is none */
};

struct story_list {
    struct story *stories; /* by folder and number, or by folder and name */
    int64_t count, capacity;
    bool pieces;  /* the layout with contexts */
    int64_t lone; /* stories that lacked something and were left out */
};

/* What a story must have: recordings, texts, or both. */
enum story_need { STORY_NEEDS_AUDIO = 1, STORY_NEEDS_TEXT = 2 };

/* STATUS_CORRUPT, naming `where` and the member: a .wav or .txt of another form of name, a number that contradicts the word behind it,
 * two members for one part, both layouts in one archive, no story at all, and without `skip` a story that lacks what is needed. */
enum status story_list_read(const char *where, const char *const *names, int64_t count, unsigned needs, bool skip,
                            struct story_list *list);
void story_list_free(struct story_list *list);

/* The length of the context that two whole texts share: to the end of the last sentence that both have, 0 where they share none. */
int64_t story_shared_context(const char *correct, const char *incorrect);

#endif
