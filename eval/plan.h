/* The tasks of one call of `evaluate`. A run of several may take hours, so what can be known beforehand is asked first: which
 * tasks they are, whether their results can be written and do not overwrite each other, and whether their files can be
 * read. From then on each task stands alone: one that fails is reported, and the others go on. */
#ifndef SPIRITLM_EVAL_PLAN_H
#define SPIRITLM_EVAL_PLAN_H

#include "core/path.h"
#include "eval/task.h"

/* What a task's name is followed by. */
enum task_argument {
    ARGUMENT_NONE,         /* nothing: it works on the configuration's datasets */
    ARGUMENT_FILES,        /* files, each a task of its own */
    ARGUMENT_ARCHIVE,      /* one benchmark's archive or folder */
    ARGUMENT_SPLITS,       /* likewise; its parts dev and test have results of their own */
    ARGUMENT_STORIES,      /* likewise; its directions have results of their own */
    ARGUMENT_CORPUS,       /* likewise; the model generates, and what is finished is in a journal */
    ARGUMENT_CORPUS_SPLITS /* both */
};

/* TASK(NAME, "name", argument, ending of its files, help) */
#define TASK_LIST(TASK)                                                                                                \
    TASK(PAIRS, "pairs", ARGUMENT_FILES, ".jsonl",                                                                     \
         "pairs FILE.jsonl ...  which of two continuations is likelier; each file is a task of its own\n"              \
         "                        (without a file, after `learning`: the pairs that it writes)")                       \
    TASK(LEARNING, "learning", ARGUMENT_NONE, "",                                                                      \
         "learning              held-out nats per token against a Kneser-Ney bigram, with the units\n"                 \
         "                        shuffled too; writes pairs_shuffled.jsonl")                                          \
    TASK(GENERATION, "generation", ARGUMENT_NONE, "",                                                                  \
         "generation            the bigram's nats per unit of 20 generated samples beside held-out speech")            \
    TASK(CROSSING, "crossing", ARGUMENT_NONE, "",                                                                      \
         "crossing              whether a held-out utterance goes on likelier after its own beginning in the\n"        \
         "                        other modality than after another's")                                                \
    TASK(TEXTS, "texts", ARGUMENT_FILES, ".txt",                                                                       \
         "texts FILE.txt ...    nats per piece and bits per byte of a text, a document per line")                      \
    TASK(SWUGGY, "swuggy", ARGUMENT_SPLITS, "",                                                                        \
         "swuggy ARCHIVE        spoken words against spoken non-words (sLM21's lexical task)")                         \
    TASK(SBLIMP, "sblimp", ARGUMENT_SPLITS, "",                                                                        \
         "sblimp ARCHIVE        spoken sentences against ungrammatical ones (sLM21's syntactic task)")                 \
    TASK(WUGGY_TEXT, "wuggy-text", ARGUMENT_SPLITS, "", "wuggy-text ARCHIVE    the written words of sWUGGY")           \
    TASK(BLIMP_TEXT, "blimp-text", ARGUMENT_SPLITS, "", "blimp-text ARCHIVE    the written sentences of sBLIMP")       \
    TASK(STORYCLOZE, "storycloze", ARGUMENT_STORIES, "",                                                               \
         "storycloze ARCHIVE    which of two endings a story has, spoken, written and across modalities")              \
    TASK(TOPIC_STORYCLOZE, "topic-storycloze", ARGUMENT_STORIES, "",                                                   \
         "topic-storycloze ARCHIVE  likewise; the wrong ending is that of another story")                              \
    TASK(STORYCLOZE_TEXT, "storycloze-text", ARGUMENT_ARCHIVE, "",                                                     \
         "storycloze-text ARCHIVE  the written StoryCloze, from its own table")                                        \
    TASK(MMLU, "mmlu", ARGUMENT_SPLITS, "",                                                                            \
         "mmlu ARCHIVE          written questions with four answers each, on 57 subjects")                             \
    TASK(BLIMP, "blimp", ARGUMENT_ARCHIVE, "", "blimp ARCHIVE         written sentences against ungrammatical ones")   \
    TASK(SALMON, "salmon", ARGUMENT_ARCHIVE, "",                                                                       \
         "salmon ARCHIVE        natural recordings against those with a change of speaker, mood or surroundings")      \
    TASK(ASR, "asr", ARGUMENT_CORPUS, "", "asr CORPUS            LibriSpeech written down after ten examples")         \
    TASK(INTENT, "intent", ARGUMENT_CORPUS, "",                                                                        \
         "intent CORPUS         what spoken commands ask for (Fluent Speech Commands), after thirty examples")         \
    TASK(STSP, "stsp", ARGUMENT_CORPUS_SPLITS, "",                                                                     \
         "stsp ARCHIVE          whether the sentiment of a prompt is kept, within and across modalities")

enum task_kind {
#define TASK_ENUMERATOR(upper, name, argument, ending, help) TASK_##upper,
    TASK_LIST(TASK_ENUMERATOR)
#undef TASK_ENUMERATOR
        TASK_KINDS
};

struct planned_task {
    enum task_kind kind;
    char name[256];            /* of its results: "learning", "pairs_FILE" */
    char file[PATH_BYTES];     /* the file or archive that it was given */
    bool of_learning;          /* the file is what `learning` writes before it in the same call */
    bool ended;                /* measured, or failed before it began */
    enum status code;          /* how it ended; STATUS_UNMET only where checks are required */
    char text[1024];           /* why it failed */
    struct task_outcome found; /* where it did not fail */
};

struct task_plan {
    struct planned_task *tasks;
    int64_t count;
    char out[PATH_BYTES]; /* folder of results and samples */
    int64_t made_folders; /* the innermost ones of `out` that plan_check_writable made */
};

/* From the plain arguments: "learning", "pairs", "a.jsonl", "b.jsonl". STATUS_USAGE for what is no task (the nearest is
 * named), for pairs without a file, and for two tasks whose results would have the same name. plan_free whatever happens. */
enum status plan_make(const char *const *arguments, int64_t count, const char *out, struct task_plan *plan);
/* Also removes folders made for results of which there are none. */
void plan_free(struct task_plan *plan);

/* Makes the folder and tries each file that the tasks will write. The text names the option that chooses another folder. */
enum status plan_check_writable(struct task_plan *plan);

/* Ends the tasks whose file or archive cannot be read. */
void plan_check_files(struct task_plan *plan);

/* Ends the tasks that need datasets as failed, with status_text(). */
void plan_fail_data(struct task_plan *plan, enum status code);

/* Whether a task that has not ended needs datasets; whether any has not ended. */
bool plan_needs_data(const struct task_plan *plan);
bool plan_needs_archives(const struct task_plan *plan); /* likewise */
bool plan_generates(const struct task_plan *plan);      /* whether one of them lets the model generate */
bool plan_pending(const struct task_plan *plan);

/* Runs the tasks that have not ended, in their order. `task->outcome` is set here; `data` and `inputs` are NULL where
 * no task needs them. */
void plan_run(struct task_plan *plan, const struct task *task, const struct learning_data *data, const json_t *inputs);

/* With several tasks prints a table of how they ended. STATUS_OK if all were measured and required checks hold;
 * else the code of the first that failed; STATUS_UNMET if only checks do not hold. */
enum status plan_finish(const struct task_plan *plan, FILE *report);

#endif
