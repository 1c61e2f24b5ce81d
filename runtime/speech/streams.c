/* The names of the streams, in one place because files and unit strings must never disagree on them. */
#include "speech/streams.h"

const char *unit_stream_name(enum unit_stream stream)
{
    static const char *const names[STREAM_COUNT] = {"hubert", "pitch", "style"};
    return names[stream];
}

const char *unit_stream_prefix(enum unit_stream stream)
{
    static const char *const prefixes[STREAM_COUNT] = {"Hu", "Pi", "St"};
    return prefixes[stream];
}
