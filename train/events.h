/* TensorBoard's event files: records (u64 length, masked CRC32C of it, bytes, masked CRC32C of them) that hold protobuf
 * messages Event{wall_time = 1, step = 2, file_version = 3, summary = 5{value = 1{tag = 1, simple_value = 2}}}. */
#ifndef SPIRITLM_TRAIN_EVENTS_H
#define SPIRITLM_TRAIN_EVENTS_H

#include "core/status.h"

#include <stdint.h>

struct events;

/* Appends to RUN/tensorboard/events.out.tfevents.0000000001.spiritlm after removing events of steps > last_step and
 * whatever follows the first damaged record. */
enum status events_open(const char *run, int64_t last_step, struct events **events);
enum status events_write(struct events *events, int64_t step, const char *tag, double value);
enum status events_flush(struct events *events);
enum status events_sync(struct events *events);
void events_close(struct events *events); /* NULL is fine */

#endif
