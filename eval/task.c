/* What all tasks write: which model was judged, on what, by which protocol. It is in one place so that no task can
 * leave out a part of it. */
#include "eval/task.h"

#include "eval/model_identity.h"
#include "eval/scoring/results.h"
#include "io/json.h"

enum status task_write(const struct task *task, const char *name, const char *kind, const char *protocol,
                       const json_t *inputs, const json_t *metrics, const json_t *samples)
{
    const struct results_subject subject = {.name = name,
                                            .task = kind,
                                            .protocol = protocol,
                                            .model = task->model_name,
                                            .checkpoint = task->checkpoint,
                                            .components = task->components,
                                            .inputs = inputs};
    if (!inputs)
        return status_set(STATUS_INTERNAL, "no memory for the results, or the path of an input is not UTF-8");
    return results_write(task->out, &subject, metrics, samples);
}

enum status task_judge(const struct task *task, enum status judgement)
{
    task->outcome->holds = judgement == STATUS_OK;
    return task->require || judgement != STATUS_UNMET ? judgement : STATUS_OK;
}

enum status task_fingerprints(const struct task *task, json_t **out)
{
    enum status result = STATUS_OK;
    struct sha256 identity;
    json_t *fingerprints = NULL;
    *out = NULL;
    TRY(model_identity(task->checkpoint, &identity));
    fingerprints = components_fingerprints_json(task->components);
    if (!fingerprints || json_object_set_new(fingerprints, "model", jdoc_hash(&identity)) != 0)
        FAIL(STATUS_INTERNAL, "no memory for the fingerprints of a model");
    *out = fingerprints;
    return STATUS_OK;
fail:
    json_decref(fingerprints);
    return result;
}
