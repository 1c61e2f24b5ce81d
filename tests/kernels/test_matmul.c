/* matmul: small integers exactly, normal numbers against double, strides with gaps, batches, few rows, biases, threads. */
#include "kernels/cpu/blas_library.h"
#include "support/kernel_harness.h"
#include "support/reference_kernels.h"

#include <math.h>
#include <stdlib.h>

struct shape {
    int64_t m, n, k, batch;
};

/* One product with everything around it. */
struct problem {
    struct shape shape;
    bool a_transposed, b_transposed;
    enum dtype type, c_type;
    float alpha, beta;
    bool addend, bias;
    int64_t gap; /* unused columns after each row of A, B and C */
    int64_t a_columns, b_columns, a_rows, b_rows;
    struct tensor a, b, c, add, row; /* row: the bias */
    double *expected;
};

static struct matmul describe(struct problem *q, struct tensor *c)
{
    return (struct matmul){
        .m = q->shape.m,
        .n = q->shape.n,
        .k = q->shape.k,
        .batch = q->shape.batch,
        .a = tensor_device(&q->a),
        .b = tensor_device(&q->b),
        .c = tensor_device(c),
        .addend = q->addend ? tensor_device(&q->add) : NULL,
        .bias = q->bias ? tensor_device(&q->row) : NULL,
        .a_type = q->type,
        .b_type = q->type,
        .c_type = q->c_type,
        .a_row_stride = q->a_columns + q->gap,
        .b_row_stride = q->b_columns + q->gap,
        .c_row_stride = q->shape.n + q->gap,
        .a_batch_stride = q->a_rows * (q->a_columns + q->gap),
        .b_batch_stride = q->b_rows * (q->b_columns + q->gap),
        .c_batch_stride = q->shape.m * (q->shape.n + q->gap),
        .a_transposed = q->a_transposed,
        .b_transposed = q->b_transposed,
        .alpha = q->alpha,
        .beta = q->beta,
    };
}

static struct tensor operand(struct rng *rng, enum dtype type, int64_t rows, int64_t columns, int64_t gap,
                             bool integers, double in_gap)
{
    int64_t count = rows * (columns + gap);
    struct tensor tensor = integers ? tensor_integers(rng, type, count, 4) : tensor_normal(rng, type, count, 1);
    tensor_fill_gaps(&tensor, columns, columns + gap, in_gap);
    return tensor;
}

static void expect(struct problem *q)
{
    struct shape s = q->shape;
    int64_t a_stride = q->a_columns + q->gap, b_stride = q->b_columns + q->gap, c_stride = s.n + q->gap;
    q->expected = doubles(q->c.count);
    for (int64_t t = 0; t < s.batch; t++)
        reference_matmul(s.m, s.n, s.k, q->a.values + t * q->a_rows * a_stride, a_stride, q->a_transposed,
                         q->b.values + t * q->b_rows * b_stride, b_stride, q->b_transposed,
                         q->expected + t * s.m * c_stride, c_stride);
    for (int64_t i = 0; i < q->c.count; i++) {
        if (i % c_stride >= s.n) {
            q->expected[i] = 7;
            continue;
        }
        q->expected[i] = (double)q->alpha * q->expected[i] + (q->beta != 0 ? q->c.values[i] : 0) +
                         (q->addend ? q->add.values[i] : 0) + (q->bias ? q->row.values[i % c_stride] : 0);
    }
}

static struct problem make_problem(struct rng *rng, struct shape shape, int options, enum dtype type, enum dtype c_type,
                                   bool integers)
{
    struct problem q = {.shape = shape,
                        .a_transposed = options & 1,
                        .b_transposed = options & 2,
                        .beta = options & 4 ? 1.0f : 0.0f,
                        .addend = options & 8,
                        .gap = options & 16 ? 5 : 0,
                        .alpha = options & 32 ? -2.0f : 1.0f,
                        .bias = options & 64,
                        .type = type,
                        .c_type = c_type};
    q.a_rows = q.a_transposed ? shape.k : shape.m;
    q.a_columns = q.a_transposed ? shape.m : shape.k;
    q.b_rows = q.b_transposed ? shape.n : shape.k;
    q.b_columns = q.b_transposed ? shape.k : shape.n;
    q.a = operand(rng, type, q.a_rows * shape.batch, q.a_columns, q.gap, integers, NAN);
    q.b = operand(rng, type, q.b_rows * shape.batch, q.b_columns, q.gap, integers, NAN);
    q.c = operand(rng, c_type, shape.m * shape.batch, shape.n, q.gap, integers, 7);
    q.add = operand(rng, c_type, shape.m * shape.batch, shape.n, q.gap, integers, 7);
    q.row = operand(rng, c_type, 1, shape.n, 0, integers, 0);
    if (!(options & 4)) /* beta 0 must not read C */
        for (int64_t i = 0; i < q.c.count; i++)
            if (i % (shape.n + q.gap) < shape.n)
                tensor_set(&q.c, i, NAN);
    expect(&q);
    return q;
}

static void free_problem(struct problem *q)
{
    tensor_free(&q->a);
    tensor_free(&q->b);
    tensor_free(&q->c);
    tensor_free(&q->add);
    tensor_free(&q->row);
    free(q->expected);
}

static enum cpu_engine engine; /* what the tests run */

/* Only the cpu has engines: what has none runs the first round alone. */
static void skip_other_engines(void)
{
    if (engine != CPU_ENGINE_BLOCKED && !test_kernels_cpu())
        skip();
    if (engine == CPU_ENGINE_BLAS && !blas_library())
        skip(); /* a machine that has only CUDA */
}

/* Runs at 1, 2 and 3 threads, twice at 2; all must agree to the bit, gaps must survive. */
static struct tensor run(struct problem *q)
{
    struct tensor first = {0};
    const int threads[] = {1, 2, 3, 2};
    for (int i = 0; i < test_repeats(4); i++) {
        struct tensor c = tensor_copy(&q->c);
        struct matmul p = describe(q, &c);
        const struct device_context *context = test_context(threads[i], test_kernels()->matmul_scratch_size(&p));
        test_set_engine(context, engine);
        assert_ok(test_kernels()->matmul(context, &p));
        tensor_check_gaps("C", &c, q->shape.n, q->shape.n + q->gap, 7);
        if (i == 0) {
            first = c;
        } else {
            assert_same_bits("matmul with other threads", &first, &c);
            tensor_free(&c);
        }
    }
    return first;
}

static const struct shape shapes[] = {{1, 1, 1, 1},
                                      {1, 257, 113, 2},
                                      {3, 31, 257, 1},
                                      {16, 65, 1030, 1},
                                      {17, 64, 31, 3},
                                      {31, 3, 129, 2},
                                      {113, 257, 31, 1},
                                      {129, 130, 513, 1},
                                      {257, 1, 3, 1},
                                      {5, 70, 1, 1},
                                      {64, 128, 8, 2},
                                      {70, 40, 2500, 1},
                                      {500, 300, 40, 1},
                                      /* few rows with B transposed: matmul_few.c's blocks, tails and pairs */
                                      {1, 600, 48, 1},
                                      {2, 100, 40, 1},
                                      {4, 33, 17, 1},
                                      {7, 515, 64, 1},
                                      {1, 39, 15, 1},
                                      /* on CUDA: wide blocks of columns, k in pieces, both with whole words */
                                      {9, 2056, 96, 1},
                                      {2, 40, 2304, 2}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const enum dtype types[][2] = {{DTYPE_F32, DTYPE_F32}, {DTYPE_BF16, DTYPE_BF16}, {DTYPE_BF16, DTYPE_F32}};

/* Sums of products of integers are exact in f32, so every order gives the same; bf16 rounds once at the end. */
static void integers_are_exact(void **state)
{
    (void)state;
    skip_other_engines();
    struct rng rng = test_rng(1);
    for (int s = 0; s < SHAPES; s++)
        for (int64_t options = test_count(0, s % 19); options < 128;
             options += test_count(engine == CPU_ENGINE_BLOCKED ? 5 : 13, 19)) {
            const enum dtype *type = types[(s + options) % 3];
            struct problem q = make_problem(&rng, shapes[s], (int)options, type[0], type[1], true);
            struct tensor c = run(&q);
            for (int64_t i = 0; i < c.count; i++)
                q.expected[i] = round_to(c.type, q.expected[i]);
            assert_tensor("C", &c, q.expected, 0, 0);
            tensor_free(&c);
            free_problem(&q);
        }
}

static void normal_numbers_are_close(void **state)
{
    (void)state;
    skip_other_engines();
    struct rng rng = test_rng(2);
    for (int s = 0; s < SHAPES; s++)
        for (int64_t t = test_count(0, s % 5); t < 12; t += test_count(engine == CPU_ENGINE_BLOCKED ? 1 : 2, 5)) {
            const enum dtype *type = types[t % 3];
            struct problem q =
                make_problem(&rng, shapes[s], (int)(t / 3) | 16 | (t / 2 % 2 ? 64 : 0), type[0], type[1], false);
            struct tensor c = run(&q);
            /* k roundings of sums of size sqrt(k) walk to about 2.4e-8 k; the largest sum of 1e5 is 4.5 times that
             * size, and so is its rounding, which may lie 3 times above its own deviation */
            assert_tensor("C", &c, q.expected, 3.3e-7 * (4 + (double)shapes[s].k), 1.0);
            tensor_free(&c);
            free_problem(&q);
        }
}

/* One chain of k additions of normal products is off by about 2.4e-8 k (measured, as reckoned: each rounding is of a sum
 * of size sqrt(k)); chains of 128, then a chain of their sums, by a fifth of that at k = 4096. Half is the limit. */
static void long_sums_lose_little(void **state)
{
    (void)state;
    if (!test_kernels_cpu())
        skip();
    struct rng rng = test_rng(14);
    for (int options = 0; options < 4; options++) {
        struct shape shape = {37, 41, 4096, 1};
        struct problem q = make_problem(&rng, shape, options, DTYPE_F32, DTYPE_F32, false);
        struct tensor c = run(&q);
        const double *found = tensor_read(&c);
        double squares = 0;
        for (int64_t i = 0; i < c.count; i++)
            squares += (found[i] - q.expected[i]) * (found[i] - q.expected[i]);
        double error = sqrt(squares / (double)c.count);
        if (!(error <= 1.2e-8 * (double)shape.k))
            fail_msg("options %d: the error's deviation is %.2e, %.2e of k", options, error, error / (double)shape.k);
        tensor_free(&c);
        free_problem(&q);
    }
}

/* Nothing but an element's own alignment is promised: one operand after the other begins an element behind a boundary. */
static void operands_may_begin_anywhere(void **state)
{
    (void)state;
    skip_other_engines();
    enum { OPERANDS = 5 };
    struct rng rng = test_rng(7);
    for (int t = 0; t < 3 * OPERANDS * 2; t++) {
        const int which = t % OPERANDS;
        struct problem q = make_problem(&rng, (struct shape){t % 2 ? 3 : 17, 40, 24, 1},
                                        t % 4 < 2 ? 2 | 8 | 64 : 4 | 8 | 64, types[t % 3][0], types[t % 3][1], true);
        struct tensor c = tensor_copy(&q.c), *operands[OPERANDS] = {&q.a, &q.b, &q.add, &q.row, &c};
        struct tensor moved = tensor_zero(operands[which]->type, operands[which]->count + 1);
        const size_t size = dtype_size(moved.type), bytes = (size_t)operands[which]->count * size;
        struct matmul p = describe(&q, &c);
        const struct device_context *context = test_context(2, test_kernels()->matmul_scratch_size(&p));
        char *own = tensor_device(operands[which]), *there = (char *)tensor_device(&moved) + size;
        const void *places[OPERANDS] = {p.a, p.b, p.addend, p.bias, p.c};
        places[which] = there;
        p.a = places[0], p.b = places[1], p.addend = places[2], p.bias = places[3];
        p.c = which == 4 ? there : p.c;
        assert_ok(test_kernels()->copy(context, there, own, bytes));
        assert_ok(test_kernels()->matmul(context, &p));
        if (which == 4)
            assert_ok(test_kernels()->copy(context, own, there, bytes));
        for (int64_t i = 0; i < c.count; i++)
            q.expected[i] = round_to(c.type, q.expected[i]);
        assert_tensor("C", &c, q.expected, 0, 0);
        tensor_free(&moved);
        tensor_free(&c);
        free_problem(&q);
    }
}

enum {
    OF_SIZE = 13,    /* the first variation of a size, */
    OF_PLACE = 17,   /* and of what lies an element behind a boundary */
    VARIATIONS = 22, /* the last one changes nothing */
    BIAS_APART = 32  /* bytes from one bias to another */
};

static const void *behind(const void *array, enum dtype type, bool is)
{
    return (const char *)array + (is ? dtype_size(type) : 0);
}

/* What a variation changes of a product. */
static struct matmul vary(struct matmul p, int variation)
{
    int64_t *const strides[] = {&p.a_row_stride,   &p.b_row_stride,   &p.c_row_stride,
                                &p.a_batch_stride, &p.b_batch_stride, &p.c_batch_stride};
    int64_t *const sizes[] = {&p.m, &p.n, &p.k, &p.batch};
    if (variation < 6)
        *strides[variation] += variation < 3 ? 8 : 1;
    if (variation >= OF_SIZE && variation < OF_PLACE)
        ++*sizes[variation - OF_SIZE];
    p.a_transposed = variation == 6;
    p.b_transposed = p.b_transposed != (variation == 7);
    p.beta = variation == 8 ? 1 : 0;
    p.addend =
        variation == 9 || variation == OF_PLACE + 3 ? behind(p.addend, p.c_type, variation == OF_PLACE + 3) : NULL;
    p.bias = variation == 10 ? p.bias : variation == 12 ? (const char *)p.bias + BIAS_APART : NULL;
    p.alpha = variation == 11 ? 3 : 1;
    p.a = behind(p.a, p.a_type, variation == OF_PLACE);
    p.b = behind(p.b, p.b_type, variation == OF_PLACE + 1);
    p.c = (char *)p.c + (variation == OF_PLACE + 2 ? dtype_size(p.c_type) : 0);
    return p;
}

/* The tensor's values from where the product's operand begins. */
static const double *values_at(struct tensor *tensor, const void *array)
{
    return tensor->values +
           ((const char *)array - (const char *)tensor_device(tensor)) / (int64_t)dtype_size(tensor->type);
}

static void check_variation(const struct matmul *p, struct tensor *a, struct tensor *b, const struct tensor *before,
                            struct tensor *add, struct tensor *c)
{
    double *product = doubles(p->m * p->n);
    tensor_read(c);
    const double *found = values_at(c, p->c), *x = values_at(a, p->a), *y = values_at(b, p->b);
    const double *addend = p->addend ? values_at(add, p->addend) : NULL,
                 *bias = p->bias ? values_at(add, p->bias) : NULL;
    for (int64_t t = 0; t < p->batch; t++) {
        reference_matmul(p->m, p->n, p->k, x + t * p->a_batch_stride, p->a_row_stride, p->a_transposed,
                         y + t * p->b_batch_stride, p->b_row_stride, p->b_transposed, product, p->n);
        for (int64_t i = 0; i < p->m * p->n; i++) {
            const int64_t at = t * p->c_batch_stride + i / p->n * p->c_row_stride + i % p->n;
            const double value = (double)p->alpha * product[i] + (p->beta != 0 ? before->values[at] : 0) +
                                 (addend ? addend[at] : 0) + (bias ? bias[i % p->n] : 0);
            if (!(found[at] == round_to(c->type, value)))
                fail_msg("element %lld of product %lld is %g, expected %g", (long long)i, (long long)t, found[at],
                         value);
        }
    }
    free(product);
}

/* Products that differ in one thing alone follow each other: whatever is kept from one to the next has to tell them apart. */
static void check_like_products(struct rng *rng, const enum dtype *type, int64_t m, bool b_transposed)
{
    enum { STRIDE = 24, MATRIX = 24 * 32, COUNT = 3 * MATRIX + 24 };
    struct tensor a = tensor_integers(rng, type[0], COUNT, 4), b = tensor_integers(rng, type[0], COUNT, 4);
    struct tensor before = tensor_integers(rng, type[1], COUNT, 4), add = tensor_integers(rng, type[1], COUNT, 4);
    for (int variation = 0; variation <= VARIATIONS; variation++) {
        struct tensor c = tensor_copy(&before);
        const struct matmul base = {.m = m,
                                    .n = 19,
                                    .k = 20,
                                    .batch = 2,
                                    .a = tensor_device(&a),
                                    .b = tensor_device(&b),
                                    .c = tensor_device(&c),
                                    .addend = tensor_device(&add),
                                    .bias = tensor_device(&add),
                                    .a_type = type[0],
                                    .b_type = type[0],
                                    .c_type = type[1],
                                    .a_row_stride = STRIDE,
                                    .b_row_stride = STRIDE,
                                    .c_row_stride = STRIDE,
                                    .a_batch_stride = MATRIX,
                                    .b_batch_stride = MATRIX,
                                    .c_batch_stride = MATRIX,
                                    .b_transposed = b_transposed};
        const struct matmul p =
            vary(base, (variation + VARIATIONS - 1) % VARIATIONS); /* as it is comes first and last */
        const struct device_context *context = test_context(2, test_kernels()->matmul_scratch_size(&p));
        test_set_engine(context, engine);
        assert_ok(test_kernels()->matmul(context, &p));
        check_variation(&p, &a, &b, &before, &add, &c);
        tensor_free(&c);
    }
    struct tensor *all[] = {&a, &b, &before, &add};
    for (int i = 0; i < 4; i++)
        tensor_free(all[i]);
}

static void like_products_are_told_apart(void **state)
{
    (void)state;
    skip_other_engines();
    struct rng rng = test_rng(8);
    for (int t = 0; t < 12; t++)
        check_like_products(&rng, types[t % 3], t < 6 ? 18 : 3, t / 3 % 2);
}

/* A row of a product has the bits it has among others: of at most 16 rows with any engine, of more with our own. */
static void check_stable_rows(int64_t least, int64_t most, int64_t n, int64_t k)
{
    struct rng rng = test_rng(3);
    for (int t = 0; t < 6; t++) {
        const enum dtype *type = types[t % 3];
        struct problem q = make_problem(&rng, (struct shape){most, n, k, 1}, (t >= 3 ? 2 : 0) | (t % 2 ? 64 : 0),
                                        type[0], type[1], false);
        struct tensor all = run(&q);
        for (int64_t m = least; m < most; m += m < 24 ? test_count(1, 4) : 97) {
            struct tensor c = tensor_make(q.c_type, m * n);
            struct matmul p = describe(&q, &c);
            p.m = m;
            int64_t first = most - m; /* other rows beside it, at other places */
            p.a = (const char *)p.a + (size_t)(first * p.a_row_stride) * dtype_size(q.type);
            const struct device_context *context = test_context(2, test_kernels()->matmul_scratch_size(&p));
            test_set_engine(context, engine);
            assert_ok(test_kernels()->matmul(context, &p));
            size_t skip = (size_t)(first * n) * dtype_size(q.c_type);
            assert_memory_equal(tensor_host(&c), (const char *)tensor_host(&all) + skip,
                                (size_t)c.count * dtype_size(q.c_type));
            tensor_free(&c);
        }
        tensor_free(&all);
        free_problem(&q);
    }
}

static void rows_are_stable(void **state)
{
    (void)state;
    skip_other_engines();
    check_stable_rows(1, 16, 131, 699);
    if (engine != CPU_ENGINE_BLOCKED)
        return;
    check_stable_rows(1, 16, 2064, 72); /* on CUDA: wide blocks, whole words, */
    check_stable_rows(1, 16, 24, 2056); /* k in pieces */
    if (test_kernels_cpu())
        check_stable_rows(17, 500, 131, 699);
}

/* One row against weights of a layer: they are read once, and beside them little is moved. */
static void weights_are_read_once(void **state)
{
    (void)state;
    if (!test_cuda_emulated())
        skip();
    struct rng rng = test_rng(6);
    for (int t = 0; t < 3; t++) {
        const struct shape shape = {1, 4096, 512, 1};
        struct problem q = make_problem(&rng, shape, 2, types[t][0], types[t][1], false);
        struct tensor c = tensor_copy(&q.c);
        const struct matmul p = describe(&q, &c);
        const struct device_context *context = test_context(1, test_kernels()->matmul_scratch_size(&p));
        test_traffic_begin();
        assert_ok(test_kernels()->matmul(context, &p));
        assert_traffic("matmul of one row", (double)(shape.n * shape.k) * (double)dtype_size(q.type), 1.05);
        tensor_free(&c);
        free_problem(&q);
    }
}

static void nan_is_not_hidden(void **state)
{
    (void)state;
    skip_other_engines();
    struct rng rng = test_rng(4);
    const struct shape both[] = {{7, 70, 33, 1}, {140, 150, 600, 1}};
    for (int s = 0; s < 2; s++)
        for (int options = 0; options < 4; options++)
            for (int t = 0; t < 3; t++) {
                struct problem q = make_problem(&rng, both[s], options, types[t][0], types[t][1], false);
                int64_t row = 5, depth = q.shape.k - 1;
                tensor_set(&q.a, q.a_transposed ? depth * q.a_columns + row : row * q.a_columns + depth, NAN);
                struct tensor c = run(&q);
                tensor_read(&c);
                for (int64_t i = 0; i < c.count; i++)
                    assert_true(isnan(c.values[i]) == (i / q.shape.n == row));
                tensor_free(&c);
                free_problem(&q);
            }
}

static void k_of_zero(void **state)
{
    (void)state;
    skip_other_engines();
    struct rng rng = test_rng(5);
    const int64_t rows[] = {2, 40};
    for (int s = 0; s < 2; s++)
        for (int t = 0; t < 3; t++)
            for (int options = 0; options < 128; options += options == 12 ? 52 : 4) {
                struct problem q =
                    make_problem(&rng, (struct shape){rows[s], 9, 0, 1}, options, types[t][0], types[t][1], true);
                struct tensor c = run(&q);
                for (int64_t i = 0; i < c.count; i++)
                    q.expected[i] = round_to(c.type, q.expected[i]);
                assert_tensor("C", &c, q.expected, 0, 0);
                tensor_free(&c);
                free_problem(&q);
            }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    struct tensor a = tensor_zero(DTYPE_F32, 6), b = tensor_zero(DTYPE_F32, 6), c = tensor_zero(DTYPE_F32, 4);
    const struct matmul good = {.m = 2,
                                .n = 2,
                                .k = 3,
                                .batch = 1,
                                .a = tensor_device(&a),
                                .b = tensor_device(&b),
                                .c = tensor_device(&c),
                                .a_row_stride = 3,
                                .b_row_stride = 2,
                                .c_row_stride = 2,
                                .alpha = 1};
    assert_ok(test_kernels()->matmul(context, &good));
    assert_refused(matmul, good, p.m = -1, "m -1");
    assert_refused(matmul, good, p.batch = 0, "batch 0");
    assert_refused(matmul, good, p.a = NULL, "null");
    assert_refused(matmul, good, p.c = NULL, "null");
    assert_refused(matmul, good, p.a_row_stride = 2, "A's row stride is 2");
    assert_refused(matmul, good, p.b_row_stride = 1, "B's row stride is 1");
    assert_refused(matmul, good, p.c_row_stride = 1, "C's row stride is 1");
    assert_refused(matmul, good, p.b_type = DTYPE_BF16, "types");
    assert_refused(matmul, good, p.a_type = p.b_type = p.c_type = DTYPE_F64, "types");
    assert_refused(matmul, good, p.beta = 0.5f, "beta");
    assert_refused(matmul, good, p.n = p.b_row_stride = p.c_row_stride = INT64_C(1) << 31, "2^31");
    assert_fails(test_kernels()->matmul(NULL, &good), STATUS_INTERNAL, "null");
    assert_fails(test_kernels()->matmul(context, NULL), STATUS_INTERNAL, "null");
    struct device_context bare = {0};
    assert_fails(test_kernels()->matmul(&bare, &good), STATUS_INTERNAL, "device_context_create");
    struct matmul empty = good;
    empty.m = 0;
    empty.c = NULL;
    assert_ok(test_kernels()->matmul(context, &empty));
    tensor_free(&a);
    tensor_free(&b);
    tensor_free(&c);
}

static int with_own_tiles(void **state)
{
    (void)state;
    engine = CPU_ENGINE_BLOCKED;
    return 0;
}

static int with_blas(void **state)
{
    (void)state;
    engine = CPU_ENGINE_BLAS;
    return 0;
}

/* bf16 too where the processor multiplies it, else only f32 goes this way and bf16 falls back. */
static int with_onednn(void **state)
{
    (void)state;
    engine = CPU_ENGINE_ONEDNN;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(integers_are_exact, with_own_tiles),
        cmocka_unit_test_setup(normal_numbers_are_close, with_own_tiles),
        cmocka_unit_test_setup(long_sums_lose_little, with_own_tiles),
        cmocka_unit_test_setup(operands_may_begin_anywhere, with_own_tiles),
        cmocka_unit_test_setup(like_products_are_told_apart, with_own_tiles),
        cmocka_unit_test_setup(rows_are_stable, with_own_tiles),
        cmocka_unit_test_setup(nan_is_not_hidden, with_own_tiles),
        cmocka_unit_test_setup(k_of_zero, with_own_tiles),
        cmocka_unit_test_setup(integers_are_exact, with_blas),
        cmocka_unit_test_setup(normal_numbers_are_close, with_blas),
        cmocka_unit_test_setup(rows_are_stable, with_blas),
        cmocka_unit_test_setup(nan_is_not_hidden, with_blas),
        cmocka_unit_test_setup(k_of_zero, with_blas),
        cmocka_unit_test_setup(integers_are_exact, with_onednn),
        cmocka_unit_test_setup(normal_numbers_are_close, with_onednn),
        cmocka_unit_test_setup(rows_are_stable, with_onednn),
        cmocka_unit_test_setup(nan_is_not_hidden, with_onednn),
        cmocka_unit_test_setup(k_of_zero, with_onednn),
        cmocka_unit_test(weights_are_read_once),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
