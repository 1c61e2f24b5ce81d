/* flite promises nothing about threads, so passages are rendered by processes: process w of W takes every W-th one,
 * writes its sound and its row into files of their own, and reports through memory that all of them share. A child dies
 * with its parent, so that nothing goes on writing after an interrupt. */
#include "data/demo/demo_render.h"

#include "core/log.h"
#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/wav.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_WORKERS = 64 };

static json_t *describe_words(const char *text, const struct synthesis *synthesis)
{
    json_t *words = json_array();
    for (int64_t i = 0; words && i < synthesis->word_count; i++) {
        const struct aligned_word *word = &synthesis->words[i];
        if (json_array_append_new(
                words, json_pack("[s%, f, f]", text + word->text_begin, (size_t)(word->text_end - word->text_begin),
                                 (double)word->start / AUDIO_RATE, (double)word->end / AUDIO_RATE)) != 0) {
            json_decref(words);
            return NULL;
        }
    }
    return words;
}

/* Shared with the processes that render. */
struct board {
    char message[1024];   /* the error of a process that failed */
    _Atomic int64_t done; /* passages */
    int64_t samples[];    /* of each render; 0: the voice reads it as different words, so it is left out */
};

/* Writes synthetic/N.wav and its row, synthetic/N.json. */
static enum status render_one(const char *folder, const struct demo_passage *passage, const struct demo_render *what,
                              int64_t number, int64_t *samples)
{
    enum status result = STATUS_OK;
    struct synthesis synthesis = {0};
    const char *text = passage->text, *voice = synthetic_voice_names[what->voice];
    char name[64], path[PATH_BYTES], id[64], speaker[32], *line = NULL;
    json_t *row = NULL;
    result = synthesize(text, what->voice, what->emotion, &synthesis);
    if (result == STATUS_USAGE) /* the voice reads it as different words */
        return STATUS_OK;
    TRY(result);
    snprintf(name, sizeof name, "synthetic/%04lld.wav", (long long)number);
    snprintf(id, sizeof id, "synthetic/%04lld", (long long)number);
    snprintf(speaker, sizeof speaker, "flite-%s", voice);
    TRY(path_format(path, "%s/%s", folder, name));
    TRY(wav_write(path, synthesis.samples, synthesis.count));
    row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "id", id, "audio", name, "text", text, "speaker",
                    speaker, "source", "flite", "emotion", synthetic_emotion_names[what->emotion], "passage",
                    passage->name, "synthetic", 1, "words", describe_words(text, &synthesis));
    line = row ? jdoc_text(row, 0) : NULL;
    if (!line)
        FAIL(STATUS_INTERNAL, "no memory for a row");
    TRY(path_format(path, "%s/%s.json", folder, id));
    TRY(atomic_write(path, line, (int64_t)strlen(line)));
    *samples = synthesis.count;
fail:
    synthesis_free(&synthesis);
    json_decref(row);
    free(line);
    return result;
}

/* Waits for the processes and shows their progress. */
static enum status await_children(pid_t *children, int64_t workers, struct board *board, int64_t count)
{
    struct progress progress;
    int64_t alive = workers;
    enum status worst = STATUS_OK;
    progress_start(&progress, "rendering", "passages", count);
    while (alive > 0) {
        int status = 0;
        for (int64_t w = 0; w < workers; w++) {
            pid_t ended = children[w] > 0 ? waitpid(children[w], &status, WNOHANG) : 0;
            if (ended == 0 || (ended < 0 && errno == EINTR))
                continue;
            children[w] = 0;
            alive--;
            enum status code = ended > 0 && WIFEXITED(status) ? (enum status)WEXITSTATUS(status) : STATUS_INTERNAL;
            worst = code > worst ? code : worst;
        }
        if (alive > 0)
            nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
        progress_update(&progress, board->done, "");
    }
    progress_finish(&progress, board->done, "");
    if (worst == STATUS_OK)
        return STATUS_OK;
    board->message[sizeof board->message - 1] = '\0';
    return status_set(worst, "%s", board->message[0] ? board->message : "a process that renders speech ended early");
}

/* flite promises nothing about threads: worker w of W is a process that renders every W-th passage. */
static enum status render_in_workers(const char *folder, const struct demo_passages *passages,
                                     const struct demo_render *renders, int64_t count, int64_t workers,
                                     struct board *board)
{
    pid_t children[MOST_WORKERS];
    fflush(NULL);
    for (int64_t w = 0; w < workers; w++) {
        children[w] = fork();
        if (children[w] == 0) {
            enum status result = STATUS_OK;
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* it must not go on writing when its parent has gone */
            for (int64_t i = w; i < count && result == STATUS_OK; i += workers, board->done++)
                result = render_one(folder, &passages->list[renders[i].passage], &renders[i], i, &board->samples[i]);
            if (result != STATUS_OK)
                snprintf(board->message, sizeof board->message, "%s", status_text());
            _exit((int)result);
        }
        if (children[w] < 0) {
            int error = errno;
            await_children(children, w, board, count);
            return status_set_errno(STATUS_INTERNAL, error, "cannot start a process to render speech");
        }
    }
    return await_children(children, workers, board, count);
}

enum status demo_render_all(const char *folder, const struct demo_passages *passages, const struct demo_render *renders,
                            int64_t count, int64_t workers, int64_t *samples)
{
    size_t samples_size = (size_t)count * sizeof *samples, size = sizeof(struct board) + samples_size;
    struct board *board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return status_set(STATUS_INTERNAL, "no memory to render %lld passages", (long long)count);
    workers = workers < 1 ? 1 : workers > MOST_WORKERS ? MOST_WORKERS : workers;
    enum status result = render_in_workers(folder, passages, renders, count, workers, board);
    if (result == STATUS_OK)
        memcpy(samples, board->samples, samples_size);
    munmap(board, size);
    return result;
}
