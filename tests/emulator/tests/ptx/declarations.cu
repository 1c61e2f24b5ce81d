/* What a module and a kernel declare: tables in constant and global memory, a struct by value, launch bounds, shared and
 * local arrays. declarations.ptx is made of it by CUDA 13.0:
 *   nvcc -ptx -arch=compute_80 -lineinfo declarations.cu -o /dev/stdout | sed -E 's|"/.+/|"|' > declarations.ptx */
__constant__ float table[4] = {1.5f, 2.0f, -3.25f, 0.0f};
__constant__ double wide_table[2] = {1.0, -2.5};
__device__ int counter = 7;
__device__ short shorts[3] = {1, -2, 3};
__device__ float *pointer;
__device__ float scalar = 0.5f;

struct settings {
    int count;
    short margins[3];
    double rate;
    const float *bias;
};

extern __shared__ char dynamic_bytes[];

__global__ void __launch_bounds__(256, 2) uses_tables(float *out, const float *in, char flag, struct settings s)
{
    __shared__ float tile[33][32];
    __shared__ double sums[8];
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    tile[threadIdx.x & 31][threadIdx.x >> 5] = in[i] * table[i & 3] + (float)wide_table[i & 1];
    sums[threadIdx.x & 7] = s.rate;
    __syncthreads();
    pointer = out;
    out[i] = tile[threadIdx.x >> 5][threadIdx.x & 31] + (float)sums[i & 7] + s.bias[s.count] + (float)shorts[i % 3] +
             (float)dynamic_bytes[i] + scalar + (float)flag;
    atomicAdd(&counter, 1);
}

__global__ void uses_local_memory(int *out, int n)
{
    int values[16];
    for (int i = 0; i < 16; i++)
        values[(i * n) & 15] = i;
    out[threadIdx.x] = values[n & 15];
}

__global__ void does_nothing()
{
}
