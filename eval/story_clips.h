/* The recordings of stories as units: whole, and cut into context and endings. */
#ifndef SPIRITLM_EVAL_STORY_CLIPS_H
#define SPIRITLM_EVAL_STORY_CLIPS_H

#include "eval/recordings.h"
#include "eval/zero_shot/story_cloze.h"

struct aligner; /* data/align/align.h */

/* Where a recording of a whole text leaves its first `length` bytes: the end of their last word, in samples at 16 kHz. *reason is NULL, or
 * a static text that says why the words cannot be found. */
enum status story_find_cut(struct aligner *aligner, const float *samples, int64_t count, const char *text,
                           int64_t length, int64_t *cut, const char **reason);

/* What is wanted of each story. */
struct story_wants {
    bool whole, parts; /* stories whole; context and endings apart */
};

struct story_clip {
    struct unit_ids whole[2];           /* of STORY_CORRECT and STORY_INCORRECT */
    struct unit_ids parts[STORY_PARTS]; /* endings, and the context of the correct side */
    const char *failure;                /* why the story could not be cut: a static text; NULL: it was */
};

/* texts[story * STORY_PARTS + part]: whole texts, by which whole recordings are aligned; only needed where those are cut. Recordings in
 * pieces are joined for `whole`, before they are encoded. `clips` [stories] is for story_clips_free, also after a failure. */
enum status story_clips_make(const struct components *components, struct unit_cache *cache, struct archive *archive,
                             const struct story_list *list, int64_t stories, char *const *texts,
                             struct story_wants wants, struct story_clip **clips);
void story_clips_free(struct story_clip *clips, int64_t stories);

#endif
