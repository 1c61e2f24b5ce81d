/* The task "texts": nats per piece and bits per byte of a file of text. It has no check: it is there to be compared. */
#include "eval/task.h"

#include "core/utf8.h"
#include "eval/scoring/results.h"
#include "eval/texts.h"

#include <stdlib.h>

static const char protocol[] =
    "every line that is not blank is a document, as in training; the pieces of its text from the "
    "second on are counted, neither tags nor EOS; nats per piece and bits per byte of UTF-8 with the ratio estimator's "
    "standard error over documents; documents longer than the model's context in windows";

enum status task_texts(const struct task *task, const char *path)
{
    enum status result = STATUS_OK;
    struct texts_result texts;
    char name[256], hex[65], error[2][ESTIMATE_ERROR_BYTES], *whole = realpath(path, NULL);
    json_t *metrics = json_object(), *inputs = NULL;
    TRY(results_file_name("texts", path, ".txt", name, sizeof name));
    TRY(texts_evaluate(task->model, task->components, path, &texts));
    fprintf(task->report, "%-28s %8s %8s %9s %8s %9s %9s\n", "text", "nats", "stderr", "bits/byte", "stderr",
            "documents", "pieces");
    utf8_print(task->report, "%-28s %8.4f %8s %9.4f %8s %9lld %9lld\n", name, texts.nats.value,
               estimate_error_text(texts.nats, error[0]), texts.bits.value, estimate_error_text(texts.bits, error[1]),
               (long long)texts.nats.n, (long long)texts.pieces);
    TRY(results_add(metrics, "nats_per_piece", texts.nats));
    TRY(results_add(metrics, "bits_per_byte", texts.bits));
    sha256_hex(&texts.file_hash, hex);
    inputs = json_pack("{s:{s:s, s:s}, s:I, s:I, s:I}", "text_file", "path", whole ? whole : path, "sha256", hex,
                       "pieces", (json_int_t)texts.pieces, "bytes", (json_int_t)texts.bytes, "windowed_documents",
                       (json_int_t)texts.windowed);
    TRY(task_write(task, name, "texts", protocol, inputs, metrics, NULL));
    snprintf(task->outcome->headline, sizeof task->outcome->headline, "%.4f nats per piece, %.4f bits per byte",
             texts.nats.value, texts.bits.value);
    task->outcome->holds = true;
fail:
    free(whole);
    json_decref(metrics);
    json_decref(inputs);
    return result;
}
