/* Programs run under durability/fault_shim.c, which makes one of their file operations fail, and the order in which
 * they carried out these operations. */
#ifndef SPIRITLM_TESTS_FAULTS_H
#define SPIRITLM_TESTS_FAULTS_H

#include <stdbool.h>

/* The settings of the shim; its source says what each means. NULL and 0: not set. */
struct fault {
    const char *root, *trace, *kind, *swallow, *swallow_at, *exchange, *locks;
    long call;
};

/* The environment variables for the shim, NULL-terminated; valid until the next call. */
const char *const *fault_variables(const struct fault *fault);

/* The number of the last call in a trace; 0 when there is none. */
long fault_trace_calls(const char *trace);

/* The number of the first call of that kind whose path contains `part`; 0: none. */
long fault_trace_find(const char *trace, const char *what, const char *part);

/* Checks the operations against the protocol, with a power failure in mind:
 *   - what has a final name was fsync'd after its last write, its folders were fsync'd after their last change, and
 *     MANIFEST was begun after all other files were durable;
 *   - "saved" is reported when every file, and every folder in which a name appeared, has been fsync'd;
 *   - nothing old is withdrawn or removed before the new one's name is durable, nor removed before its withdrawal is
 *     durable; nothing is removed piece by piece under its final name;
 *   - with `ended`: at the end nothing is left to fsync.
 * NULL: the protocol was kept; otherwise the first breach, valid until the next call. */
const char *fault_trace_breach(const char *trace, bool ended);

/* Whether the program's output reports exactly one failure: the last line, and no other, begins with "error: ". */
bool fault_is_told(const char *output);

#endif
