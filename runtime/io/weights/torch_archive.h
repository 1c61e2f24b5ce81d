/* Files that torch.save wrote: pytorch_model.bin, consolidated.00.pth, fairseq's .pt. Both formats are read, the zip file
 * and the stream of PyTorch before 1.6. So is what pickle.dump and joblib.dump write without compression, scikit-learn's models
 * of k-means for one: a pickle, with joblib the bytes of numpy's arrays in it (joblib/numpy_pickle.py). The file is mapped, and a tensor's data point into it, so that a file may be larger
 * than memory. Nothing in a file is ever executed: see io/weights/pickle.h. What opening a file takes besides the map is
 * limited (TORCH_VALUES_LIMIT and 25 MiB for the zip directory), whatever the file says. */
#ifndef SPIRITLM_IO_WEIGHTS_TORCH_ARCHIVE_H
#define SPIRITLM_IO_WEIGHTS_TORCH_ARCHIVE_H

#include "core/status.h"
#include "io/weights/torch_value.h"

enum { TORCH_VALUES_LIMIT = 32 << 20, TORCH_HEAD_BYTES = 24 };

struct torch_archive;

/* Whether a file with these first bytes (TORCH_HEAD_BYTES, or all of a shorter file) is such a file. */
bool torch_archive_begins(const unsigned char *head, int64_t size);

/* STATUS_CORRUPT with the file and the reason for anything that is not well-formed, names a function for attacks, or asks
 * for too much. Records of a zip file below 1 MiB must have their CRC. The file must not shrink while it is open. */
enum status torch_archive_open(const char *path, struct torch_archive **archive);
void torch_archive_close(struct torch_archive *archive);

enum torch_form { TORCH_FORM_ZIP, TORCH_FORM_STREAM, TORCH_FORM_PICKLE };
enum torch_form torch_archive_form(const struct torch_archive *archive);

/* The whole value that was saved, often a dict. Names of tensors in it are one of those below. */
const struct torch_value *torch_archive_root(const struct torch_archive *archive);

/* All tensors in order of their names: the keys and numbers that lead to them, joined by dots ("model.layers.0.weight").
 * A tensor that is saved in two places has two names. A file with two tensors of one name is refused. Keys that are neither
 * texts nor integers are named by their place in their dict, "[3]"; the name of a tensor that is saved alone is "". */
int64_t torch_archive_count(const struct torch_archive *archive);
const struct stored_tensor *torch_archive_tensor(const struct torch_archive *archive, int64_t index);
const struct stored_tensor *torch_archive_find(const struct torch_archive *archive, const char *name); /* NULL: none */

/* The classes and functions that the file names, in order. */
int64_t torch_archive_class_count(const struct torch_archive *archive);
const char *torch_archive_class(const struct torch_archive *archive, int64_t index);

/* Reads the whole file and compares the CRC of every record of a zip file; a stream has none. */
enum status torch_archive_verify(const struct torch_archive *archive);

#endif
