/* Opening NVIDIA's shared libraries while a program runs: they are large, and a program that computes on the cpu starts
 * without them. */
#ifndef SPIRITLM_KERNELS_CUDA_LIBRARY_H
#define SPIRITLM_KERNELS_CUDA_LIBRARY_H

#include <stddef.h>

/* NAME.so.MAJOR, as the loader finds it, else from the toolkit that the program was built with; it stays open until the
 * program ends. NULL, and in `problem` (`bytes` of it) one line that begins with `title`, when neither can be loaded;
 * otherwise `problem` is "". */
void *library_open(const char *title, const char *name, int major, char *problem, size_t bytes);

#endif
