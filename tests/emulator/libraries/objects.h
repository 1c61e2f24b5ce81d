/* What lies behind the opaque handles of the emulated libraries. Every live object is in one list, so that a handle that was
 * never created, was destroyed or is of another kind is seen, where the real library would read whatever lies there. Callers
 * hold the runtime's lock (runtime_enter). */
#ifndef SPIRITLM_EMULATOR_OBJECTS_H
#define SPIRITLM_EMULATOR_OBJECTS_H

#include "emulator/runtime/runtime.h"

/* A kind of object, by its address: what reports call it, and its size with the header below in front. */
struct object_kind {
    const char *name;
    size_t size;
};

struct object {
    struct object *next;
    const struct object_kind *kind;
    struct device *device; /* the current one when it was created */
};

/* A zeroed object of the current device. Ends the program when the host has no memory. */
void *object_create(const struct object_kind *kind);

/* The live object of this kind behind a handle, or NULL. */
void *object_find(const void *handle, const struct object_kind *kind);

/* A live object leaves the list and is freed. */
void object_destroy(void *object);

/* Reports a wrong argument of a call. */
void library_report(const char *call, const char *format, va_list arguments);

#endif
