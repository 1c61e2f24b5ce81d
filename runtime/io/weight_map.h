/* The index of a model that lies in several files of a Hugging Face folder (model.safetensors.index.json,
 * pytorch_model.bin.index.json): which tensor is in which file. */
#ifndef SPIRITLM_IO_WEIGHT_MAP_H
#define SPIRITLM_IO_WEIGHT_MAP_H

#include "core/status.h"

#include <jansson.h>

/* Reads the index at `path`. *map, an object of tensors' names with the names of files as strings, is borrowed from *index,
 * which the caller decrefs (NULL after a failure). STATUS_CORRUPT unless every value is the name of a file of the same folder:
 * not hidden, and no path that leads out of it. */
enum status weight_map_read(const char *path, json_t **index, json_t **map);

#endif
