/* Who may write in a folder: a lock that the kernel holds on a file there, so that it ends with its holder, however that
 * ends. (A file that merely exists would have to be removed by hand after a crash.)
 *
 * The lock is fcntl's for an open file description (F_OFD_SETLK): the kernel's own on a local disk, the server's on NFS
 * and Lustre, where it also keeps out programs on other hosts. It is not passed on to a program that is started, nor kept
 * by a process that is forked. It is taken without waiting in the kernel, since such a wait cannot be ended on some
 * network file systems.
 *
 * The file is hidden (".NAME.lock"), so no MANIFEST lists it and none counts it as damage. It is removed when the lock is
 * released; one that a killed process left is nobody's, and the next taker uses it. Whoever has locked a file looks
 * whether that file still has its name; if it was removed or replaced in between, the lock is taken anew.
 *
 * In the file each holder has a line of JSON: host, pid, program, command, time, and the purpose. It is for messages,
 * and for holders who share a lock to see that they have the same purpose; nothing else depends on it. */
#ifndef SPIRITLM_IO_LOCK_H
#define SPIRITLM_IO_LOCK_H

#include "core/status.h"

#include <stdbool.h>

/* The configuration's files.locks. Without locks nothing is locked and no file is made. */
enum lock_policy { LOCKS_REQUIRED, LOCKS_NONE };

/* What to do while somebody else holds the lock. */
enum lock_patience {
    LOCK_REFUSE, /* STATUS_USAGE with a text that names the holder */
    LOCK_TRY,    /* STATUS_OK, and *lock is NULL */
    LOCK_WAIT    /* say so once, and wait; a holder who has another purpose is refused all the same */
};

struct lock_request {
    const char *folder;  /* in which the file is; it is made with its parents where there is none */
    const char *file;    /* ".train.lock" */
    const char *what;    /* that is locked, for messages: "runs/demo" */
    const char *advice;  /* what to do instead, for messages: "name another train.run" */
    const char *purpose; /* holders who share must have the same, and nobody waits for another; NULL: any will do */
    enum lock_policy policy;
    enum lock_patience patience;
    bool shared; /* with others who ask for the same; REFUSE for all who do not */
};

struct file_lock; /* a lock that is held; it belongs to the thread that uses it */

/* *lock is NULL on failure, with LOCK_TRY when somebody else holds it, and with LOCKS_NONE, which always succeeds. Where
 * the file system has no locks: STATUS_USAGE with the key that allows to go without. Other failures are STATUS_IO. */
enum status lock_acquire(const struct lock_request *request, struct file_lock **lock);

/* Whether the file still has its name, in the folder that still has its: a folder that was renamed takes its lock along,
 * and somebody else may have locked what now has the old name. Where only the file was removed, it is made and locked
 * again. STATUS_IO: the lock is lost, and nothing more may be written. NULL is fine. */
enum status lock_confirm(struct file_lock *lock);

/* Removes the file, unless others share the lock, and the folders that were made for it if they are empty. NULL is fine. */
void lock_release(struct file_lock *lock);

/* Removes the lock's file if nobody holds it: what a killed process left; with NULL all ".NAME.lock" of a folder that is
 * this toolkit's own. Whatever cannot be removed stays. */
void lock_remove_abandoned(const char *folder, const char *file);

#endif
