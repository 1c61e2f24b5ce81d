/* What one needs to repeat a run or to explain why its bits differ: the resolved configuration, and for every start the
 * command, the commit, library versions, kernels, ranks and dtype. */
#include "train/run_record.h"

#include "core/path.h"
#include "core/thread_pool.h"
#include "core/utf8.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include "commit.h" /* made by cmake/commit.cmake */

#include <hdf5.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static enum status write_config(const char *run, const struct config *config)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return status_set(STATUS_INTERNAL, "no memory for the configuration");
    enum status written = config_write(config, file);
    if (fclose(file) != 0 || written != STATUS_OK)
        FAIL(STATUS_INTERNAL, "cannot write down the configuration");
    TRY(path_format(path, "%s/config.yaml", run));
    TRY(atomic_write(path, text, (int64_t)size));
fail:
    free(text);
    return result;
}

static json_t *describe_start(const struct trainer_setup *setup, const struct run_options *options, int64_t first_step)
{
    char when[32], host[256] = "", folder[PATH_BYTES], shown[PATH_BYTES] = "";
    time_t now = time(NULL);
    struct tm parts;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    gethostname(host, sizeof host - 1);
    if (getcwd(folder, sizeof folder)) /* paths of the command may be relative to it */
        utf8_line(folder, shown, sizeof shown);
    unsigned major = 0, minor = 0, release = 0;
    char hdf5[32];
    H5get_libversion(&major, &minor, &release);
    snprintf(hdf5, sizeof hdf5, "%u.%u.%u", major, minor, release);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:i, s:i, s:s, s:{s:s, s:s, s:s}}", "started", when,
                     "host", host, "command", options->command ? options->command : "", "folder", shown, "first_step",
                     (json_int_t)first_step, "version", SPIRITLM_VERSION, "commit", SPIRITLM_COMMIT, "kernels",
                     setup->kernels->describe(setup->context), "threads", thread_pool_threads(setup->context->pool),
                     "ranks", comm_size(setup->comm), "dtype", dtype_name((enum dtype)setup->train->dtype), "libraries",
                     "hdf5", hdf5, "openssl", OpenSSL_version(OPENSSL_VERSION), "jansson", jansson_version_str());
}

/* A job that is queued again and again must not burn its machines for nothing. */
static enum status check_progress(const struct trainer_setup *setup, const json_t *starts, int64_t step)
{
    const struct train_settings *settings = setup->train;
    int64_t fruitless = 0;
    for (size_t i = json_array_size(starts); i > 0; i--) {
        const json_t *first = json_object_get(json_array_get(starts, i - 1), "first_step");
        if (!json_is_integer(first) || json_integer_value(first) != step)
            break;
        fruitless++;
    }
    if (settings->fruitless_starts == 0 || step >= settings->steps || fruitless < settings->fruitless_starts)
        return STATUS_OK;
    return status_set(STATUS_NO_PROGRESS,
                      "%s: the last %lld starts, all from step %lld, brought no new checkpoint: look for what ended "
                      "them, then start once with train.fruitless_starts=0",
                      settings->run, (long long)fruitless, (long long)step);
}

enum status run_record_write(const struct trainer_setup *setup, const struct run_options *options, int64_t first_step)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *text = NULL;
    json_t *root = NULL;
    struct stat information;
    const char *run = setup->train->run;
    TRY(make_directories(run));
    TRY(path_format(path, "%s/run.json", run));
    if (stat(path, &information) == 0)
        TRY(jdoc_read(path, &root));
    else
        root = json_pack("{s:[]}", "starts");
    json_t *starts = json_object_get(root, "starts");
    if (!json_is_array(starts))
        FAIL(STATUS_CORRUPT, "%s: \"starts\" is not a list", path);
    if (options->resume == RESUME_AUTO)
        TRY(check_progress(setup, starts, first_step));
    if (options->config)
        TRY(write_config(run, options->config));
    if (json_array_append_new(starts, describe_start(setup, options, first_step)) != 0)
        FAIL(STATUS_INTERNAL, "no memory for %s", path);
    text = jdoc_text(root, 2);
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for %s", path);
    TRY(atomic_write(path, text, (int64_t)strlen(text)));
fail:
    free(text);
    json_decref(root);
    return result;
}
