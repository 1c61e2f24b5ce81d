/* How long until a model of 13.5 GB can generate, what memory does it take, and how near to the memory's speed does it go?
 *   benchmark_load_7b [FOLDER [LAYERS]]
 * Writes random bf16 weights of LLaMA-2 7B's shape (or of fewer layers) into FOLDER, as safetensors and then as one
 * pytorch_model.bin, loads each with cold and with warm caches, generates, and removes what it wrote. A cold load is compared
 * with reading the file once, and a token with a pass that only reads the weights, both in the same run. Nothing is done
 * where less than 30 GB of the disk are free. */
#include "benchmarks/large_llama.h"
#include "benchmarks/read_pass.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PROMPT = 16, TOKENS = 8, BLOCK = 1 << 23 };
static const double least_disk = 30e9;

/* ---- files and caches ---- */

static int open_file(const char *path, int64_t *bytes)
{
    struct stat info;
    int descriptor = open(path, O_RDONLY);
    if (descriptor < 0 || fstat(descriptor, &info) != 0) {
        perror(path);
        exit(1);
    }
    *bytes = info.st_size;
    return descriptor;
}

/* The part of the file that is in the page cache. */
static double cached_part(const char *path)
{
    int64_t bytes, page = sysconf(_SC_PAGESIZE), found = 0;
    int descriptor = open_file(path, &bytes);
    int64_t pages = (bytes + page - 1) / page;
    unsigned char *states = must_allocate((size_t)pages);
    void *memory = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED || mincore(memory, (size_t)bytes, states) != 0) {
        perror(path);
        exit(1);
    }
    for (int64_t i = 0; i < pages; i++)
        found += states[i] & 1;
    munmap(memory, (size_t)bytes);
    free(states);
    close(descriptor);
    return (double)found / (double)pages;
}

static void make_cold(const char *path)
{
    int64_t bytes;
    int descriptor = open_file(path, &bytes);
    (void)fsync(descriptor);
    (void)posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    close(descriptor);
}

/* Seconds of reading the file from its beginning to its end. */
static double read_once(const char *path)
{
    static unsigned char block[BLOCK];
    int64_t bytes;
    double before = seconds_now();
    int descriptor = open_file(path, &bytes);
    (void)posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
    for (ssize_t got = 1; got > 0;)
        got = read(descriptor, block, sizeof block);
    close(descriptor);
    return seconds_now() - before;
}

static double read_cold(const char *path)
{
    int64_t bytes;
    make_cold(path);
    double cached = cached_part(path), seconds = read_once(path);
    close(open_file(path, &bytes));
    printf("  read once, cold (%.0f %% cached): %.1f s, %.2f GB/s\n", 100 * cached, seconds,
           1e-9 * (double)bytes / seconds);
    return seconds;
}

/* A line of such a file, in GB. */
static double memory_line(const char *path, const char *name)
{
    char line[256];
    double kilobytes = 0;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            kilobytes = strtod(line + strlen(name), NULL);
    if (file)
        fclose(file);
    return kilobytes * 1024e-9;
}

/* ---- passes that only read ---- */

/* Bytes read. */
static double read_memory(struct thread_pool *pool, const void *memory, int64_t bytes)
{
    struct read_pass pass = {.pool = pool, .memory = memory, .bytes = bytes};
    read_pass_run(&pass);
    return (double)bytes;
}

/* What a token reads: all tensors but the embedding, where they lie. */
static double read_weights(const struct llama *model)
{
    double bytes = 0;
    for (int64_t i = 1; i < model->layout.count; i++)
        bytes += read_memory(model->context->pool, llama_view_address(model, &model->layout.views[i]),
                             model->layout.views[i].count * 2);
    return bytes;
}

/* GB/s of memory of the process's own, in huge pages where the system gives them. */
static double anonymous_speed(struct thread_pool *pool)
{
    const size_t bytes = (size_t)1 << 28;
    double best = 1e30;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    (void)madvise(memory, bytes, MADV_HUGEPAGE);
    memset(memory, 1, bytes);
    for (int i = 0; i < 5; i++) {
        double before = seconds_now();
        read_memory(pool, memory, (int64_t)bytes);
        best = fmin(best, seconds_now() - before);
    }
    munmap(memory, bytes);
    return 1e-9 * (double)bytes / best;
}

/* ---- generating ---- */

static double middle(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return values[count / 2];
}

/* Tokens and passes over the weights in turn, so that a machine that others use slows both. */
static void generate(struct llama *model)
{
    struct llama_session *session;
    double token[TOKENS], pass[TOKENS], ratio[TOKENS], token_work[TOKENS], pass_work[TOKENS], bytes = 0;
    int32_t prompt[PROMPT] = {1}, id = 17;
    const int64_t row = 0, vocabulary = model->config.vocabulary_size;
    float *logits = must_allocate((size_t)vocabulary * sizeof *logits);
    must(
        llama_session_create(model, &(struct llama_session_options){.rows = 1, .capacity = PROMPT + TOKENS}, &session));
    double before = seconds_now();
    must(llama_session_prefill(session, row, prompt, PROMPT, logits));
    double prefill = seconds_now() - before;
    for (int i = 0; i < TOKENS; i++) {
        double work = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
        before = seconds_now();
        must(llama_session_decode(session, &row, &id, 1, logits));
        token[i] = seconds_now() - before;
        token_work[i] = seconds_on(CLOCK_PROCESS_CPUTIME_ID) - work;
        id = 0;
        for (int64_t v = 1; v < vocabulary; v++)
            id = logits[v] > logits[id] ? (int32_t)v : id;
        if (!isfinite(logits[id])) {
            fprintf(stderr, "error: the logits are not finite\n");
            exit(1);
        }
        work = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
        before = seconds_now();
        bytes = read_weights(model);
        pass[i] = seconds_now() - before;
        pass_work[i] = seconds_on(CLOCK_PROCESS_CPUTIME_ID) - work;
        ratio[i] = pass[i] / token[i];
    }
    llama_session_destroy(session);
    free(logits);
    double work[2] = {middle(token_work, TOKENS), middle(pass_work, TOKENS)};
    double seconds = middle(token, TOKENS), reading = middle(pass, TOKENS);
    double anonymous = anonymous_speed(model->context->pool);
    printf("  prompt of %d tokens %.1f s; a token %.2f s (best %.2f): %.3f tokens/s, %.1f GB/s\n", PROMPT, prefill,
           seconds, token[0], 1 / seconds, 1e-9 * bytes / seconds);
    printf("  passes that only read the weights: %.1f GB/s, tokens reach %.2f of it (median of pairs %.2f); memory of "
           "its own reads at %.1f GB/s (best), tokens reach %.2f\n",
           1e-9 * bytes / reading, reading / seconds, middle(ratio, TOKENS), anonymous,
           1e-9 * bytes / seconds / anonymous);
    printf("  processor seconds of all threads, which a busy machine changes least: a token %.2f, a pass %.2f: %.2f of "
           "it\n",
           work[0], work[1], work[1] / work[0]);
}

/* ---- one file ---- */

static struct llama *open_model(const char *folder, struct device_context *context, double *seconds)
{
    struct llama_config config;
    enum dtype dtype;
    struct llama *model;
    double before = seconds_now();
    must(llama_read_config(folder, &config));
    must(llama_read_dtype(folder, &dtype));
    must(llama_open(folder, &config, dtype, kernels_cpu(), context, &model));
    *seconds = seconds_now() - before;
    return model;
}

static void run(const char *parent, const struct llama_config *config, bool torch, struct device_context *context)
{
    char folder[2000], path[2100];
    double cold, warm, before = seconds_now();
    int64_t bytes;
    struct memory_plan plan = {.name = "weights"};
    snprintf(folder, sizeof folder, "%s/load_7b_%s", parent, torch ? "torch" : "safetensors");
    snprintf(path, sizeof path, "%s/%s", folder, torch ? "pytorch_model.bin" : "model.safetensors");
    large_write(folder, config, torch);
    close(open_file(path, &bytes));
    printf("%s: %.2f GB, written in %.0f s\n", torch ? "pytorch_model.bin" : "model.safetensors", 1e-9 * (double)bytes,
           seconds_now() - before);
    double reading = read_cold(path);
    make_cold(path);
    double cached = cached_part(path);
    struct llama *model = open_model(folder, context, &cold);
    printf("  load, cold (%.0f %% cached): %.1f s\n", 100 * cached, cold);
    must(llama_plan_weights(model, &plan));
    for (int64_t i = 0; i < plan.count; i++)
        printf("  %s: %.2f GB\n", plan.entries[i].name, 1e-9 * (double)plan.entries[i].bytes);
    memory_plan_free(&plan);
    llama_destroy(model);
    reading =
        fmin(reading, read_cold(path)); /* before and after: a host may have kept the file in a cache of its own */
    printf("  cold load: %.2f x size / read speed\n", cold / reading);
    cached = cached_part(path);
    model = open_model(folder, context, &warm);
    printf("  load, warm (%.0f %% cached): %.1f s\n", 100 * cached, warm);
    generate(model);
    printf(
        "  memory: most resident %.2f GB; now %.2f GB of the process's own, %.2f GB of the file in huge pages; %.1f GB "
        "of the machine available\n",
        memory_line("/proc/self/status", "VmHWM:"), memory_line("/proc/self/status", "RssAnon:"),
        memory_line("/proc/self/smaps_rollup", "FilePmdMapped:"), memory_line("/proc/meminfo", "MemAvailable:"));
    fflush(stdout);
    llama_destroy(model);
    must(remove_tree(folder));
}

int main(int count, char **arguments)
{
    const char *folder = count > 1 ? arguments[1] : ".";
    struct llama_config config = {32000, 4096, 11008, 32, 32, 32, 128, 4096, 10000, 1e-5, false};
    struct thread_pool *pool;
    struct device_context context;
    struct statvfs disk;
    config.layers = count > 2 ? atoi(arguments[2]) : config.layers;
    must(llama_config_check(&config));
    if (statvfs(folder, &disk) != 0) {
        perror(folder);
        return 1;
    }
    double space = (double)disk.f_bavail * (double)disk.f_frsize;
    if (space < least_disk) {
        printf("skipped: %s has %.1f GB of free disk, expected %.0f\n", folder, 1e-9 * space, 1e-9 * least_disk);
        return 0;
    }
    must(thread_pool_create(0, &pool));
    must(device_context_create(kernels_cpu(), pool, 0, &context));
    printf("%.0f M parameters, bf16, %d threads, %s\n", 1e-6 * (double)llama_parameter_count(&config),
           thread_pool_threads(pool), kernels_cpu()->describe(&context));
    run(folder, &config, false, &context);
    run(folder, &config, true, &context);
    device_context_destroy(kernels_cpu(), &context);
    thread_pool_destroy(pool);
    return 0;
}
