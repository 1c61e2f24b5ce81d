/* Where each benchmark's archive comes from: facts that a user needs before anything can be run. Nothing is downloaded here. */
#include "eval/where.h"

#include "core/utf8.h"

#include <string.h>

struct place {
    const char *task, *source, *licence, *size, *layout, *remark;
};

static const struct place places[] = {
    {"swuggy", "ZeroSpeech: the archive sLM21.dataset.zip of the Zero Resource Speech Challenge (zerospeech.com)",
     "CC BY-NC-ND, as others report it", "40,000 recordings in dev, 160,000 in test",
     "lexical/{dev,test}/NAME.wav and gold.csv",
     "the older zerospeech2021-dataset.zip has no gold.csv: evaluate.gold=FILE gives it"},
    {"sblimp", "the same archive as swuggy", "as swuggy", "50,400 recordings in dev, 126,000 in test",
     "syntactic/{dev,test}/NAME.wav and gold.csv", "published numbers are of dev or of test: say which"},
    {"wuggy-text", "the same archive as swuggy; only its gold.csv is read", "as swuggy", "as swuggy", "as swuggy", ""},
    {"blimp-text", "the same archive as swuggy; only its gold.csv is read", "as swuggy", "as sblimp", "as sblimp", ""},
    {"storycloze", "slp-rl: the archive sSC of the spoken StoryCloze benchmark (pages of TWIST, Hassid et al. 2023)",
     "MIT", "1,871 stories",
     "N_STORY_correct.wav, N+1_STORY_incorrect.wav and .txt beside them; or BASE_{mutual,correct,incorrect}",
     "S>T and T>S cut whole stories by forced alignment"},
    {"topic-storycloze", "slp-rl: the archive tSC, beside sSC", "MIT", "1,871 stories", "as storycloze", ""},
    {"storycloze-text", "the authors of Mostafazadeh et al. 2016, on request", "may not be passed on",
     "1,871 stories in test",
     "one .csv or .tsv with InputStoryid, InputSentence1..4, RandomFifthSentenceQuiz1..2, AnswerRightEnding", ""},
    {"mmlu", "the archive of Hendrycks et al. 2021 (hendrycks/test)", "MIT",
     "14,042 questions in test, 285 examples in dev", "data/{dev,test,val}/SUBJECT_{dev,test,val}.csv",
     "copies in Parquet: scripts/parquet-to-folder"},
    {"blimp", "BLiMP of Warstadt et al. 2020 (alexwarstadt/blimp)", "see its repository", "67 files of 1,000 pairs",
     "data/UID.jsonl", ""},
    {"asr", "OpenSLR 12: LibriSpeech of Panayotov et al. 2015, its test-clean, test-other and dev-clean", "CC BY 4.0",
     "2,620 recordings in test-clean, 2,939 in test-other",
     "SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac and SPEAKER-CHAPTER.trans.txt",
     "examples come from the parts that are not tested, or from evaluate.shots_from"},
    {"intent", "Fluent.ai: Fluent Speech Commands of Lugosch et al. 2019, on request", "see its readme",
     "3,793 recordings in test, 31 intents",
     "fluent_speech_commands_dataset/data/{train,valid,test}_data.csv and wavs/",
     "that the paper means this set is inferred"},
    {"stsp",
     "the Spirit LM release (facebookresearch/spiritlm, spiritlm/eval/stsp), with EMOV-DB and Expresso from their "
     "owners",
     "those of its parts", "dev 60 + 351 recordings and 479 texts, test 54 + 351 and 462",
     "data/{emov,expresso}/ and manifest/{emov,expresso,few_shot}/",
     "its classifiers are named by judges.text and judges.speech"},
    {"salmon", "slp-rl: the archive salmon_benchmark of SALMon (Maimon et al. 2024)", "CC BY-NC 4.0",
     "200 pairs in each part, as all published values suggest", "salmon_benchmark/PART/sample_I_{0,1}.wav", ""},
};

static void print_place(const struct place *place, FILE *report)
{
    utf8_print(report, "%s\n  from     %s\n  licence  %s\n  size     %s\n  layout   %s\n", place->task, place->source,
               place->licence, place->size, place->layout);
    if (*place->remark)
        utf8_print(report, "  note     %s\n", place->remark);
}

enum status where_print(const char *task, FILE *report)
{
    bool all = !strcmp(task, "all"), found = false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (all || !strcmp(places[i].task, task)) {
            print_place(&places[i], report);
            found = true;
        }
    if (!found)
        return status_set(
            STATUS_USAGE,
            "where: expected a task with an archive, or all, found \"%s\"; `evaluate where all` lists them", task);
    return STATUS_OK;
}
