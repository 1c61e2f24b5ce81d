/* Pages that the toolkit writes, looked at by a small reader of its own: whether they are well-formed XML, and what is in
 * them. */
#ifndef SPIRITLM_TESTS_MARKUP_H
#define SPIRITLM_TESTS_MARKUP_H

#include <stdbool.h>

/* Fails the test unless tags are balanced, attributes quoted and named once, only the five entities of XML are used, and
 * all characters are allowed in XML. (A DOCTYPE may begin the page.) */
void markup_assert_well_formed(const char *page);

/* The next element `name` at or after *at, whose attribute text is copied to `attributes` (room: 64 KiB); *at moves behind
 * its tag. False: there is none. */
bool markup_next(const char **at, const char *name, char *attributes);

/* The value of an attribute, copied to `value` (room: 64 KiB). False: it is not there. */
bool markup_attribute(const char *attributes, const char *name, char *value);

#endif
