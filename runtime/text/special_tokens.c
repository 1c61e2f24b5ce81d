/* Read by the scanner, since a tree of Jansson's refuses a whole file for one integer that is too large. */
#include "text/special_tokens.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json_scan.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t file_size_limit = INT64_C(1) << 28; /* some hold a template of every added token */

static enum status take_text(struct scan *scan, struct special_token *token)
{
    struct scan_text text;
    enum status result = scan_string(scan, token->key, &text);
    if (result != STATUS_OK)
        return result;
    if (text.size >= SPECIAL_TOKEN_BYTES)
        return status_set(STATUS_CORRUPT, "%s: %s is longer than %d bytes", scan->name, token->key,
                          SPECIAL_TOKEN_BYTES - 1);
    memcpy(token->text, text.bytes, (size_t)text.size);
    token->text[text.size] = '\0';
    return STATUS_OK;
}

static enum status take_token(struct scan *scan, struct special_token *token)
{
    enum status result = STATUS_OK;
    struct scan_text key;
    bool found, taken = false;
    if (scan_kind(scan) == SCAN_NULL)
        return scan_skip(scan);
    if (scan_kind(scan) != SCAN_OBJECT)
        return take_text(scan, token);
    TRY(scan_object(scan, token->key));
    for (;;) {
        TRY(scan_member(scan, &key, &found));
        if (!found)
            break;
        bool content = scan_text_is(key, "content");
        TRY(content ? take_text(scan, token) : scan_skip(scan));
        taken = taken || content;
    }
    if (!taken)
        FAIL(STATUS_CORRUPT, "%s: %s has no \"content\"", scan->name, token->key);
fail:
    return result;
}

static enum status take_member(struct scan *scan, struct scan_text key, struct special_tokens *specials)
{
    for (int64_t i = 0; i < specials->token_count; i++)
        if (scan_text_is(key, specials->tokens[i].key))
            return take_token(scan, &specials->tokens[i]);
    for (int64_t i = 0; i < specials->switch_count; i++)
        if (scan_text_is(key, specials->switches[i].key) && scan_kind(scan) != SCAN_NULL)
            return scan_bool(scan, specials->switches[i].key, &specials->switches[i].on);
    return scan_skip(scan);
}

enum status special_tokens_read(const char *folder, const char *name, struct special_tokens *specials)
{
    enum status result = STATUS_OK;
    struct scan_buffer buffer = {0};
    struct scan_text key;
    char path[PATH_BYTES];
    void *data = NULL;
    int64_t size = 0;
    bool found;
    TRY(path_format(path, "%s/%s", folder, name));
    if (access(path, F_OK) != 0)
        return STATUS_OK;
    TRY(file_read(path, file_size_limit, &data, &size));
    struct scan scan = scan_start(path, data, size, &buffer);
    TRY(scan_object(&scan, "an object"));
    for (;;) {
        TRY(scan_member(&scan, &key, &found));
        if (!found)
            break;
        TRY(take_member(&scan, key, specials));
    }
    TRY(scan_end(&scan));
fail:
    free(buffer.bytes);
    free(data);
    return result;
}
