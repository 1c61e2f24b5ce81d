/* JSON's keys are texts, so id2label is an object with the keys "0", "1" and so on, in any order. Every key is one of a class, no key
 * comes twice (the reader of JSON refuses that), so as many keys as classes are one for each. */
#include "eval/judges/labels.h"

#include "core/path.h"
#include "io/json.h"
#include "text/lower_case.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status put_default(int64_t index, char **name)
{
    char text[32];
    snprintf(text, sizeof text, "label_%" PRId64, index);
    *name = strdup(text);
    return *name ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for a label");
}

static enum status check_count(const char *path, const json_t *root, int64_t count)
{
    int64_t stated;
    if (!jdoc_has(root, "num_labels"))
        return STATUS_OK;
    enum status result = jdoc_get_int(path, root, "num_labels", 1, INT32_MAX, &stated);
    if (result == STATUS_OK && stated != count)
        return status_set(STATUS_CORRUPT, "%s: num_labels is %" PRId64 ", but the weights have %" PRId64 " classes",
                          path, stated, count);
    return result;
}

static enum status take_label(const char *path, const json_t *map, int64_t index, char **name)
{
    char key[32];
    snprintf(key, sizeof key, "%" PRId64, index);
    const json_t *label = json_object_get(map, key);
    if (!label)
        return status_set(STATUS_CORRUPT, "%s: id2label has no label for class %" PRId64, path, index);
    if (!json_is_string(label) || json_string_length(label) == 0)
        return status_set(STATUS_CORRUPT, "%s: id2label: the label of class %" PRId64 " is not a text", path, index);
    return text_lower_case(json_string_value(label), name);
}

enum status judge_labels_read(const char *folder, int64_t count, struct judge_labels *labels)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    json_t *root = NULL;
    TRY(path_format(path, "%s/config.json", folder));
    TRY(jdoc_read(path, &root));
    if (!(labels->names = calloc((size_t)count, sizeof *labels->names)))
        FAIL(STATUS_INTERNAL, "no memory for %" PRId64 " labels", count);
    labels->count = count;
    TRY(check_count(path, root, count));
    const json_t *map = jdoc_has(root, "id2label") ? json_object_get(root, "id2label") : NULL;
    if (map && !json_is_object(map))
        FAIL(STATUS_CORRUPT, "%s: id2label is not an object of labels", path);
    for (int64_t i = 0; i < count; i++)
        TRY(map ? take_label(path, map, i, &labels->names[i]) : put_default(i, &labels->names[i]));
    if (map && (int64_t)json_object_size(map) != count)
        FAIL(STATUS_CORRUPT, "%s: id2label has %zu entries, but the weights have %" PRId64 " classes", path,
             json_object_size(map), count);
fail:
    json_decref(root);
    return result;
}

void judge_labels_free(struct judge_labels *labels)
{
    for (int64_t i = 0; i < labels->count; i++)
        free(labels->names[i]);
    free(labels->names);
    *labels = (struct judge_labels){0};
}

void judge_labels_hash(const struct judge_labels *labels, struct sha256_stream *hash)
{
    for (int64_t i = 0; i < labels->count; i++)
        sha256_add(hash, labels->names[i], strlen(labels->names[i]) + 1);
}

enum status judge_choose(const char *folder, const double *logits, int64_t count, int32_t *label)
{
    int64_t best = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(logits[i]))
            return status_set(STATUS_CORRUPT, "%s: the logit of class %" PRId64 " is not finite", folder, i);
        best = logits[i] > logits[best] ? i : best;
    }
    *label = (int32_t)best;
    return STATUS_OK;
}
