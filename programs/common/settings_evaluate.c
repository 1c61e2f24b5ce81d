/* Keys, defaults, limits and help of the sections `score` and `evaluate`. */
#include "programs/common/settings.h"

#define SCORE(member) offsetof(struct score_settings, member)
#define EVALUATE(member) offsetof(struct evaluate_settings, member)

/* As the enumerations of eval/scoring/protocol.h, behind "as the protocol says". */
static const char *const scopes[] = {"protocol", "whole", "continuation", NULL};
static const char *const counts[] = {"protocol", "all", "hubert", NULL};
static const char *const masks[] = {"protocol", "none", "modality", NULL};
static const char *const tags[] = {"protocol", "absent", "given", "scored", NULL};
static const char *const ties[] = {"protocol", "half", "strict", "first", NULL};
static const char *const score_texts[] = {"protocol", "trimmed", "exact", NULL};
static const char *const answers[] = {"protocol", "no", "yes", NULL};

static const char *const protocols[] = {"spiritlm", "zerospeech", "slamkit", "salmon", "lm-eval", NULL};

const struct config_field score_fields[] = {
    {"protocol", CONFIG_CHOICE, SCORE(protocol), "spiritlm", 0, 0, protocols,
     "whose way of comparing hypotheses (spiritlm: the paper's); the options below change parts of it"},
    {"normalize", CONFIG_STRING_LIST, SCORE(normalize), "protocol", 0, 0, NULL,
     "one or several of sum, token, char, byte, pmi and pmi-token: log-likelihoods are summed or divided by a length; "
     "with pmi the same without context is subtracted"},
    {"scope", CONFIG_CHOICE, SCORE(scope), "protocol", 0, 0, scopes,
     "what is compared: everything, or what follows the context"},
    {"count", CONFIG_CHOICE, SCORE(count), "protocol", 0, 0, counts, "which units count: all, or hubert's alone"},
    {"mask", CONFIG_CHOICE, SCORE(mask), "protocol", 0, 0, masks,
     "modality: tokens of the other modality have no share in the softmax"},
    {"tag", CONFIG_CHOICE, SCORE(tag), "protocol", 0, 0, tags,
     "the tag before a modality: absent, given, or scored too"},
    {"tie", CONFIG_CHOICE, SCORE(tie), "protocol", 0, 0, ties,
     "equal scores count half, nothing, or as a win of the first"},
    {"bos", CONFIG_CHOICE, SCORE(bos), "protocol", 0, 0, answers,
     "begin with BOS; without, the first token has no score"},
    {"eos", CONFIG_CHOICE, SCORE(eos), "protocol", 0, 0, answers, "count the EOS that follows"},
    {"text", CONFIG_CHOICE, SCORE(text), "protocol", 0, 0, score_texts,
     "texts that are compared: without white space at their ends, or as they are, and with a space before one that has "
     "no "
     "context"},
};
const int64_t score_field_count = sizeof score_fields / sizeof *score_fields;

static const char *const splits[] = {"dev", "test", "all", NULL};  /* as enum split_choice */
static const char *const incompletes[] = {"refuse", "skip", NULL}; /* as enum incomplete_choice */

static const char *const clusters[] = {"none", "names", NULL}; /* as enum cluster_choice */

static const char *const forms[] = {"none", "librispeech", "whisper-basic", "whisper-english",
                                    NULL}; /* as enum text_form */

static const char *const mmlu_prompts[] = {"lm-eval", "original", NULL};

const struct config_field evaluate_fields[] = {
    {"split", CONFIG_CHOICE, EVALUATE(split), "dev", 0, 0, splits, "which part of a benchmark that has several"},
    {"incomplete", CONFIG_CHOICE, EVALUATE(incomplete), "refuse", 0, 0, incompletes,
     "items of which something is missing: an error that names them, or left out and counted"},
    {"parts", CONFIG_STRING_LIST, EVALUATE(parts), "", 0, 0, NULL,
     "salmon, asr, intent: the parts that are judged; empty: all, of asr and intent those whose names begin with test"},
    {"directions", CONFIG_STRING_LIST, EVALUATE(directions), "s,t", 0, 0, NULL,
     "storycloze: s and t, stories whole in speech or text; s>t and t>s, endings after a context in the other "
     "modality"},
    {"stsp_directions", CONFIG_STRING_LIST, EVALUATE(stsp_directions), "", 0, 0, NULL,
     "stsp: some of s>s, s>t, t>s and t>t; empty: all"},
    {"clusters", CONFIG_CHOICE, EVALUATE(clusters), "none", 0, 0, clusters,
     "storycloze: names: stories whose names are alike up to their last '.' count as one observation in the standard "
     "error"},
    {"cache", CONFIG_BOOL, EVALUATE(cache), "true", 0, 0, NULL,
     "keep the units of benchmarks' recordings beside the results, for the next run"},
    {"shots", CONFIG_STRING_LIST, EVALUATE(shot_list), "", 0, 0, NULL,
     "worked examples before each item; empty: the benchmark's own number (mmlu 5, asr 10, intent 30, stsp 0); stsp "
     "runs with each of several"},
    {"shots_from", CONFIG_PATH, EVALUATE(shots_from), "", 0, 0, NULL,
     "asr and intent: the archive that examples are taken from; empty: the parts of the same that are not tested"},
    {"shot_ids", CONFIG_PATH, EVALUATE(shot_ids), "", 0, 0, NULL,
     "a file that names the examples (asr, intent: an id per line; stsp: a direction and a row); empty: they are drawn "
     "by the seed"},
    {"seeds", CONFIG_STRING_LIST, EVALUATE(seeds), "", 0, 0, NULL,
     "of drawn examples and sampled answers; empty: 0, for stsp 0,1,2; other tasks take the first"},
    {"batch", CONFIG_INT, EVALUATE(batch), "0", 0, 4096, NULL,
     "answers that are generated together; 0: as many as suit; results do not depend on it"},
    {"ranks", CONFIG_INT, EVALUATE(ranks), "1", 1, 64, NULL,
     "models that share the work of a benchmark; results do not depend on it"},
    {"waves", CONFIG_PATH, EVALUATE(waves), "", 0, 0, NULL,
     "stsp: a folder for generated recordings; empty: they are not kept"},
    {"mmlu_prompt", CONFIG_CHOICE, EVALUATE(mmlu_prompt), "lm-eval", 0, 0, mmlu_prompts,
     "mmlu: whose prompts, lm-evaluation-harness's or those of the benchmark's own program"},
    {"text_form", CONFIG_CHOICE, EVALUATE(text_form), "none", 0, 0, forms,
     "wer: the form that texts are brought into before they are compared"},
    {"spellings", CONFIG_PATH, EVALUATE(spellings), "", 0, 0, NULL,
     "wer with whisper-english: a Whisper folder, or its normalizer.json; empty: British spellings stay"},
    {"gold", CONFIG_PATH, EVALUATE(gold), "", 0, 0, NULL,
     "swuggy and sblimp: the table of right answers, where the archive has none"},
    {"limit", CONFIG_INT, EVALUATE(limit), "0", 0, 1e9, NULL, "judge only the first items of each task; 0: all"},
};
const int64_t evaluate_field_count = sizeof evaluate_fields / sizeof *evaluate_fields;

#define ARCHIVE(name, member)                                                                                          \
    {                                                                                                                  \
        name, CONFIG_PATH, offsetof(struct archive_settings, member), "", 0, 0, NULL,                                  \
            "archive of the task of this name, which `evaluate all` runs; empty: it is left out"                       \
    }

const struct config_field archive_fields[] = {
    ARCHIVE("swuggy", swuggy),
    ARCHIVE("sblimp", sblimp),
    ARCHIVE("wuggy_text", wuggy_text),
    ARCHIVE("blimp_text", blimp_text),
    ARCHIVE("storycloze", storycloze),
    ARCHIVE("topic_storycloze", topic_storycloze),
    ARCHIVE("storycloze_text", storycloze_text),
    ARCHIVE("salmon", salmon),
    ARCHIVE("mmlu", mmlu),
    ARCHIVE("blimp", blimp),
    ARCHIVE("asr", asr),
    ARCHIVE("intent", intent),
    ARCHIVE("stsp", stsp),
};
const int64_t archive_field_count = sizeof archive_fields / sizeof *archive_fields;

#define PROMPT(name)                                                                                                   \
    {                                                                                                                  \
#name, CONFIG_PATH, offsetof(struct prompt_paths, name), "", 0, 0, NULL,                                       \
            "the task's prompts (docs/benchmarks.md); empty: configs/prompts/" #name ".yaml"                           \
    }

const struct config_field prompt_fields[] = {
    PROMPT(asr), PROMPT(intent), PROMPT(stsp_s2s), PROMPT(stsp_s2t), PROMPT(stsp_t2s), PROMPT(stsp_t2t),
};
const int64_t prompt_field_count = sizeof prompt_fields / sizeof *prompt_fields;

const struct config_field judge_fields[] = {
    {"text", CONFIG_PATH, offsetof(struct judge_settings, text), "", 0, 0, NULL,
     "stsp: a folder of Hugging Face's RobertaForSequenceClassification that names the sentiment of a text"},
    {"speech", CONFIG_PATH, offsetof(struct judge_settings, speech), "", 0, 0, NULL,
     "stsp: a folder of Wav2Vec2ForSequenceClassification that names the emotion of a recording"},
};
const int64_t judge_field_count = sizeof judge_fields / sizeof *judge_fields;

#define SUBMISSION(member) offsetof(struct submission_settings, member)
#define SUBMISSION_TEXT(name, help)                                                                                    \
    {                                                                                                                  \
#name, CONFIG_STRING, SUBMISSION(name), "", 0, 0, NULL, help                                                   \
    }

const struct config_field submission_fields[] = {
    SUBMISSION_TEXT(username, "submissions to sLM21: who submits"),
    SUBMISSION_TEXT(submission_id, "a name for the submission"),
    SUBMISSION_TEXT(model_id, "a name for the model"),
    SUBMISSION_TEXT(system_description, "the model in a sentence"),
    SUBMISSION_TEXT(train_set, "what it was trained on"),
    SUBMISSION_TEXT(gpu_budget, "GPU hours of its training"),
    SUBMISSION_TEXT(author_label, "as a leaderboard shows it: Author et al."),
    SUBMISSION_TEXT(authors, "all authors"),
    SUBMISSION_TEXT(paper_title, "the paper's title"),
    SUBMISSION_TEXT(paper_url, "the paper's address"),
    {"publication_year", CONFIG_INT, SUBMISSION(publication_year), "0", 0, 9999, NULL, "the paper's year"},
    SUBMISSION_TEXT(institution, "where its authors work"),
    SUBMISSION_TEXT(team, "the team's name"),
    SUBMISSION_TEXT(bib_reference, "the paper as BibTeX"),
    SUBMISSION_TEXT(doi, "the paper's DOI"),
    {"open_source", CONFIG_BOOL, SUBMISSION(open_source), "false", 0, 0, NULL, "whether the code is public"},
    SUBMISSION_TEXT(code_url, "where the code is"),
};
const int64_t submission_field_count = sizeof submission_fields / sizeof *submission_fields;
