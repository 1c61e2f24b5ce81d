/* What a profiler does with NVTX, in small: put into a process by NVTX_INJECTION64_PATH, it writes "NAME" for the begin of each
 * range and "." for its end, a line each, into the file that NVTX_RECORDER_OUTPUT names. */
#include <nvtx3/nvToolsExt.h>

#include <stdio.h>
#include <stdlib.h>

static FILE *output;

static int push(const char *name)
{
    fprintf(output, "%s\n", name);
    return 0;
}

static int pop(void)
{
    fprintf(output, ".\n");
    return 0;
}

__attribute__((visibility("default"))) int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_table);
int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_table)
{
    const NvtxExportTableCallbacks *callbacks = get_table(NVTX_ETID_CALLBACKS);
    const char *path = getenv("NVTX_RECORDER_OUTPUT");
    NvtxFunctionTable table = NULL;
    unsigned int size = 0;
    output = path ? fopen(path, "w") : NULL;
    if (!output || !callbacks || !callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &table, &size) ||
        size <= NVTX_CBID_CORE_RangePop)
        return 0;
    *table[NVTX_CBID_CORE_RangePushA] = (NvtxFunctionPointer)push;
    *table[NVTX_CBID_CORE_RangePop] = (NvtxFunctionPointer)pop;
    return 1;
}
