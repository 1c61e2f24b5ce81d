/* Objects of the emulated libraries, and the reports of their wrong arguments (objects.h). */
#include "emulator/libraries/objects.h"

#include <stdio.h>
#include <stdlib.h>

static struct object *objects;

void *object_create(const struct object_kind *kind)
{
    struct object *object = calloc(1, kind->size);
    if (!object)
        runtime_fatal("no host memory for a %s", kind->name);
    object->kind = kind;
    object->device = device_current();
    object->next = objects;
    objects = object;
    return object;
}

void *object_find(const void *handle, const struct object_kind *kind)
{
    for (struct object *object = objects; object; object = object->next)
        if (object == handle && object->kind == kind)
            return object;
    return NULL;
}

void object_destroy(void *object)
{
    struct object **link = &objects;
    while (*link != object)
        link = &(*link)->next;
    *link = (*link)->next;
    free(object);
}

void library_report(const char *call, const char *format, va_list arguments)
{
    char text[200];
    vsnprintf(text, sizeof text, format, arguments);
    runtime_report(device_current(), CHECK_HOST, call, 0, "%s: %s", call, text);
}
