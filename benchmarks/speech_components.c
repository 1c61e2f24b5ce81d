/* Hours of audio that one core turns into units per hour, stream by stream, and hours of speech that it synthesises: the components of
 * any tokenizer's folder, embedded or neural, as bin/prepare uses them, one clip after the other on one thread.
 *
 *     benchmark_speech_components TOKENIZER AUDIO ...
 *
 * Neural components are found below SPIRITLM_CHECKPOINTS_DIR; tests/oracles/published_tree.py makes some of full size. Times are those of
 * the thread's processor; reading a component's files is not among them. Beside them is one plain sgemm of the same run, and what
 * the machine could do if all of a stream's arithmetic were that is for the reader to reckon (docs/real_weights.md has the models). */
#include "benchmarks/measure.h"
#include "io/audio/audio.h"
#include "package/speech_folder.h"

enum { READ, VOCODER = READ + 1 + STREAM_COUNT, STAGES };

struct stage {
    double seconds, audio; /* of the processor, of what went through */
};

static const char *stage_name(int stage)
{
    return stage == READ      ? "read, decode, resample"
           : stage == VOCODER ? "vocoder"
                              : unit_stream_name((enum unit_stream)(stage - 1));
}

static void encode(const struct speech *speech, const float *samples, int64_t count, struct units *units,
                   struct stage stages[STAGES])
{
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        struct speech_utterance utterance = {.samples = samples, .count = count};
        const struct speech_encoder *encoder = &speech->encoder[stream];
        if (!encoder->encode)
            continue;
        double start = thread_seconds();
        must(encoder->encode(encoder, &utterance, &units->values[stream], &units->count[stream]));
        stages[1 + stream].seconds += thread_seconds() - start;
        stages[1 + stream].audio += (double)count / AUDIO_RATE;
        while (utterance.analyses) {
            struct speech_analysis *analysis = utterance.analyses;
            utterance.analyses = analysis->next;
            analysis->destroy(analysis);
        }
    }
}

static void synthesise(const struct speech *speech, const struct units *units, struct stage *stage)
{
    const struct unit_rates rates = speech_rates(speech);
    struct merged_unit *merged;
    struct spoken_unit *spoken;
    float *samples;
    int64_t merged_count, spoken_count, count;
    must(units_merge(units, &rates, 0, -1, STREAMS_ALL, &merged, &merged_count));
    must(units_unmerge(merged, merged_count, DEFAULT_STYLE, NULL, &spoken, &spoken_count));
    double start = thread_seconds();
    must(speech_synthesise(speech, spoken, NULL, spoken_count, NULL, &samples, &count));
    stage->seconds += thread_seconds() - start;
    stage->audio += (double)count / AUDIO_RATE;
    free(samples);
    free(spoken);
    free(merged);
}

/* The first pass, which opens the files, is not counted. */
static void run(const struct speech *speech, char **files, int count, bool counted, struct stage stages[STAGES])
{
    struct stage unused[STAGES] = {{0}}, *into = counted ? stages : unused;
    for (int i = 0; i < (counted ? count : 1); i++) {
        float *samples;
        int64_t length;
        struct units units = {0};
        double start = thread_seconds();
        must(audio_read(files[i], -1, &samples, &length));
        into[READ].seconds += thread_seconds() - start;
        into[READ].audio += (double)length / AUDIO_RATE;
        encode(speech, samples, length, &units, into);
        if (speech->vocoder.synthesise)
            synthesise(speech, &units, &into[VOCODER]);
        units_free(&units);
        free(samples);
    }
}

int main(int argc, char **argv)
{
    struct speech *speech;
    struct thread_pool *pool;
    struct stage stages[STAGES] = {{0}};
    double encoding = 0, audio = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: benchmark_speech_components TOKENIZER AUDIO ...\n");
        return 2;
    }
    must(thread_pool_create(1, &pool));
    const struct ceiling ceiling = gemm_ceiling(pool);
    must(speech_folder_open(argv[1], &speech));
    must(speech_compute_on(speech, &(struct speech_compute){.networks = kernels_cpu()}));
    run(speech, argv + 2, argc - 2, false, stages);
    run(speech, argv + 2, argc - 2, true, stages);
    printf("%-24s %12s %12s %16s\n", "", "seconds", "of audio", "hours an hour");
    for (int s = 0; s < STAGES; s++) {
        if (stages[s].audio == 0)
            continue;
        printf("%-24s %12.2f %12.2f %16.2f\n", stage_name(s), stages[s].seconds, stages[s].audio,
               stages[s].audio / stages[s].seconds);
        if (s != VOCODER)
            encoding += stages[s].seconds;
        audio = s == READ ? stages[s].audio : audio;
    }
    printf("%-24s %12.2f %12.2f %16.2f\n", "all but the vocoder", encoding, audio, audio / encoding);
    printf("one plain sgemm: %.1f GFLOP/s of one core\n", ceiling.work);
    speech_free(speech);
    thread_pool_destroy(pool);
    return 0;
}
