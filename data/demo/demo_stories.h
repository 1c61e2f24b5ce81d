/* A benchmark of the demo's own, in StoryCloze's layout, from its held-out speech: does a model prefer an utterance's own second half to
 * those of others?
 *
 * An utterance is cut into windows of at most 16 words, from its beginning; what is left behind the last whole one is not used.
 * A window of at least four words is cut in front of its middle word, in the middle of the pause there. Its first half is the context,
 * its second half the right ending. Wrong endings are the second halves of windows of other utterances with other words, those whose
 * durations are closest to the right one's; equally close ones in the order of the dataset. So the length does not tell them apart; a
 * voice may, unless all are to have the same speaker.
 *
 * The archive, a tar, has STORY_mutual, STORY_correct and STORY_incorrect, each as .wav and .txt, where STORY is
 * NUMBER-UTTERANCE.WINDOW-WRONG: whoever compares stories counts those with the same name up to the last '.' as one observation (evaluate.clusters=names). */
#ifndef SPIRITLM_DATA_DEMO_STORIES_H
#define SPIRITLM_DATA_DEMO_STORIES_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { DEMO_STORIES_MOST_WRONG = 64 };

struct demo_stories_options {
    const char *manifest; /* where the utterances' sounds lie */
    const char *dataset;  /* made from it: its words' times */
    int64_t wrong;        /* endings per window, at most */
    bool same_speaker;    /* wrong endings are said by who says the right one */
    bool swapped;         /* right and wrong endings change places: a model that knows something loses */
};

struct demo_stories_totals {
    int64_t utterances, windows, stories;
};

/* Writes the archive atomically, over one that was there. The same speech gives the same bytes. STATUS_CORRUPT when no window has a wrong ending, or an utterance of the
 * dataset has no sound in the manifest. */
enum status demo_stories_make(const char *path, const struct demo_stories_options *options,
                              struct demo_stories_totals *totals);

#endif
