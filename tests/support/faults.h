/* Programs run under durability/fault_shim.c, which lets one of their file operations fail, and the order in which they
 * carried these out. */
#ifndef SPIRITLM_TESTS_FAULTS_H
#define SPIRITLM_TESTS_FAULTS_H

#include <stdbool.h>

/* What the shim is told; its source says what each means. NULL and 0: not. */
struct fault {
    const char *root, *trace, *kind, *swallow, *swallow_at, *exchange;
    long call;
};

/* The environment for it, NULL-terminated; valid until the next call. */
const char *const *fault_variables(const struct fault *fault);

/* The number of the last call in a trace; 0 when there is none. */
long fault_trace_calls(const char *trace);

/* The number of the first call of that kind whose path contains `part`; 0: none. */
long fault_trace_find(const char *trace, const char *what, const char *part);

/* Checks what was carried out against the protocol, with a power failure in mind:
 *   - under a final name only what was fsync'd after its last write, in folders fsync'd after their last change,
 * MANIFEST begun after all other files were durable;
 *   - "saved" is said when every file is fsync'd, and every folder in which a name appeared;
 *   - nothing old is withdrawn or removed while the new one's name is not durable, nor removed before its withdrawal
 * is; nothing is removed piece by piece under its final name;
 *   - `ended`: at the end nothing is left to fsync.
 * NULL: all kept; else the first breach, valid until the next call. */
const char *fault_trace_breach(const char *trace, bool ended);

/* Whether the program's output is one failure told well: the last line, and no other, begins with "error: ". */
bool fault_is_told(const char *output);

#endif
