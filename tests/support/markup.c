/* A reader of XML that knows just enough to refuse what is not well-formed: elements, attributes, text and entities. What
 * pages have no use for (comments, CDATA, processing instructions) counts as wrong. */
#include "support/markup.h"

#include "support/test_support.h"

#include "core/utf8.h"

#include <stdio.h>
#include <string.h>

enum { DEPTH = 64, NAME = 32 };

static void refuse(const char *page, const char *at, const char *what)
{
    fail_msg("markup, byte %ld: %s: %.60s", (long)(at - page), what, at);
}

static size_t name_length(const char *at)
{
    return strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:");
}

/* Text to one of the characters `end`; returns where that is. */
static const char *check_text(const char *page, const char *at, const char *end)
{
    static const char *const entities[] = {"&lt;", "&gt;", "&amp;", "&quot;", "&apos;"};
    while (*at && !strchr(end, *at)) {
        size_t size = utf8_character(at, SIZE_MAX);
        if (size == 0 || ((unsigned char)*at < 32 && !strchr("\n\t\r", *at)) || *at == '<')
            refuse(page, at, "a character that must not be here");
        bool known = *at != '&';
        for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
            known = known || strncmp(at, entities[i], strlen(entities[i])) == 0;
        if (!known)
            refuse(page, at, "an ampersand that begins no entity");
        at += size;
    }
    return at;
}

static const char *check_attributes(const char *page, const char *at)
{
    const char *begin = at;
    while (*at && *at != '>' && strncmp(at, "/>", 2) != 0) {
        size_t space = strspn(at, " \n"), length = name_length(at + space);
        at += space;
        if (*at == '>' || *at == '/')
            continue;
        if (space == 0 || length == 0 || at[length] != '=' || at[length + 1] != '"')
            refuse(page, at, "expected NAME=\"VALUE\"");
        char name[2 * NAME];
        snprintf(name, sizeof name, " %.*s=\"", (int)length, at);
        const char *earlier = strstr(begin, name);
        if (earlier && earlier + 1 < at)
            refuse(page, at, "an attribute that the element has already");
        at = check_text(page, at + length + 2, "\"");
        if (*at)
            at++;
    }
    return at;
}

void markup_assert_well_formed(const char *page)
{
    char open[DEPTH][NAME];
    int depth = 0, roots = 0;
    const char *at = page;
    if (strncmp(at, "<!DOCTYPE html>", 15) == 0)
        at += 15;
    while (*at) {
        const char *text = at;
        at = check_text(page, at, "<");
        if (depth == 0 && text + strspn(text, " \n") != at)
            refuse(page, text, "text outside the page");
        if (!*at)
            break;
        bool closing = at[1] == '/';
        at += closing ? 2 : 1;
        size_t length = name_length(at);
        if (length == 0 || length >= NAME || depth == DEPTH)
            refuse(page, at, "expected the name of an element");
        if (closing) {
            if (depth == 0 || strlen(open[depth - 1]) != length || strncmp(open[depth - 1], at, length) != 0)
                refuse(page, at, "the end of an element that was not begun here");
            depth--;
            at += length;
        } else {
            snprintf(open[depth++], NAME, "%.*s", (int)length, at);
            roots += depth == 1;
            at = check_attributes(page, at + length);
            if (*at == '/') {
                at++;
                depth--;
            }
        }
        if (*at++ != '>')
            refuse(page, at - 1, "expected >");
    }
    if (depth != 0 || roots != 1)
        fail_msg("markup: %d elements are not ended, %d are outermost", depth, roots);
}

bool markup_next(const char **at, const char *name, char *attributes)
{
    size_t length = strlen(name);
    for (const char *tag = *at; (tag = strchr(tag, '<')); tag++) {
        if (strncmp(tag + 1, name, length) != 0 || !strchr(" />", tag[1 + length]))
            continue;
        const char *begin = tag + 1 + length;
        size_t size = strcspn(begin, ">");
        assert_true(size < 65536);
        memcpy(attributes, begin, size);
        attributes[size] = 0;
        *at = begin + size + 1;
        return true;
    }
    return false;
}

bool markup_attribute(const char *attributes, const char *name, char *value)
{
    char begin[2 * NAME];
    snprintf(begin, sizeof begin, " %s=\"", name);
    const char *found = strstr(attributes, begin);
    if (!found)
        return false;
    found += strlen(begin);
    size_t size = strcspn(found, "\"");
    memcpy(value, found, size);
    value[size] = 0;
    return true;
}
