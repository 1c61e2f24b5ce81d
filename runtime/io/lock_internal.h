/* What holders of a lock write into its file; shared by the files of io/lock.h. */
#ifndef SPIRITLM_IO_LOCK_INTERNAL_H
#define SPIRITLM_IO_LOCK_INTERNAL_H

#include <stdbool.h>

/* This process's line, with its newline, allocated; NULL: out of memory. */
char *lock_holder_line(const char *purpose);

enum { LOCK_HOLDER_TEXT = 512 };

enum lock_holder {
    LOCK_HOLDER_UNKNOWN, /* no line, or only of processes that have ended: the holder is about to write its own */
    LOCK_HOLDER_FITS,    /* its purpose is this one, or `purpose` is NULL */
    LOCK_HOLDER_DIFFERS
};

/* What the file says of who holds the lock. `text` names it: "train (process 12 on host, since TIME): COMMAND". With
 * `shared` the purpose of processes that have ended counts too. */
enum lock_holder lock_holder_read(int descriptor, const char *purpose, bool shared, char text[LOCK_HOLDER_TEXT]);

#endif
