/* Corpora of recordings with what is to be answered to each: what their archives list, before any sound is decoded. */
#ifndef SPIRITLM_EVAL_FEW_SHOT_CORPUS_H
#define SPIRITLM_EVAL_FEW_SHOT_CORPUS_H

#include "io/archive/archive.h"
#include "io/config.h"

struct corpus_item {
    char *id;   /* owned, as are all */
    char *part; /* "test-clean" */
    char *speaker;
    char *answer;   /* the transcript, or the intent */
    int64_t member; /* of the archive: the recording; -1: it is missing */
};

struct corpus {
    struct corpus_item *items; /* sorted by id */
    int64_t count, capacity;
    int64_t missing; /* items without recording, and recordings without an answer: left out */
};

/* LibriSpeech: SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.{flac,wav} with SPEAKER-CHAPTER.trans.txt; folders above SUBSET are
 * passed over, and an archive that is one subset is called by its own name. Items are joined by id. With `skip` what is missing
 * is counted, otherwise STATUS_CORRUPT names it; so is an id that occurs twice, and an archive without any item. */
enum status librispeech_read(struct archive *archive, bool skip, struct corpus *corpus);

/* Fluent Speech Commands: data/{train,valid,test}_data.csv with path, speakerId, action, object, location, and the recordings
 * relative to the folder above data/. The parts are "train", "valid" and "test"; an intent is the slots that are not "none",
 * joined by spaces ("change language Chinese"). An item's id is its path. Recordings without a row are not looked at. */
enum status fluent_commands_read(struct archive *archive, bool skip, struct corpus *corpus);

void corpus_free(struct corpus *corpus); /* also after a failure */

/* Whether a part is one of `names`, or without names begins with "test". */
bool corpus_is_tested(const struct config_list *names, const char *part);

/* The number of an item by its id; -1: none. */
int64_t corpus_find(const struct corpus *corpus, const char *id);

/* How shots are chosen. */
struct shot_rule {
    int64_t count;
    uint64_t seed;
    bool distinct_answers;            /* as long as there are new ones: intents */
    int64_t least_words, most_words;  /* of the answer, as long as there are such: 0, 0: any */
    const struct config_list *tested; /* items of tested parts (corpus_is_tested) are never shots; NULL: all may be */
};

/* A draw by seed and id, independent of the order of the corpus: of distinct speakers as long as there are new ones, which
 * counts more than distinct answers, and they more than lengths. chosen[rule->count] in the order of the prompt. STATUS_CORRUPT when there are too few items. */
enum status shots_draw(const struct corpus *corpus, const struct shot_rule *rule, int64_t *chosen);

#endif
