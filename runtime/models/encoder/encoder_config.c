/* Which of the layouts a checkpoint has, and what all configurations must fulfil. */
#include "models/encoder/encoder_config.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { SIZE_LIMIT = 1 << 16 };

static enum status check_convolutions(const struct encoder_config *config)
{
    int64_t hop = 1;
    if (config->convolution_count < 1 || config->convolution_count > ENCODER_MAXIMUM_CONVOLUTIONS)
        return status_set(STATUS_CORRUPT, "expected 1 to %d convolutions, found %" PRId64, ENCODER_MAXIMUM_CONVOLUTIONS,
                          config->convolution_count);
    for (int64_t i = 0; i < config->convolution_count; i++) {
        const struct encoder_convolution *convolution = &config->convolutions[i];
        if (convolution->channels < 1 || convolution->channels > 4096 || convolution->kernel < 1 ||
            convolution->kernel > 1024 || convolution->stride < 1 || convolution->stride > convolution->kernel)
            return status_set(STATUS_CORRUPT,
                              "convolution %" PRId64 ": impossible channels %" PRId64 ", kernel %" PRId64
                              " or stride %" PRId64,
                              i, convolution->channels, convolution->kernel, convolution->stride);
        hop *= convolution->stride;
        if (hop > SIZE_LIMIT)
            return status_set(STATUS_CORRUPT, "the convolutions' strides make more than %d samples per frame",
                              SIZE_LIMIT);
    }
    return STATUS_OK;
}

static enum status check_size(const char *what, int64_t size, int64_t limit)
{
    return size >= 1 && size <= limit
               ? STATUS_OK
               : status_set(STATUS_CORRUPT, "%s: expected 1 to %" PRId64 ", found %" PRId64, what, limit, size);
}

enum status encoder_config_check(const struct encoder_config *config)
{
    enum status result = STATUS_OK;
    TRY(check_convolutions(config));
    TRY(check_size("hidden size", config->hidden_size, 4096));
    TRY(check_size("intermediate size", config->intermediate_size, SIZE_LIMIT));
    TRY(check_size("layers", config->layers, ENCODER_MAXIMUM_LAYERS));
    TRY(check_size("attention heads", config->heads, config->hidden_size));
    TRY(check_size("kernel of the positional convolution", config->positional_kernel, 1024));
    TRY(check_size("groups of the positional convolution", config->positional_groups, config->hidden_size));
    TRY(check_size("sample rate", config->sample_rate, 1 << 20));
    if (config->hidden_size % config->heads || config->hidden_size / config->heads > 512)
        FAIL(STATUS_CORRUPT, "hidden size %" PRId64 " cannot be cut into %" PRId64 " heads", config->hidden_size,
             config->heads);
    if (config->hidden_size % config->positional_groups)
        FAIL(STATUS_CORRUPT,
             "hidden size %" PRId64 " cannot be cut into %" PRId64 " groups of the positional convolution",
             config->hidden_size, config->positional_groups);
    if (!config->projection && config->convolutions[config->convolution_count - 1].channels != config->hidden_size)
        FAIL(STATUS_CORRUPT, "features and hidden size differ, but nothing projects one to the other");
    if (!(config->epsilon > 0 && config->epsilon < 1))
        FAIL(STATUS_CORRUPT, "epsilon of the layer norms: expected a number between 0 and 1, found %g",
             config->epsilon);
fail:
    return result;
}

enum status encoder_config_read(const struct named_tensors *tensors, bool normalize_default,
                                struct encoder_config *config)
{
    const char *path = named_tensors_path(tensors);
    struct stat info;
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    enum status result = folder ? encoder_config_read_folder(path, normalize_default, config)
                                : encoder_config_read_fairseq(tensors, config);
    if (result == STATUS_OK && (result = encoder_config_check(config)) != STATUS_OK)
        result = status_prefix(result, "%s", path);
    return result;
}
