#include "support/audio_both.h"

#include "support/test_support.h"

#include "io/atomic_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The bytes of a regular file in memory of exactly their number, so that the address sanitizer sees what lies beyond. NULL for what
 * is no file, or too large to be copied for a test. */
static unsigned char *bytes_of(const char *path, int64_t *size)
{
    struct stat about;
    void *data = NULL;
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size > 64 << 20 ||
        file_read(path, about.st_size, &data, size) != STATUS_OK)
        return NULL;
    unsigned char *exact = malloc(*size > 0 ? (size_t)*size : 1);
    assert_non_null(exact);
    memcpy(exact, data, (size_t)*size);
    free(data);
    return exact;
}

enum status audio_read_both_noted(const char *path, int channel, float **samples, int64_t *count,
                                  char note[AUDIO_NOTE_BYTES])
{
    enum status result = audio_read_noted(path, channel, samples, count, note);
    char text[1024], other_note[AUDIO_NOTE_BYTES];
    float *other = NULL;
    int64_t size = 0, other_count = -1;
    snprintf(text, sizeof text, "%s", status_text());
    unsigned char *bytes = bytes_of(path, &size);
    if (!bytes)
        return result == STATUS_OK ? STATUS_OK : status_set(result, "%s", text);
    struct audio_memory memory = {path, bytes, size};
    enum status from_memory = audio_read_memory_noted(memory, channel, &other, &other_count, other_note);
    free(bytes);
    if (from_memory != result || (result != STATUS_OK && strcmp(status_text(), text) != 0))
        fail_msg("from memory: %d, \"%s\"; from the file: %d, \"%s\"", from_memory, status_text(), result, text);
    assert_int_equal(other_count, *count);
    assert_string_equal(other_note, note);
    assert_true((other == NULL) == (*samples == NULL));
    if (other)
        assert_memory_equal(other, *samples, (size_t)*count * sizeof *other);
    free(other);
    return result;
}

enum status audio_read_both(const char *path, int channel, float **samples, int64_t *count)
{
    char note[AUDIO_NOTE_BYTES];
    return audio_read_both_noted(path, channel, samples, count, note);
}
