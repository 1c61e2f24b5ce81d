/* A prompt with its tags and units spelled out, as it is given to transformers. With one dummy prefix per document the whole
 * string is encoded by the model in which tags and units are pieces, the one that checkpoints hold: equal ids whatever the
 * string. With one per span, stretches between tags and units are encoded one by one. */
#include "generate/prompt_string.h"

#include "core/array.h"

#include <stdlib.h>
#include <string.h>

static enum status encode_whole(const struct components *components, const char *text, int32_t **ids, int64_t *count)
{
    const struct sentencepiece *tagged;
    enum status result = components_tagged_text(components, &tagged);
    return result == STATUS_OK ? sentencepiece_encode(tagged, text, (int64_t)strlen(text), true, ids, count) : result;
}

static enum status encode_spans(const struct components *components, const char *text, int32_t **ids, int64_t *count)
{
    enum status result = STATUS_OK;
    int64_t room = 0, more, length = 0;
    int32_t *span = NULL;
    while (*text) {
        int32_t token = vocabulary_find_token(&components->vocabulary, text, &length);
        int64_t size = token >= 0 ? length : 0;
        more = token >= 0 ? 1 : 0;
        if (token < 0) {
            while (text[size] && vocabulary_find_token(&components->vocabulary, text + size, &length) < 0)
                size++;
            TRY(sentencepiece_encode(components->text, text, size, true, &span, &more));
        }
        TRY(array_grow(ids, &room, *count + more, "tokens of a prompt"));
        if (more > 0)
            memcpy(*ids + *count, token >= 0 ? &token : span, (size_t)more * sizeof **ids);
        *count += more;
        text += size;
        free(span);
        span = NULL;
    }
    return STATUS_OK;
fail:
    free(span);
    free(*ids);
    *ids = NULL;
    return result;
}

enum status prompt_string_encode(const struct components *components, const char *text, int32_t **ids, int64_t *count)
{
    *ids = NULL;
    *count = 0;
    if (components->vocabulary.dummy_prefix == DUMMY_PREFIX_DOCUMENT)
        return encode_whole(components, text, ids, count);
    return encode_spans(components, text, ids, count);
}
