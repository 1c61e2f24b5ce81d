/* How fast are judges?
 *   benchmark_judges TEXT_FOLDER SPEECH_FOLDER [PIECES [SECONDS [TEXTS]]]
 * TEXTS (8) texts of PIECES (128) random pieces each go through RoBERTa with its head, one at a time and all in one call, and a clip of
 * SECONDS (5) of noise through wav2vec 2.0 with its own. Printed beside one plain sgemm per thread in the same run.
 * benchmarks/peer_judges.py makes such folders and measures transformers on the same. SPIRITLM_THREADS sets the number of threads. */
#include "benchmarks/measure.h"
#include "eval/judges/speech_judge.h"
#include "kernels/cpu/cpu.h"
#include "models/roberta/roberta.h"

struct texts {
    struct roberta_workspace *workspace;
    struct roberta_text *texts;
    int64_t count, together;
    double *logits;
};

static void run_texts(void *argument)
{
    struct texts *texts = argument;
    for (int64_t i = 0; i < texts->count; i += texts->together)
        must(roberta_run(texts->workspace, texts->texts + i, texts->together, texts->logits));
}

struct clip {
    struct speech_judge *judge;
    struct encoder_clip clip;
};

static void run_clip(void *argument)
{
    struct clip *clip = argument;
    struct judgement judgement;
    must(speech_judge_run(clip->judge, &clip->clip, 1, &judgement, NULL));
}

/* Multiplications and additions of a text, each counted as one. */
static double work_of_text(const struct roberta_config *config, int64_t pieces)
{
    double hidden = (double)config->hidden, n = (double)pieces;
    return (double)config->layers * 2 * n *
           (4 * hidden * hidden + 2 * hidden * (double)config->intermediate + 2 * n * hidden);
}

static void report_texts(const char *what, struct measurement m, double pieces, double work, struct ceiling ceiling)
{
    printf("%-22s %8.0f %8.0f %8.0f %9.0f pieces/s %7.0f GFLOP/s %4.0f %%\n", what, 1e3 * m.median, 1e3 * m.best,
           1e3 * m.work, pieces / m.median, 1e-9 * work / m.best, 1e-9 * work / m.work / ceiling.work * 100);
}

int main(int argc, char **argv)
{
    struct thread_pool *pool;
    struct device_context context;
    struct roberta *roberta;
    struct clip clip;
    const struct kernels *kernels = kernels_cpu();
    int64_t pieces = argc > 3 ? atoll(argv[3]) : 128;
    double seconds = argc > 4 ? atof(argv[4]) : 5;
    struct texts texts = {.count = argc > 5 ? atoll(argv[5]) : 8};
    if (argc < 3 || pieces < 1 || seconds <= 0 || texts.count < 1) {
        fprintf(stderr, "usage: benchmark_judges TEXT_FOLDER SPEECH_FOLDER [PIECES [SECONDS [TEXTS]]]\n");
        return 2;
    }
    must(thread_pool_create(0, &pool));
    must(device_context_create(kernels, pool, 0, &context));
    struct ceiling ceiling = gemm_ceiling(pool);
    printf("%s; %d threads; sgemm %.0f GFLOP/s, %.0f per processor second\n", kernels->describe(&context),
           thread_pool_threads(pool), ceiling.rate, ceiling.work);
    double start = seconds_now();
    must(roberta_open(argv[1], kernels, &context, &roberta));
    printf("opened in %.1f s\n%-22s %8s %8s %8s\n", seconds_now() - start, "ms", "median", "best", "work");
    must(roberta_workspace_create(roberta, &context, &texts.workspace));
    int32_t *ids = must_allocate((size_t)(texts.count * pieces) * sizeof *ids);
    texts.texts = must_allocate((size_t)texts.count * sizeof *texts.texts);
    texts.logits = must_allocate((size_t)(texts.count * roberta_classes(roberta)) * sizeof *texts.logits);
    for (int64_t i = 0; i < texts.count * pieces; i++)
        ids[i] = (int32_t)((uint32_t)i * 2654435761u % (uint32_t)roberta_config(roberta)->vocabulary);
    for (int64_t i = 0; i < texts.count; i++)
        texts.texts[i] = (struct roberta_text){ids + i * pieces, pieces};
    double work = work_of_text(roberta_config(roberta), pieces) * (double)texts.count;
    texts.together = 1;
    report_texts("texts, one at a time", measure(run_texts, &texts, 5), (double)(texts.count * pieces), work, ceiling);
    texts.together = texts.count;
    report_texts("texts, in one call", measure(run_texts, &texts, 5), (double)(texts.count * pieces), work, ceiling);
    roberta_workspace_destroy(texts.workspace);
    roberta_close(roberta);
    must(speech_judge_open(argv[2], kernels, &context, &clip.judge));
    int64_t samples = (int64_t)(seconds * SPEECH_JUDGE_RATE);
    float *noise = some_floats(samples, 0.1f);
    clip.clip = (struct encoder_clip){.samples = noise, .count = samples};
    struct measurement m = measure(run_clip, &clip, 3);
    printf("%-22s %8.0f %8.0f %8.0f %9.1f x real time\n", "clip", 1e3 * m.median, 1e3 * m.best, 1e3 * m.work,
           seconds / m.median);
    speech_judge_close(clip.judge);
    device_context_destroy(kernels, &context);
    thread_pool_destroy(pool);
    free(noise);
    free(ids);
    free(texts.texts);
    free(texts.logits);
    return 0;
}
