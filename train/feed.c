/* Two sets of rows, used in turn: one is being trained on while the other is drawn. A thread is made for each draw and
 * joined before its rows are used, which costs some ten microseconds a step, and leaves nothing running when the feed is
 * idle: no lock, no condition, and no thread that a fork, an exit or a failure could find half-way.
 *
 * Lanes move on when they are drawn from and cannot be put back, so their states are written down before each draw. */
#include "train/feed.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct draw {
    struct rows rows;
    json_t **states; /* [lane_count] of the lanes before the draw */
    char *documents;
    enum status status;
    char text[1024]; /* of a failure: the thread's own error text would end with it */
};

struct feed {
    struct feed_options options;
    struct draw draws[2];
    int given;    /* the draw that feed_next gave last; -1: none yet */
    bool drawing; /* a thread works on the other one */
    bool ahead;   /* the other one is drawn */
    pthread_t thread;
};

static int64_t lane_number(const struct feed *feed, int64_t i)
{
    return feed->options.first_lane + i * feed->options.lane_step;
}

static struct draw *other_draw(struct feed *feed)
{
    return &feed->draws[feed->given == 0];
}

/* ---- a draw ---- */

static void forget(const struct feed *feed, struct draw *draw)
{
    for (int64_t i = 0; draw->states && i < feed->options.lane_count; i++) {
        json_decref(draw->states[i]);
        draw->states[i] = NULL;
    }
    free(draw->documents);
    draw->documents = NULL;
    draw->status = STATUS_OK;
}

static enum status note_documents(const struct feed *feed, struct draw *draw)
{
    size_t size = 0;
    FILE *stream = open_memstream(&draw->documents, &size);
    if (!stream)
        return status_set(STATUS_INTERNAL, "no memory for the names of documents");
    for (int64_t i = 0; i < feed->options.lane_count; i++) {
        const char *const *names;
        int64_t count = lanes_last_documents(feed->options.lanes, lane_number(feed, i), &names);
        for (int64_t j = 0; j < count; j++)
            fprintf(stream, "%s ", names[j]);
    }
    if (fclose(stream) != 0)
        return status_set(STATUS_INTERNAL, "no memory for the names of documents");
    return STATUS_OK;
}

static enum status draw_rows(struct feed *feed, struct draw *draw)
{
    enum status result = STATUS_OK;
    struct lanes *lanes = feed->options.lanes;
    struct rows *rows = &draw->rows;
    int64_t length = rows->length;
    forget(feed, draw);
    for (int64_t i = 0; i < rows->count; i++)
        TRY(lanes_save(lanes, lane_number(feed, i), &draw->states[i]));
    for (int64_t i = 0; i < rows->count; i++)
        TRY(lanes_next(lanes, lane_number(feed, i), rows->ids + i * length, rows->targets + i * length,
                       rows->starts + i * length));
    TRY(rows_derive(rows, feed->options.vocabulary, feed->options.config));
    TRY(note_documents(feed, draw));
fail:
    return result;
}

static void draw_other(struct feed *feed)
{
    struct draw *draw = other_draw(feed);
    enum status result = draw_rows(feed, draw);
    draw->status = result;
    snprintf(draw->text, sizeof draw->text, "%s", result == STATUS_OK ? "" : status_text());
}

/* Nobody waits for these rows until the step is over, so on the cpu they should not take a core from one of the step's own
 * threads, for which all the others would then wait (benchmarks/SPEED.md). A refusal changes nothing but the time. */
static void *draw_in_thread(void *argument)
{
    enum { NICENESS = 10 };
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS); /* on Linux of this thread alone */
    draw_other(argument);
    return NULL;
}

/* Signals are for the threads that wait for them, not for one in the middle of a read. */
static enum status start_drawing(struct feed *feed)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&feed->thread, NULL, draw_in_thread, feed);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return status_set_errno(STATUS_INTERNAL, error, "no thread to draw rows");
    feed->drawing = true;
    return STATUS_OK;
}

static void finish_drawing(struct feed *feed)
{
    if (!feed->drawing)
        return;
    pthread_join(feed->thread, NULL);
    feed->drawing = false;
    feed->ahead = true;
}

/* ---- the feed ---- */

enum status feed_create(const struct feed_options *options, struct feed **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        return status_set(STATUS_INTERNAL, "no memory for a feed");
    feed->options = *options;
    feed->given = -1;
    for (int i = 0; i < 2; i++) {
        feed->draws[i].states = calloc((size_t)options->lane_count, sizeof(json_t *));
        if (!feed->draws[i].states)
            FAIL(STATUS_INTERNAL, "no memory for the states of %lld lanes", (long long)options->lane_count);
        TRY(rows_create(options->kernels, options->context, options->lane_count, options->length, options->micro_batch,
                        &feed->draws[i].rows));
    }
    *out = feed;
    return STATUS_OK;
fail:
    feed_destroy(feed);
    return result;
}

void feed_destroy(struct feed *feed)
{
    if (!feed)
        return;
    finish_drawing(feed);
    for (int i = 0; i < 2; i++) {
        forget(feed, &feed->draws[i]);
        free(feed->draws[i].states);
        rows_destroy(&feed->draws[i].rows);
    }
    free(feed);
}

enum status feed_next(struct feed *feed, const struct rows **rows)
{
    enum status result = STATUS_OK;
    struct draw *draw = other_draw(feed);
    *rows = NULL;
    finish_drawing(feed);
    if (!feed->ahead)
        draw_other(feed);
    feed->ahead = true;
    if (draw->status != STATUS_OK)
        FAIL(draw->status, "%s", draw->text);
    feed->given = draw == &feed->draws[1];
    feed->ahead = false;
    TRY(start_drawing(feed));
    *rows = &draw->rows;
fail:
    return result;
}

const char *feed_documents(const struct feed *feed)
{
    return feed->given < 0 ? "" : feed->draws[feed->given].documents;
}

/* ---- states ---- */

enum status feed_save(struct feed *feed, int64_t i, json_t **state)
{
    finish_drawing(feed);
    if (!feed->ahead)
        return lanes_save(feed->options.lanes, lane_number(feed, i), state);
    const struct draw *draw = other_draw(feed);
    if (!draw->states[i])
        return status_set(draw->status, "%s", draw->text);
    *state = json_incref(draw->states[i]);
    return STATUS_OK;
}

enum status feed_restore(struct feed *feed, int64_t i, const json_t *state)
{
    finish_drawing(feed);
    feed->ahead = false;
    return lanes_restore(feed->options.lanes, lane_number(feed, i), state);
}
