/* What an evaluation of STSP reads from its archive: manifests, examples, and the recordings as units, judged as they are (the
 * topline) where there is a judge of speech. */
#ifndef SPIRITLM_EVAL_STSP_ARCHIVE_H
#define SPIRITLM_EVAL_STSP_ARCHIVE_H

#include "core/path.h"
#include "eval/journal/journal.h"
#include "eval/judges/speech_judge.h"
#include "eval/stsp/manifest.h"
#include "eval/task.h"
#include "io/archive/archive.h"

enum stsp_direction { STSP_S2S, STSP_S2T, STSP_T2S, STSP_T2T, STSP_DIRECTIONS };
const char *stsp_direction_name(enum stsp_direction direction); /* "s2t", as in the names of files */
bool stsp_from_speech(enum stsp_direction direction);
bool stsp_to_speech(enum stsp_direction direction);

/* The prompts of T>X are expresso_asr; of S>X expresso_read and emov, whose accuracies are averaged. */
enum stsp_set { STSP_READ, STSP_EMOV, STSP_ASR, STSP_SETS };
const char *stsp_set_name(enum stsp_set set);
bool stsp_set_of(enum stsp_direction direction, enum stsp_set set);

enum stsp_part { STSP_WHOLE, STSP_FIRST_HALF, STSP_SECOND_HALF, STSP_PARTS };

struct stsp_archive {
    const struct task *task;
    struct archive *archive;
    char root[PATH_BYTES];                          /* of the members, before "data/" and "manifest/" */
    struct stsp_prompts prompts[STSP_SETS];         /* of the sets that are wanted */
    int64_t missing[STSP_SETS];                     /* prompts whose recording is not there: left out */
    struct stsp_examples examples[STSP_DIRECTIONS]; /* where examples are wanted */
    struct sha256 manifests;                        /* of all manifests that were read, in their order */
    bool *wanted[STSP_PARTS];                       /* [members] */
    bool *prompted;                                 /* [members]: a prompt, so the judge is asked */
    char **spelled[STSP_PARTS];                     /* [members] units, owned; NULL: not wanted */
    int8_t *sentiments;                             /* [members] as judged; STSP_NONE: none */
};

/* Reads the manifests of a split ("dev", "test") for some directions, with examples or without. Every recording that they name must
 * be there; with evaluate.incomplete=skip prompts without theirs are left out and counted. stsp_archive_close whatever happens. */
enum status stsp_archive_open(const struct task *task, const char *path, const char *split,
                              const bool wanted[STSP_DIRECTIONS], bool examples, struct stsp_archive *archive);
void stsp_archive_close(struct stsp_archive *archive);

/* Encodes all recordings in one pass, and judges the prompts among them (judge NULL: none); what the judge said is in the journal.
 * STATUS_CORRUPT names a label that stands for no sentiment. */
enum status stsp_archive_encode(struct stsp_archive *archive, struct speech_judge *judge, struct journal *journal);

/* The member that a manifest's path names; -1: none. */
int64_t stsp_archive_member(const struct stsp_archive *archive, const char *path);

/* The sentiment of a judge's label; STATUS_CORRUPT names the judge's folder and the label when it stands for none. */
enum status stsp_judged(const char *folder, const char *label, int *sentiment);

#endif
