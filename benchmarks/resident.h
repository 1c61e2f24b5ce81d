/* Resident memory of this process as Linux counts it. */
#ifndef SPIRITLM_BENCHMARKS_RESIDENT_H
#define SPIRITLM_BENCHMARKS_RESIDENT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* VmHWM, the largest it ever was, in bytes. */
static inline double resident_peak(void)
{
    char line[256];
    double kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kilobytes = strtod(line + 6, NULL);
    if (file)
        fclose(file);
    return 1024 * kilobytes;
}

#endif
