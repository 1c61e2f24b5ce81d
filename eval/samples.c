/* A file of samples begins with a line that says what its items are and how they were scored; a line per item follows. */
#include "eval/samples.h"

#include "core/path.h"
#include "io/json.h"
#include "io/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = INT32_MAX };

static bool find_rule(const char *name, enum report_rule *rule)
{
    for (int r = 0; name && r <= REPORT_SLM21_SYNTACTIC; r++)
        if (!strcmp(name, report_rule_name((enum report_rule)r))) {
            *rule = (enum report_rule)r;
            return true;
        }
    return false;
}

static enum status read_header(const char *where, const json_t *line, struct samples *samples)
{
    enum status result = STATUS_OK;
    const char *task = json_string_value(json_object_get(line, "task"));
    if (!task || strlen(task) >= sizeof samples->task ||
        !find_rule(json_string_value(json_object_get(line, "rule")), &samples->rule))
        FAIL(STATUS_CORRUPT, "%s: expected a line with \"task\" and the \"rule\" of a benchmark", where);
    snprintf(samples->task, sizeof samples->task, "%s", task);
    TRY(protocol_from_json(where, json_object_get(line, "protocol"), &samples->protocol));
    TRY(jdoc_get_bool(where, line, "pmi", &samples->pmi));
    TRY(jdoc_get_int(where, line, "items", 0, INT64_MAX, &samples->items));
    TRY(jdoc_get_int(where, line, "expected", 0, INT64_MAX, &samples->expected));
    TRY(jdoc_get_int(where, line, "failures", 0, INT64_MAX, &samples->failures));
fail:
    return result;
}

enum status samples_read(const char *path, struct samples *samples)
{
    enum status result = STATUS_OK;
    char *text = NULL, where[PATH_BYTES + 32];
    json_t *line = NULL;
    int64_t size = 0, number = 0;
    TRY(text_file_read(path, FILE_LIMIT, &text, &size));
    for (char *at = text, *end; at < text + size; at = end + 1) {
        end = memchr(at, '\n', (size_t)(text + size - at));
        snprintf(where, sizeof where, "%s:%lld", path, (long long)++number);
        if (!end)
            FAIL(STATUS_CORRUPT, "%s: the line is cut off", where);
        TRY(jdoc_parse(where, at, end - at, &line));
        TRY(number == 1 ? read_header(where, line, samples) : choice_item_from_json(where, line, &samples->set));
        json_decref(line);
        line = NULL;
    }
    if (samples->set.count != samples->items || number == 0)
        FAIL(STATUS_CORRUPT, "%s: expected %lld items, found %lld", path, (long long)samples->items,
             (long long)samples->set.count);
fail:
    json_decref(line);
    free(text);
    return result;
}

void samples_free(struct samples *samples)
{
    choice_set_free(&samples->set);
}
