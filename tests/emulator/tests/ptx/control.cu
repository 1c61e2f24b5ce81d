/* Branches, guards, blocks that declare the same names, a branch table, and lines of inlined functions. control.ptx is
 * made of it by CUDA 13.0:
 *   nvcc -ptx -arch=compute_80 -lineinfo control.cu -o /dev/stdout | sed -E 's|"/.+/|"|' > control.ptx */
__device__ __forceinline__ int halved(int x)
{
    return x & 1 ? 3 * x + 1 : x / 2;
}

/* Inline assembly that is inlined twice declares its labels and its predicate twice, each time in a block of its own. */
__device__ __forceinline__ void spin(unsigned *word)
{
    asm volatile("{\n"
                 ".reg .pred seen;\n"
                 "AGAIN: setp.ne.u32 seen, %1, 0xFFU;\n"
                 "@!seen bra DONE;\n"
                 "@seen st.global.u32 [%0], 0b1010;\n"
                 "bra.uni AGAIN;\n"
                 "DONE: st.global.u32 [%0+4], 017;\n"
                 "}" ::"l"(word),
                 "r"(*word));
}

__global__ void branches(int *out, unsigned *words, int n)
{
    int steps = 0;
    for (int x = n; x != 1; x = halved(x))
        steps++;
    spin(words);
    spin(words + 2);
    asm volatile("{\n"
                 "targets: .branchtargets ZERO, ONE, ZERO;\n"
                 "brx.idx %1, targets;\n"
                 "ZERO: st.global.s32 [%0+-8], -5;\n"
                 "ONE: st.global.s32 [%0], (2 + 3) * -4;\n"
                 "}" ::"l"(out),
                 "r"(n));
    out[1] = steps;
}

__global__ void __launch_bounds__(64) votes(unsigned *out, float x)
{
    unsigned lanes = __ballot_sync(0xffffffffu, x > 1.0f);
    float other = __shfl_up_sync(lanes, x, 3);
    int same;
    lanes += __match_all_sync(0xffffffffu, (int)lanes, &same);
    asm volatile("{ .reg .pred p, q; setp.lt.and.f32 p|q, %1, 0f3F800000, !p; @q st.global.f32 [%0], 2.5; }" ::"l"(out),
                 "f"(other));
    out[threadIdx.x] = lanes + (unsigned)same;
}
