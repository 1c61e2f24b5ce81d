/* Training from the outside: equal however the batch is cut, exact after a resume, untouched by a NaN, whole on disk.
 */
#include "support/test_support.h"
#include "support/tiny_corpus.h"

#include "core/thread_pool.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "train/checkpoint.h"
#include "train/run.h"
#include "train/trainer.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LANES = 8, LENGTH = 64 };

static struct tiny_corpus corpus;
static const char *train_folders[2];

static struct data_settings data_settings(void)
{
    return (struct data_settings){.train = {train_folders, 2},
                                  .validation = {train_folders, 2},
                                  .lanes = LANES,
                                  .sequence_length = LENGTH,
                                  .weights = {1, 1, 1},
                                  .text_words_minimum = 2,
                                  .text_words_maximum = 4,
                                  .speech_words_minimum = 1,
                                  .speech_words_maximum = 3,
                                  .expressive = true,
                                  .mask_documents = true};
}

static struct model_settings model_settings(void)
{
    return (struct model_settings){.initialize_from = "",
                                   .hidden_size = 32,
                                   .intermediate_size = 48,
                                   .layers = 2,
                                   .heads = 4,
                                   .kv_heads = 2,
                                   .rope_theta = 10000,
                                   .rms_norm_epsilon = 1e-5,
                                   .tie_embeddings = false,
                                   .initializer_deviation = 0.05};
}

static struct train_settings train_settings(const char *run)
{
    return (struct train_settings){.run = run,
                                   .seed = 7,
                                   .steps = 6,
                                   .threads = 1,
                                   .dtype = DTYPE_F32,
                                   .schedule = {SCHEDULE_CONSTANT, 3e-3, 0, 2},
                                   .beta1 = 0.9,
                                   .beta2 = 0.95,
                                   .epsilon = 1e-8,
                                   .weight_decay = 0.1,
                                   .clip = 1.0,
                                   .spike_window = 16,
                                   .log_every = 1,
                                   .validation_rows = 4,
                                   .keep = 2};
}

/* Everything one rank of a test holds. */
struct bench {
    struct data_settings data;
    struct model_settings model;
    struct train_settings train;
    struct components *components;
    const struct kernels *kernels;
    struct device_context context;
    struct thread_pool *pool;
    struct trainer_setup setup;
};

static void bench_open(struct bench *bench, const char *run, struct comm *comm)
{
    bench->data = data_settings();
    bench->model = model_settings();
    bench->train = train_settings(run);
    bench->kernels = kernels_cpu();
    assert_ok(tiny_corpus_components(&corpus, &bench->components));
    assert_ok(thread_pool_create(1, &bench->pool));
    assert_ok(device_context_create(bench->kernels, bench->pool, 0, &bench->context));
    bench->setup = (struct trainer_setup){&bench->data, &bench->model,  &bench->train,  bench->components,
                                          comm,         bench->kernels, &bench->context};
}

static void bench_close(struct bench *bench)
{
    device_context_destroy(bench->kernels, &bench->context);
    thread_pool_destroy(bench->pool);
    components_free(bench->components);
}

/* ---- batching ---- */

enum { STEPS = 4 };

struct outcome {
    double losses[STEPS], norms[STEPS];
    float *weights;
    int64_t count;
};

static void train_some(struct bench *bench, struct outcome *outcome)
{
    struct trainer *trainer;
    assert_ok(trainer_create(&bench->setup, false, &trainer));
    for (int i = 0; i < STEPS; i++) {
        struct step_result step;
        assert_ok(trainer_step(trainer, &step));
        assert_null(step.skipped);
        outcome->losses[i] = step.loss;
        outcome->norms[i] = step.gradient_norm;
    }
    const struct llama *model = trainer_model(trainer);
    outcome->count = model->layout.elements;
    outcome->weights = malloc((size_t)outcome->count * sizeof(float));
    memcpy(outcome->weights, model->weights, (size_t)outcome->count * sizeof(float));
    trainer_destroy(trainer);
}

static void single(int64_t micro_batch, struct outcome *outcome)
{
    struct bench bench;
    struct comm *comm;
    assert_ok(comm_create_single(&comm));
    bench_open(&bench, "unused", comm);
    bench.train.micro_batch = micro_batch;
    train_some(&bench, outcome);
    bench_close(&bench);
    comm_destroy(comm);
}

struct rank_thread {
    struct comm *comm;
    struct outcome outcome;
};

static void *rank_main(void *pointer)
{
    struct rank_thread *rank = pointer;
    struct bench bench;
    bench_open(&bench, "unused", rank->comm);
    train_some(&bench, &rank->outcome);
    bench_close(&bench);
    return NULL;
}

static void ranks(int count, struct outcome *outcome)
{
    struct comm *comms[4];
    struct rank_thread threads[4] = {0};
    pthread_t handles[4];
    assert_ok(comm_create_in_process(count, comms));
    for (int r = 0; r < count; r++) {
        threads[r].comm = comms[r];
        assert_int_equal(pthread_create(&handles[r], NULL, rank_main, &threads[r]), 0);
    }
    for (int r = 0; r < count; r++) {
        assert_int_equal(pthread_join(handles[r], NULL), 0);
        comm_destroy(comms[r]);
    }
    *outcome = threads[0].outcome;
    for (int r = 1; r < count; r++) { /* all ranks hold the same weights to the bit */
        assert_memory_equal(threads[r].outcome.weights, outcome->weights, (size_t)outcome->count * sizeof(float));
        free(threads[r].outcome.weights);
    }
}

static void compare(const char *what, const struct outcome *a, const struct outcome *b)
{
    double difference = 0, norm = 0;
    for (int i = 0; i < STEPS; i++) {
        if (!(fabs(a->losses[i] - b->losses[i]) <= 1e-6 * fabs(a->losses[i])))
            fail_msg("%s: loss of step %d is %.9g, not %.9g", what, i + 1, b->losses[i], a->losses[i]);
        assert_true(fabs(a->norms[i] - b->norms[i]) <= 1e-5 * a->norms[i]);
    }
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++) {
        double error = (double)a->weights[i] - (double)b->weights[i];
        difference += error * error;
        norm += (double)a->weights[i] * (double)a->weights[i];
    }
    print_message("%s: weights differ by %.2e of their norm after %d steps\n", what, sqrt(difference / norm), STEPS);
    assert_true(sqrt(difference / norm) <= 1e-6);
}

/* The first losses also start near log(rows): the model knows nothing yet. */
static void the_batch_may_be_cut_in_any_way(void **state)
{
    (void)state;
    struct outcome whole, accumulated, uneven, two, three;
    single(0, &whole);
    single(1, &accumulated);
    single(3, &uneven);
    ranks(2, &two);
    ranks(3, &three);
    assert_true(fabs(whole.losses[0] - log(512)) < 0.5);
    assert_true(whole.losses[STEPS - 1] < whole.losses[0]);
    compare("8 x 1 accumulated", &whole, &accumulated);
    compare("3 + 3 + 2 accumulated", &whole, &uneven);
    compare("2 ranks x 4", &whole, &two);
    compare("3 ranks", &whole, &three);
    free(whole.weights);
    free(accumulated.weights);
    free(uneven.weights);
    free(two.weights);
    free(three.weights);
}

/* ---- resuming ---- */

static void *copy_arena(const void *data, size_t bytes)
{
    void *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, data, bytes);
    return copy;
}

/* Six steps in one go, and three, a checkpoint, a new process's trainer, three: the same bits. */
static void resume_is_exact(int dtype, const char *name)
{
    char run[600];
    struct bench bench;
    struct comm *comm;
    struct trainer *trainer;
    struct step_result step;
    double losses[6];
    snprintf(run, sizeof run, "%s/%s", test_directory(), name);
    assert_ok(comm_create_single(&comm));
    bench_open(&bench, run, comm);
    bench.train.dtype = dtype;
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    for (int i = 0; i < 6; i++) {
        assert_ok(trainer_step(trainer, &step));
        losses[i] = step.loss;
        if (i == 2)
            assert_ok(trainer_save(trainer, run));
    }
    struct llama *model = trainer_model(trainer);
    size_t weight_bytes = (size_t)model->layout.elements * dtype_size(model->dtype);
    size_t moment_bytes = (size_t)trainer_optimizer(trainer)->slice_elements * sizeof(float);
    void *weights = copy_arena(model->weights, weight_bytes);
    void *moments = copy_arena(trainer_optimizer(trainer)->second_moment, moment_bytes);
    trainer_destroy(trainer);

    char *path;
    assert_ok(checkpoint_newest(run, true, &path));
    assert_non_null(path);
    assert_ok(trainer_create(&bench.setup, true, &trainer));
    assert_ok(trainer_load(trainer, path));
    assert_int_equal(trainer_steps_done(trainer), 3);
    for (int i = 3; i < 6; i++) {
        assert_ok(trainer_step(trainer, &step));
        if (memcmp(&step.loss, &losses[i], sizeof step.loss) != 0)
            fail_msg("%s: loss of step %d is %.17g after the resume, was %.17g", name, i + 1, step.loss, losses[i]);
    }
    assert_memory_equal(trainer_model(trainer)->weights, weights, weight_bytes);
    assert_memory_equal(trainer_optimizer(trainer)->second_moment, moments, moment_bytes);
    trainer_destroy(trainer);

    /* Another seed would be another order of the data: refused. */
    bench.train.seed = 8;
    assert_ok(trainer_create(&bench.setup, true, &trainer));
    assert_fails(trainer_load(trainer, path), STATUS_USAGE, "seed");
    assert_non_null(strstr(status_text(), path));
    trainer_destroy(trainer);
    /* Equal shapes, another network: refused by name. */
    bench.train.seed = 7;
    bench.model.heads = 8;
    bench.model.kv_heads = 4;
    bench.model.head_size = 4;
    assert_ok(trainer_create(&bench.setup, true, &trainer));
    assert_fails(trainer_load(trainer, path), STATUS_USAGE, "heads");
    trainer_destroy(trainer);
    bench.model = model_settings();
    bench.model.rope_theta = 20000;
    assert_ok(trainer_create(&bench.setup, true, &trainer));
    assert_fails(trainer_load(trainer, path), STATUS_USAGE, "rope_theta");
    trainer_destroy(trainer);
    /* Another vocabulary behind the same number of rows: refused by component. */
    bench.model = model_settings();
    struct components *kept = bench.components;
    struct components_options other = {.text_model = corpus.text_model,
                                       .expressive = true,
                                       .task_tags = true,
                                       .codes = {TINY_HUBERT, TINY_PITCH, TINY_STYLE},
                                       .rates = {{{25, 1}, {25, 2}, {1, 1}}}};
    assert_ok(components_load(&other, &bench.components));
    bench.setup.components = bench.components;
    assert_int_equal(kept->vocabulary.padded_size, bench.components->vocabulary.padded_size);
    assert_ok(trainer_create(&bench.setup, true, &trainer));
    assert_fails(trainer_load(trainer, path), STATUS_USAGE, "vocabulary");
    trainer_destroy(trainer);
    components_free(bench.components);
    bench.components = kept;
    free(path);
    free(weights);
    free(moments);
    bench_close(&bench);
    comm_destroy(comm);
}

static void resume_is_exact_in_f32(void **state)
{
    (void)state;
    resume_is_exact(DTYPE_F32, "resume_f32");
}

static void resume_is_exact_in_bf16(void **state)
{
    (void)state;
    resume_is_exact(DTYPE_BF16, "resume_bf16");
}

/* ---- ranks that save and validate together, and others that take over ---- */

struct elastic {
    struct comm *comm;
    const char *run, *load; /* load NULL: start anew and save after two steps */
    int steps;
    double losses[4];
    struct token_losses validation;
};

static void *elastic_main(void *pointer)
{
    struct elastic *elastic = pointer;
    struct bench bench;
    struct trainer *trainer;
    struct step_result step;
    bench_open(&bench, elastic->run, elastic->comm);
    assert_ok(trainer_create(&bench.setup, elastic->load != NULL, &trainer));
    if (elastic->load)
        assert_ok(trainer_load(trainer, elastic->load));
    for (int i = 0; i < elastic->steps; i++) {
        assert_ok(trainer_step(trainer, &step));
        elastic->losses[i] = step.loss;
        if (!elastic->load && i == 1) {
            assert_ok(trainer_validate(trainer, SOURCE_INTERLEAVED, &elastic->validation));
            assert_ok(trainer_save(trainer, elastic->run));
        }
    }
    trainer_destroy(trainer);
    bench_close(&bench);
    return NULL;
}

static struct elastic run_elastic(int count, const char *run, const char *load, int steps)
{
    struct comm *comms[4];
    struct elastic threads[4];
    pthread_t handles[4];
    assert_ok(comm_create_in_process(count, comms));
    for (int r = 0; r < count; r++) {
        threads[r] = (struct elastic){.comm = comms[r], .run = run, .load = load, .steps = steps};
        assert_int_equal(pthread_create(&handles[r], NULL, elastic_main, &threads[r]), 0);
    }
    for (int r = 0; r < count; r++) {
        assert_int_equal(pthread_join(handles[r], NULL), 0);
        comm_destroy(comms[r]);
    }
    return threads[0];
}

/* Three ranks save after two of four steps; one, two and three go on from there: the same losses up to the order of
 * sums. Every validation row counts once however many ranks share them. */
static void other_ranks_take_over(void **state)
{
    (void)state;
    char run[600], alone_run[600];
    snprintf(run, sizeof run, "%s/elastic", test_directory());
    snprintf(alone_run, sizeof alone_run, "%s/elastic_alone", test_directory());
    struct elastic three = run_elastic(3, run, NULL, 4), alone = run_elastic(1, alone_run, NULL, 4);
    for (int kind = 0; kind < TOKEN_KINDS; kind++) {
        assert_true(three.validation.count[kind] == alone.validation.count[kind]);
        assert_true(fabs(three.validation.sum[kind] - alone.validation.sum[kind]) <=
                    1e-5 * fabs(alone.validation.sum[kind]));
    }
    char *path;
    assert_ok(checkpoint_newest(run, true, &path));
    assert_non_null(path);
    for (int count = 1; count <= 3; count++) {
        struct elastic next = run_elastic(count, run, path, 2);
        for (int i = 0; i < 2; i++)
            if (!(fabs(next.losses[i] - three.losses[2 + i]) <= 1e-6 * three.losses[2 + i]))
                fail_msg("%d ranks: step %d has loss %.9g, the run itself %.9g", count, 3 + i, next.losses[i],
                         three.losses[2 + i]);
    }
    free(path);
}

/* ---- NaN ---- */

static void a_nan_changes_no_weight_and_too_many_stop(void **state)
{
    (void)state;
    struct bench bench;
    struct comm *comm;
    struct trainer *trainer;
    struct step_result step;
    assert_ok(comm_create_single(&comm));
    bench_open(&bench, "unused", comm);
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    assert_ok(trainer_step(trainer, &step));
    struct llama *model = trainer_model(trainer);
    const struct parameter_view *norm = parameter_layout_find(&model->layout, "model.norm.weight");
    assert_non_null(norm);
    float *weights = model->weights, kept = weights[norm->offset];
    weights[norm->offset] = NAN;
    size_t bytes = (size_t)model->layout.elements * sizeof(float);
    void *before = copy_arena(weights, bytes);
    void *moments = copy_arena(trainer_optimizer(trainer)->first_moment, bytes);
    assert_ok(trainer_step(trainer, &step));
    assert_non_null(step.skipped);
    char *documents = trainer_last_documents(trainer);
    assert_non_null(strchr(documents, ':')); /* the rows are named */
    free(documents);
    assert_false(trainer_is_healthy(trainer));
    assert_memory_equal(weights, before, bytes);
    assert_memory_equal(trainer_optimizer(trainer)->first_moment, moments, bytes);
    weights[norm->offset] = kept;
    assert_ok(trainer_step(trainer, &step)); /* healed: it goes on */
    assert_null(step.skipped);
    weights[norm->offset] = INFINITY;
    for (int i = 0; i < 3; i++)
        assert_ok(trainer_step(trainer, &step));
    assert_fails(trainer_step(trainer, &step), STATUS_CORRUPT, "stopped");
    free(before);
    free(moments);
    trainer_destroy(trainer);
    bench_close(&bench);
    comm_destroy(comm);
}

/* ---- a run's folder ---- */

static int count_lines(const char *path, int64_t *last_step)
{
    char *text;
    int64_t size;
    int lines = 0;
    assert_ok(file_read(path, 1 << 24, (void **)&text, &size));
    *last_step = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *root;
        int64_t step;
        assert_ok(json_parse("line", line, (int64_t)strlen(line), &root));
        assert_ok(json_get_int("line", root, "step", 1, 1000, &step));
        if (json_object_get(root, "loss")) {
            assert_int_equal(step, *last_step + 1); /* no step twice, none missing */
            *last_step = step;
            lines++;
            assert_true(json_is_number(json_object_get(root, "lr")) &&
                        json_is_number(json_object_get(root, "grad_norm")));
        }
        json_decref(root);
    }
    free(text);
    return lines;
}

static void flip_byte(const char *path)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    fputc(byte ^ 1, file);
    fclose(file);
}

static void a_run_leaves_whole_checkpoints_and_falls_back_past_a_damaged_one(void **state)
{
    (void)state;
    char run[600], path[800];
    struct bench bench;
    struct comm *comm;
    int64_t last;
    snprintf(run, sizeof run, "%s/run", test_directory());
    assert_ok(comm_create_single(&comm));
    bench_open(&bench, run, comm);
    bench.train.save_every = 2;
    bench.train.validate_every = 3;
    struct run_options options = {.resume = RESUME_AUTO, .command = "test"};
    assert_ok(run_train(&bench.setup, &options));
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    assert_int_equal(count_lines(path, &last), 6);
    /* keep = 2: steps 4 and 6 remain. */
    snprintf(path, sizeof path, "%s/checkpoints/step_00000002", run);
    assert_fails(directory_verify(path, true), STATUS_USAGE, "No such file");
    snprintf(path, sizeof path, "%s/checkpoints/step_00000004", run);
    assert_ok(directory_verify(path, true));
    options.resume = RESUME_NONE;
    assert_fails(run_train(&bench.setup, &options), STATUS_USAGE, "has begun already");

    snprintf(path, sizeof path, "%s/checkpoints/step_00000006/model.safetensors", run);
    flip_byte(path);
    bench.train.steps = 8;
    options.resume = RESUME_AUTO;
    assert_ok(run_train(&bench.setup, &options)); /* from step 4 */
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    assert_int_equal(count_lines(path, &last), 8);
    snprintf(path, sizeof path, "%s/checkpoints/step_00000006.damaged-1/config.json", run);
    char *text;
    int64_t size;
    assert_ok(file_read(path, 1 << 20, (void **)&text, &size));
    free(text);
    snprintf(path, sizeof path, "%s/report.html", run);
    assert_ok(file_read(path, 1 << 20, (void **)&text, &size));
    free(text);
    /* A named start may not leave newer steps behind in the same folder, nor go into another run's. */
    char older[700];
    snprintf(older, sizeof older, "%s/checkpoints/step_00000006", run);
    bench.train.steps = 9;
    options = (struct run_options){.resume = RESUME_PATH, .resume_path = older, .command = "test"};
    assert_fails(run_train(&bench.setup, &options), STATUS_USAGE, "newer than");
    snprintf(path, sizeof path, "%s/branch", test_directory());
    bench.train.run = path;
    assert_ok(run_train(&bench.setup, &options));
    bench.train.run = run;
    snprintf(older, sizeof older, "%s/checkpoints/step_00000009", path);
    options.resume_path = older;
    assert_fails(run_train(&bench.setup, &options), STATUS_USAGE, "checkpoints of its own");
    bench.train.steps = 8;
    char *newest;
    assert_ok(checkpoint_resolve(run, &newest));
    assert_non_null(strstr(newest, "step_00000008"));
    struct components *components;
    assert_ok(components_load_checkpoint(newest, &components)); /* a checkpoint speaks by itself */
    assert_int_equal(components->vocabulary.hubert_count, TINY_HUBERT);
    components_free(components);
    free(newest);
    /* With none left whole, starting anew is not the program's to decide. */
    flip_byte(strcat(strcpy(path, run), "/checkpoints/step_00000008/model.safetensors"));
    flip_byte(strcat(strcpy(path, run), "/checkpoints/step_00000006/model.safetensors"));
    options = (struct run_options){.resume = RESUME_AUTO, .command = "test"};
    assert_fails(run_train(&bench.setup, &options), STATUS_CORRUPT, "none of the 2 checkpoints");
    assert_fails(run_train(&bench.setup, &options), STATUS_CORRUPT, "none of the 2 checkpoints");
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    assert_int_equal(count_lines(path, &last), 8);
    bench_close(&bench);
    comm_destroy(comm);
}

/* The signal comes before the first step: one step, a checkpoint, and the caller is told to start again. */
static void a_signal_saves_and_asks_to_be_started_again(void **state)
{
    (void)state;
    char run[600];
    snprintf(run, sizeof run, "%s/signal", test_directory());
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct bench bench;
        struct comm *comm;
        if (comm_create_single(&comm) != STATUS_OK)
            _exit(1);
        bench_open(&bench, run, comm);
        bench.train.steps = 1000000;
        struct run_options options = {.resume = RESUME_AUTO, .command = "test"};
        alarm(60);
        _exit((int)run_train(&bench.setup, &options));
    }
    char metrics[800];
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", run);
    for (int i = 0; i < 3000; i++) { /* until the first step is logged */
        struct stat information;
        if (stat(metrics, &information) == 0 && information.st_size > 0)
            break;
        usleep(10000);
    }
    assert_int_equal(kill(child, SIGTERM), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), STATUS_REQUEUE);
    char *newest;
    assert_ok(checkpoint_newest(run, false, &newest));
    assert_non_null(newest);
    json_t *saved;
    int64_t step, last;
    assert_ok(checkpoint_read_state(newest, &saved));
    assert_ok(json_get_int("state", saved, "step", 1, 1000000, &step));
    count_lines(metrics, &last);
    assert_int_equal(last, step);
    json_decref(saved);
    free(newest);
}

/* A Hugging Face folder with text rows alone is continued: its rows come first, the new ones are random. */
static void training_continues_from_a_text_model(void **state)
{
    (void)state;
    char folder[600];
    struct bench bench;
    struct comm *comm;
    struct trainer *trainer;
    snprintf(folder, sizeof folder, "%s/llama", test_directory());
    assert_ok(comm_create_single(&comm));
    bench_open(&bench, "unused", comm);
    struct llama_config config = {TINY_PIECES, 32, 48, 2, 4, 2, 8, 64, 10000, 1e-5, false};
    struct llama *text_model;
    assert_ok(llama_create(&config, DTYPE_F32, bench.kernels, &bench.context, &text_model));
    float *masters = calloc((size_t)text_model->layout.elements, sizeof(float));
    assert_ok(llama_initialize(text_model, 99, 0.1, masters));
    struct atomic_directory *directory;
    assert_ok(atomic_directory_begin(folder, false, &directory));
    assert_ok(llama_write_folder(text_model, directory, 1, 2));
    assert_ok(atomic_directory_commit(directory));

    bench.model.initialize_from = folder;
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    const struct llama *model = trainer_model(trainer);
    static const char *const names[] = {"model.embed_tokens.weight", "lm_head.weight"};
    for (int i = 0; i < 2; i++) {
        const float *ours = (const float *)model->weights + parameter_layout_find(&model->layout, names[i])->offset;
        const float *theirs = masters + parameter_layout_find(&text_model->layout, names[i])->offset;
        assert_memory_equal(ours, theirs, TINY_PIECES * 32 * sizeof(float));
        double squares = 0;
        for (int64_t j = TINY_PIECES * 32; j < model->config.vocabulary_size * 32; j++)
            squares += (double)ours[j] * (double)ours[j];
        double deviation = sqrt(squares / (double)((model->config.vocabulary_size - TINY_PIECES) * 32));
        assert_true(fabs(deviation - 0.05) < 0.005); /* initializer_deviation, some thousand numbers */
    }
    struct step_result step;
    assert_ok(trainer_step(trainer, &step));
    trainer_destroy(trainer);
    free(masters);
    llama_destroy(text_model);
    bench_close(&bench);
    comm_destroy(comm);
}

static int make_corpus(void **state)
{
    (void)state;
    char folder[600];
    snprintf(folder, sizeof folder, "%s/corpus", test_directory());
    train_folders[0] = corpus.speech;
    train_folders[1] = corpus.text;
    return tiny_corpus_write(folder, 40, test_seed(), &corpus) == STATUS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_batch_may_be_cut_in_any_way),
        cmocka_unit_test(resume_is_exact_in_f32),
        cmocka_unit_test(resume_is_exact_in_bf16),
        cmocka_unit_test(other_ranks_take_over),
        cmocka_unit_test(a_nan_changes_no_weight_and_too_many_stop),
        cmocka_unit_test(a_run_leaves_whole_checkpoints_and_falls_back_past_a_damaged_one),
        cmocka_unit_test(a_signal_saves_and_asks_to_be_started_again),
        cmocka_unit_test(training_continues_from_a_text_model),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
