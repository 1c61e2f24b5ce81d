/* What the files of the reader of PyTorch's files share. */
#ifndef SPIRITLM_IO_WEIGHTS_TORCH_INTERNAL_H
#define SPIRITLM_IO_WEIGHTS_TORCH_INTERNAL_H

#include "io/mapped_file.h"
#include "io/weights/torch_archive.h"
#include "io/weights/torch_objects.h"
#include "io/weights/zip_archive.h"

struct torch_archive {
    struct mapped_file file;
    enum torch_form form;
    struct zip_archive zip;
    struct pickle_memory memory;
    struct torch_objects objects;
    struct torch_value root;
    struct stored_tensor *tensors; /* in order of names */
    int64_t count;
};

/* The stream format (torch_stream.c). */
bool torch_stream_begins(const unsigned char *head, int64_t size);
enum status torch_stream_read(struct torch_archive *archive);

/* Fills `tensors` and `count` from the finished root (torch_names.c). */
enum status torch_names_list(struct torch_archive *archive);

#endif
