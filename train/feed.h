/* A rank's rows, step after step: while a step is computed, a thread draws the rows of the next. What the thread meets
 * belongs to that next step: its errors come out of the feed_next that asks for its rows, and a state that is saved is that
 * of the lanes before the rows were drawn, so that a run which goes on from it misses and repeats nothing.
 *
 * All functions are called by one thread. There is a second one only while it draws; it is no part of any collective, and
 * touches neither device nor queue. */
#ifndef SPIRITLM_TRAIN_FEED_H
#define SPIRITLM_TRAIN_FEED_H

#include "data/lanes.h"
#include "train/rows.h"

#include <jansson.h>

struct feed_options {
    struct lanes *lanes;                       /* borrowed, and used by nobody else from now on */
    int64_t first_lane, lane_step, lane_count; /* the rank's lanes: first_lane + i * lane_step */
    int64_t length, micro_batch;
    const struct vocabulary *vocabulary; /* borrowed */
    const struct llama_config *config;   /* borrowed */
    const struct kernels *kernels;       /* borrowed, for pinned memory */
    const struct device_context *context;
};

struct feed;

enum status feed_create(const struct feed_options *options, struct feed **feed);
void feed_destroy(struct feed *feed); /* waits for its thread; NULL is fine */

/* The rows of the next step, one per lane, which stay as they are until the next call. Begins to draw those of the step
 * after it: device memory must have been given all of the rows before these. After a failure every later call fails. */
enum status feed_next(struct feed *feed, const struct rows **rows);

/* Names of the documents of those rows ("dataset:row"), lane by lane, each followed by a space; "" before the first. */
const char *feed_documents(const struct feed *feed);

/* The state of the rank's lane i (not its number) before what feed_next gives next. */
enum status feed_save(struct feed *feed, int64_t i, json_t **state);
/* Puts lane i where `state` says, and forgets what was drawn: to be called for all lanes. Fails like lanes_restore. */
enum status feed_restore(struct feed *feed, int64_t i, const json_t *state);

#endif
