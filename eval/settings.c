/* Options that a configuration names go before those of the protocol. */
#include "eval/settings.h"

#include <string.h>

/* *member = choice - 1 unless the choice is "protocol". */
#define TAKE(member, type)                                                                                             \
    if (settings->member > 0)                                                                                          \
    protocol->member = (type)(settings->member - 1)

enum status score_protocol(const struct score_settings *settings, enum score_scope natural,
                           struct score_protocol *protocol)
{
    const char *name = protocol_name(settings->protocol);
    if (!name || !protocol_find(name, protocol))
        return status_set(STATUS_INTERNAL, "there is no protocol of number %d", settings->protocol);
    /* The paper compares inputs whole within a modality, and a hypothesis given its context across them. */
    if (!strcmp(name, "spiritlm"))
        protocol->scope = natural;
    TAKE(normalize, enum score_normalize);
    TAKE(scope, enum score_scope);
    TAKE(count, enum score_count);
    TAKE(mask, enum score_mask);
    TAKE(tag, enum score_tag);
    TAKE(tie, enum score_tie);
    TAKE(bos, bool);
    TAKE(eos, bool);
    return STATUS_OK;
}
