/* The fitted tokenizer in memory: its parts, who owns it, and the speakers it knows. */
#include "speech/embedded/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum status embedded_tokenizer_create(struct embedded_tokenizer **out)
{
    *out = NULL;
    struct embedded_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return status_set(STATUS_INTERNAL, "no memory for a speech tokenizer");
    tokenizer->owners = 1;
    tokenizer->rates.rate[STREAM_HUBERT] = (struct rational){25, 1};
    tokenizer->rates.rate[STREAM_PITCH] = (struct rational){25, 2};
    tokenizer->rates.rate[STREAM_STYLE] = (struct rational){1, 1};
    enum status result = log_mel_create(UNIT_BANDS, &tokenizer->mel);
    if (result != STATUS_OK)
        free(tokenizer);
    else
        *out = tokenizer;
    return result;
}

struct embedded_tokenizer *embedded_tokenizer_share(struct embedded_tokenizer *tokenizer)
{
    tokenizer->owners++;
    return tokenizer;
}

void embedded_tokenizer_release(struct embedded_tokenizer *tokenizer)
{
    if (!tokenizer || --tokenizer->owners > 0)
        return;
    unit_quantizer_free(&tokenizer->units);
    free(tokenizer->codebook);
    free(tokenizer->styles.centroids);
    for (int64_t s = 0; s < tokenizer->speaker_count; s++)
        free(tokenizer->speakers[s].name);
    free(tokenizer->speakers);
    embedded_device_free(tokenizer->device);
    log_mel_free(tokenizer->mel);
    free(tokenizer->log_magnitudes);
    free(tokenizer);
}

static int compare_name(const void *name, const void *speaker)
{
    return strcmp(name, ((const struct speaker *)speaker)->name);
}

struct speaker *embedded_speaker(const struct embedded_tokenizer *tokenizer, const char *name)
{
    if (!name || tokenizer->speaker_count == 0)
        return NULL;
    return bsearch(name, tokenizer->speakers, (size_t)tokenizer->speaker_count, sizeof *tokenizer->speakers,
                   compare_name);
}

double embedded_speaker_mean(const struct embedded_tokenizer *tokenizer, const char *name)
{
    const struct speaker *found = embedded_speaker(tokenizer, name);
    return found ? found->mean : (double)NAN;
}
