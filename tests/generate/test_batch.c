/* Many prompts decoded together: what each is given must be what it is given alone, to the id. */
#include "support/reference_sampler.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/tiny_world.h"

#include "core/rng.h"
#include "generate/generator.h"

#include <stdlib.h>
#include <string.h>

/* A context of more than 4,096, beyond which requests have a cache of their own. */
enum { CONTEXT = 5000, MOST = 40, TEXT_BYTES = 64 };

static struct tiny_world world;
static struct rng rng;

static int open_world(void **state)
{
    (void)state;
    tiny_world_open(2, CONTEXT, &world);
    rng = rng_make(test_seed(), RNG_TEST, 11, 0);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tiny_world_close(&world);
    return 0;
}

static int64_t below(int64_t bound)
{
    return (int64_t)rng_below(&rng, (uint64_t)bound);
}

/* ---- prompts ---- */

struct prompts {
    int64_t count;
    struct prompt prompts[MOST];
    struct generation_request requests[MOST];
};

/* Text, units, both or nothing, with all settings that a request has. */
static void make_prompt(bool greedy, struct prompt *prompt, struct generation_request *request)
{
    static const char *const units[] = {"[Hu3]", "[St1][Pi2][Hu3][Hu7]", "[Pi4][Hu9][Hu2][Hu11][Hu0][Pi1][Hu5]"};
    char text[TEXT_BYTES];
    int64_t length = below(TEXT_BYTES), count = below(4);
    for (int64_t i = 0; i < length; i++)
        text[i] = "abc "[below(4)];
    text[length < TEXT_BYTES ? length : TEXT_BYTES - 1] = 0;
    struct piece pieces[3];
    for (int64_t i = 0; i < count && i < 3; i++)
        pieces[i] = below(2) ? (struct piece){PIECE_TEXT, text} : (struct piece){PIECE_UNITS, units[below(3)]};
    *request = (struct generation_request){.output = (enum output_modality)below(3),
                                           .samples = below(3) ? 1 : 1 + below(12),
                                           .min_new_tokens = below(2) ? 0 : below(20),
                                           .max_new_tokens = 20 + below(25),
                                           .seed = (uint64_t)below(1000)};
    /* Of such length that it has the other cache; sampled speech ends soon, so few of them are computed. */
    if (!greedy && below(8) == 0 && request->min_new_tokens == 0) {
        request->output = OUTPUT_SPEECH;
        request->max_new_tokens = below(2) ? 4090 : 4500;
        request->samples = 1;
    }
    assert_ok(prompt_create(world.components, pieces, count < 3 ? count : 3, request->output, prompt));
    request->ids = prompt->ids;
    request->count = prompt->count;
}

static void make_prompts(int64_t count, bool greedy, struct prompts *made)
{
    made->count = count;
    for (int64_t i = 0; i < count; i++)
        make_prompt(greedy, &made->prompts[i], &made->requests[i]);
}

static void free_prompts(struct prompts *made)
{
    for (int64_t i = 0; i < made->count; i++)
        prompt_free(&made->prompts[i]);
}

/* ---- results ---- */

struct results {
    int64_t count; /* that have come */
    struct generated *generated[MOST];
};

static enum status take(void *argument, int64_t request, struct generated *generated)
{
    struct results *results = argument;
    assert_int_equal(request, results->count); /* in order, each once */
    results->generated[results->count++] = generated;
    return STATUS_OK;
}

static void run(const struct sampling *sampling, int64_t rows, const struct generation_request *requests, int64_t count,
                struct results *results)
{
    *results = (struct results){0};
    const struct generation_batch batch = {.sampling = *sampling, .rows = rows, .done = take, .argument = results};
    assert_ok(generate_batch(world.model, world.components, requests, count, &batch));
    assert_int_equal(results->count, count);
}

static void assert_same(const struct generated *a, const struct generated *b, int64_t samples)
{
    for (int64_t i = 0; i < samples; i++) {
        assert_int_equal(a[i].count, b[i].count);
        assert_int_equal(a[i].ended, b[i].ended);
        assert_int_equal(a[i].stopped, b[i].stopped);
        assert_false(a[i].not_finite || b[i].not_finite);
        assert_memory_equal(a[i].ids, b[i].ids, (size_t)a[i].count * sizeof *a[i].ids);
    }
}

struct tally {
    int64_t tokens, ended, shorter, different;
};

/* What each request must hold whatever the model says. */
static void check_limits(const struct generation_request *request, const struct generated *generated,
                         struct tally *tally)
{
    int64_t limit = generation_limit(world.model, request);
    for (int64_t i = 0; i < request->samples; i++) {
        assert_true(generated[i].count >= request->min_new_tokens && generated[i].count <= limit);
        assert_true(generated[i].ended || generated[i].count == limit);
        tally->tokens += generated[i].count;
        tally->ended += generated[i].ended;
        tally->shorter += generated[i].count < 20;
        tally->different +=
            i > 0 && (generated[i].count != generated[0].count ||
                      memcmp(generated[i].ids, generated[0].ids, (size_t)generated[0].count * sizeof(int32_t)) != 0);
    }
}

/* Alone, by itself and sample by sample's own numbers, against batches of many sizes in random orders. */
static void each_prompt_has_the_ids_that_it_has_alone(void **state)
{
    (void)state;
    static const struct sampling samplings[] = {{0, 0, 1}, {0.9, 50, 0.95}, {1.3, 0, 1}};
    static const int64_t sizes[] = {2, 3, 8, 1, 17, 0};
    static struct prompts made;
    struct tally tally = {0};
    const int64_t rounds = test_is_long() ? test_count(60, 3) : test_count(3, 1);
    for (int64_t round = 0; round < rounds; round++) {
        const struct sampling *sampling = &samplings[(round + 1) % 3]; /* a single round draws */
        struct results alone[MOST];
        make_prompts(test_count(MOST, 10), sampling->temperature == 0, &made);
        for (int64_t i = 0; i < made.count; i++) {
            run(sampling, 1, &made.requests[i], 1, &alone[i]);
            check_limits(&made.requests[i], alone[i].generated[0], &tally);
        }
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            struct generation_request shuffled[MOST];
            struct results results;
            int64_t order[MOST], chosen = 1 + below(made.count); /* not all: the others may not matter either */
            rng_permutation(&rng, order, made.count);
            for (int64_t i = 0; i < chosen; i++)
                shuffled[i] = made.requests[order[i]];
            run(sampling, sizes[s], shuffled, chosen, &results);
            for (int64_t i = 0; i < chosen; i++) {
                assert_same(results.generated[i], alone[order[i]].generated[0], shuffled[i].samples);
                generated_free(results.generated[i], shuffled[i].samples);
            }
        }
        for (int64_t i = 0; i < made.count; i++)
            generated_free(alone[i].generated[0], made.requests[i].samples);
        free_prompts(&made);
    }
    print_message("%lld tokens alike; %lld samples ended by themselves, %lld of fewer than 20 tokens, %lld unlike the "
                  "first of their prompt\n",
                  (long long)tally.tokens, (long long)tally.ended, (long long)tally.shorter,
                  (long long)tally.different);
    assert_true(tally.tokens > test_count(2000, 500) && tally.ended > test_count(5, 2) && tally.shorter > 0 &&
                tally.different > 5);
}

/* ---- against a loop of the test's own ---- */

/* One sample by prefill, cut in two before token `cut` of the prompt, and decode alone, its ids drawn on the host with EOS
 * forbidden as long as it must not come. */
static void expect_sample(const struct sampling *sampling, const struct generation_request *request, int64_t cut,
                          int64_t sample, const struct generated *found)
{
    const struct vocabulary *vocabulary = &world.components->vocabulary;
    int64_t V = world.model->config.vocabulary_size, row = 0, count = 0;
    uint8_t *allowed = calloc((size_t)V, 1);
    float *logits = calloc((size_t)V, sizeof *logits);
    struct rng draws = rng_make(request->seed, RNG_GENERATE, (uint64_t)sample, 0);
    struct llama_session *session;
    assert_non_null(allowed);
    assert_non_null(logits);
    const struct llama_session_options options = {.rows = 1, .capacity = request->count + request->max_new_tokens};
    assert_ok(llama_session_create(world.model, &options, &session));
    if (cut > 0)
        assert_ok(llama_session_prefill(session, 0, request->ids, cut, NULL));
    assert_ok(llama_session_prefill(session, 0, request->ids + cut, request->count - cut, logits));
    output_mask(NULL, vocabulary, request->output, allowed);
    for (bool ended = false; !ended && count < request->max_new_tokens;) {
        allowed[vocabulary->eos] = count >= request->min_new_tokens;
        int32_t id = reference_sample(sampling, logits, allowed, V, &draws);
        ended = id == vocabulary->eos;
        assert_int_equal(ended, found->ended && count == found->count);
        if (ended)
            break;
        assert_int_equal(id, found->ids[count]);
        count++;
        assert_ok(llama_session_decode(session, &row, &id, 1, logits));
    }
    assert_int_equal(count, found->count);
    llama_session_destroy(session);
    free(allowed);
    free(logits);
}

/* Speech alone ends often: what forbids its end is seen at work. */
static void no_sample_ends_before_its_least_length(void **state)
{
    (void)state;
    static const struct sampling samplings[] = {{0, 0, 1}, {1, 0, 1}, {0.9, 50, 0.95}};
    for (int64_t s = 0; s < 3; s++) {
        struct prompts made;
        struct results results, free_to_end;
        int64_t earlier = 0;
        make_prompts(test_count(MOST, 8), true, &made);
        for (int64_t i = 0; i < made.count; i++) {
            made.requests[i].samples = 2;
            made.requests[i].max_new_tokens = 30;
            made.requests[i].min_new_tokens = i % 3 == 0 ? 30 : below(30);
        }
        run(&samplings[s], 5, made.requests, made.count, &results);
        for (int64_t i = 0; i < made.count; i++) {
            for (int64_t sample = 0; sample < 2; sample++) {
                assert_true(results.generated[i][sample].count >= made.requests[i].min_new_tokens);
                expect_sample(&samplings[s], &made.requests[i], 0, sample, &results.generated[i][sample]);
            }
            generated_free(results.generated[i], 2);
            made.requests[i].min_new_tokens = 0;
        }
        run(&samplings[s], 5, made.requests, made.count, &free_to_end);
        for (int64_t i = 0; i < made.count; i++) {
            earlier += free_to_end.generated[i][0].ended + free_to_end.generated[i][1].ended;
            generated_free(free_to_end.generated[i], 2);
        }
        assert_true(s == 0 || earlier > 0);
        free_prompts(&made);
    }
}

/* ---- stopping ---- */

enum stop_rule { STOP_AT_FIRST, STOP_AT_FIFTH, STOP_BY_ID, STOP_AT_LIMIT, STOP_NEVER, STOP_RULES };

/* Results, of a batch whose samples stop by a rule. */
struct stopping {
    struct results results; /* first: take() sees nothing else */
    enum stop_rule rule;
    const struct generation_request *requests;
    int64_t asked;
};

static bool stops(enum stop_rule rule, const struct generation_request *request, const int32_t *ids, int64_t count)
{
    switch (rule) {
    case STOP_AT_FIRST:
        return true;
    case STOP_AT_FIFTH:
        return count == 5;
    case STOP_BY_ID:
        return ids[count - 1] % 7 == 3;
    case STOP_AT_LIMIT:
        return count == generation_limit(world.model, request);
    default:
        return false;
    }
}

static bool ask(void *argument, int64_t request, const int32_t *ids, int64_t count)
{
    struct stopping *stopping = argument;
    assert_true(count >= 1);
    for (int64_t i = 0; i < count; i++)
        assert_true(ids[i] >= 0 && ids[i] != world.components->vocabulary.eos);
    stopping->asked++;
    return stops(stopping->rule, &stopping->requests[request], ids, count);
}

/* A sample that stops has the ids that it has without stopping, up to the first at which the rule holds. */
static void check_stopped(const struct stopping *stopping, const struct generation_request *request,
                          const struct generated *whole, const struct generated *found, int64_t *asked)
{
    int64_t count = 0;
    bool stopped = false;
    while (count < whole->count && !stopped)
        stopped = stops(stopping->rule, request, whole->ids, ++count);
    *asked += count;
    assert_int_equal(found->count, count);
    assert_int_equal(found->stopped, stopped);
    assert_int_equal(found->ended, !stopped && whole->ended);
    assert_memory_equal(found->ids, whole->ids, (size_t)count * sizeof *found->ids);
}

/* With fewer rows than samples, so that rows which are left early go to others; where EOS comes, nobody is asked. */
static void samples_stop_where_they_are_told(void **state)
{
    (void)state;
    static const struct sampling sampling = {1.1, 0, 1};
    static struct prompts made;
    struct results whole;
    int64_t stopped[STOP_RULES] = {0}, ended = 0, empty = 0;
    make_prompts(test_count(30, 3), true, &made);
    for (int64_t i = 0; i < made.count; i += 2) {
        made.requests[i].output = OUTPUT_SPEECH; /* ends soon: here and there at once */
        made.requests[i].min_new_tokens = 0;
        made.requests[i].samples = 1 + below(test_count(12, 3));
    }
    run(&sampling, 7, made.requests, made.count, &whole);
    for (int rule = 0; rule < STOP_RULES; rule++) {
        struct stopping stopping = {.rule = (enum stop_rule)rule, .requests = made.requests};
        int64_t asked = 0;
        const struct generation_batch batch = {
            .sampling = sampling, .rows = 1 + below(9), .stop = ask, .done = take, .argument = &stopping};
        assert_ok(generate_batch(world.model, world.components, made.requests, made.count, &batch));
        for (int64_t i = 0; i < made.count; i++) {
            struct generated *found = stopping.results.generated[i];
            for (int64_t sample = 0; sample < made.requests[i].samples; sample++) {
                check_stopped(&stopping, &made.requests[i], &whole.generated[i][sample], &found[sample], &asked);
                stopped[rule] += found[sample].stopped;
                ended += found[sample].ended;
                empty += found[sample].ended && found[sample].count == 0;
            }
            generated_free(found, made.requests[i].samples);
        }
        assert_int_equal(stopping.asked, asked);
    }
    for (int64_t i = 0; i < made.count; i++)
        generated_free(whole.generated[i], made.requests[i].samples);
    free_prompts(&made);
    print_message(
        "stopped: %lld at the first id, %lld at the fifth, %lld by an id, %lld at their limit; %lld ended, %lld of "
        "them at once\n",
        (long long)stopped[STOP_AT_FIRST], (long long)stopped[STOP_AT_FIFTH], (long long)stopped[STOP_BY_ID],
        (long long)stopped[STOP_AT_LIMIT], (long long)ended, (long long)empty);
    assert_true(stopped[STOP_AT_FIRST] > 0 && stopped[STOP_AT_FIFTH] > 0 && stopped[STOP_BY_ID] > 0);
    assert_true(stopped[STOP_AT_LIMIT] > 0 && stopped[STOP_NEVER] == 0 && (test_count(1, 0) == 0 || ended > 0));
}

/* ---- shared ids ---- */

/* Prompts of any ids that begin with the same `shared`: one that is nothing else, some that add a single one, others more. Some
 * need the larger cache, and stop long before its end. */
static void make_sharing(int64_t shared, int64_t count, int32_t ids[][CONTEXT], struct generation_request *requests)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t more = i == 0 ? 0 : i % 3 == 1 ? below(3) : 1 + below(60);
        for (int64_t k = 0; k < shared + more; k++)
            ids[i][k] = i > 0 && k < shared ? ids[0][k] : (int32_t)below(world.components->vocabulary.size);
        requests[i] = (struct generation_request){.ids = ids[i],
                                                  .count = shared + more,
                                                  .output = (enum output_modality)below(3),
                                                  .samples = 1 + below(2) * below(4),
                                                  .max_new_tokens = i % 4 == 3 ? 4100 : 3 + below(6),
                                                  .seed = (uint64_t)below(1000)};
    }
}

static bool stop_at_eighth(void *argument, int64_t request, const int32_t *ids, int64_t count)
{
    (void)argument, (void)request, (void)ids;
    return count == 8;
}

static void run_sharing(const struct generation_batch *options, const struct generation_request *requests,
                        int64_t count, struct results *results)
{
    struct generation_batch batch = *options;
    *results = (struct results){0};
    batch.stop = stop_at_eighth;
    batch.done = take;
    batch.argument = results;
    assert_ok(generate_batch(world.model, world.components, requests, count, &batch));
    assert_int_equal(results->count, count);
}

static void expect_same(const struct results *found, const int64_t *order, const struct results *expected,
                        const struct generation_request *requests)
{
    for (int64_t i = 0; i < found->count; i++) {
        int64_t request = order ? order[i] : i;
        assert_same(found->generated[i], expected->generated[request], requests[request].samples);
        generated_free(found->generated[i], requests[request].samples);
    }
}

/* What one length of shared ids does: any rows and orders give what each prompt has alone, the loop of the test's own, cut
 * before the last shared id, has it too, and so do prompts that share nothing where both are cut at the same places. */
static void check_sharing(int64_t shared, int64_t prefill_tokens, const struct sampling *sampling)
{
    enum { PROMPTS = 9 };
    static int32_t ids[PROMPTS][CONTEXT];
    struct generation_request requests[PROMPTS], shuffled[PROMPTS];
    struct results alone = {0}, found;
    const int64_t count = test_count(PROMPTS, 4);
    int64_t order[PROMPTS];
    struct generation_batch batch = {.sampling = *sampling, .rows = 1, .prefill_tokens = prefill_tokens};
    make_sharing(shared, count, ids, requests);
    batch.shared = ids[0];
    batch.shared_count = shared;
    for (int64_t i = 0; i < count; i++) {
        struct results one;
        run_sharing(&batch, &requests[i], 1, &one);
        alone.generated[i] = one.generated[0];
        if (prefill_tokens == 0 && requests[i].max_new_tokens <= 8)
            for (int64_t sample = 0; sample < requests[i].samples; sample++)
                expect_sample(sampling, &requests[i], shared - 1, sample, &one.generated[0][sample]);
    }
    for (int64_t round = 0; round < test_count(3, 1); round++) {
        rng_permutation(&rng, order, count);
        for (int64_t i = 0; i < count; i++)
            shuffled[i] = requests[order[i]];
        batch.rows = round == 0 ? 3 : below(7);
        run_sharing(&batch, shuffled, count, &found);
        expect_same(&found, order, &alone, requests);
    }
    if (prefill_tokens > 0 && (shared - 1) % prefill_tokens == 0) {
        batch.shared_count = 0;
        run_sharing(&batch, requests, count, &found);
        expect_same(&found, NULL, &alone, requests);
    }
    for (int64_t i = 0; i < count; i++)
        generated_free(alone.generated[i], requests[i].samples);
}

static void shared_ids_are_those_of_each_prompt(void **state)
{
    (void)state;
    static const struct sampling sampled = {1, 0, 1}, greedy = {0, 0, 1};
    static const struct {
        int64_t shared, prefill_tokens;
    } cases[] = {{17, 0}, {33, 16}, {1, 0}, {2, 0}, {128, 0}, {129, 128}, {18, 17}, {300, 0}, {241, 24}, {50, 7}};
    int64_t most = test_count((int64_t)(sizeof cases / sizeof *cases), 3);
    for (int64_t i = 0; i < most; i++)
        check_sharing(cases[i].shared, cases[i].prefill_tokens, i % 4 == 0 ? &greedy : &sampled);
    for (int64_t i = 0; test_is_long() && i < 60; i++)
        check_sharing(1 + below(700), below(3) == 0 ? 0 : 1 + below(200), &sampled);
}

static void prompts_that_begin_otherwise_are_refused(void **state)
{
    (void)state;
    static const int32_t shared[] = {5, 6, 7}, other[] = {5, 6, 8, 7};
    const struct generation_request requests[] = {
        {.ids = shared, .count = 3, .samples = 1, .max_new_tokens = 2},
        {.ids = other, .count = 4, .samples = 1, .max_new_tokens = 2},
        {.ids = shared, .count = 2, .samples = 1, .max_new_tokens = 2},
    };
    struct results results = {0};
    struct generation_batch batch = {
        .sampling = {1, 0, 1}, .shared = shared, .shared_count = 3, .done = take, .argument = &results};
    assert_fails(generate_batch(world.model, world.components, requests, 2, &batch), STATUS_INTERNAL,
                 "prompt 1 does not begin with the 3 ids");
    assert_fails(generate_batch(world.model, world.components, requests + 2, 1, &batch), STATUS_INTERNAL,
                 "prompt 0 does not begin with the 3 ids");
    batch.shared = NULL;
    assert_fails(generate_batch(world.model, world.components, requests, 1, &batch), STATUS_INTERNAL, "3 shared ids");
    batch.shared_count = -1;
    assert_fails(generate_batch(world.model, world.components, requests, 1, &batch), STATUS_INTERNAL, "-1 shared ids");
    assert_int_equal(results.count, 0);
}

/* ---- refusals ---- */

static void expect_refused(const struct generation_request *request, const char *part)
{
    struct results results = {0};
    const struct generation_batch batch = {.sampling = {1, 0, 1}, .rows = 2, .done = take, .argument = &results};
    assert_fails(generation_request_check(world.model, request), STATUS_USAGE, part);
    assert_fails(generate_batch(world.model, world.components, request, 1, &batch), STATUS_USAGE, part);
    assert_int_equal(results.count, 0);
}

static void impossible_requests_are_refused(void **state)
{
    (void)state;
    static int32_t ids[CONTEXT];
    struct generation_request good = {.ids = ids, .count = 5, .output = OUTPUT_TEXT, .samples = 1, .max_new_tokens = 5},
                              request;
    expect_refused((request = good, request.count = 0, &request), "no BOS");
    expect_refused((request = good, request.count = CONTEXT, &request), "shorten it");
    expect_refused((request = good, request.samples = 0, &request), "0 samples");
    expect_refused((request = good, request.max_new_tokens = 0, &request), "0 tokens");
    expect_refused((request = good, request.min_new_tokens = 6, &request), "contradict");
    request = good;
    request.count = CONTEXT - 3;
    request.min_new_tokens = 4;
    expect_refused(&request, "no room for at least 4");
    request.min_new_tokens = 3;
    assert_ok(generation_request_check(world.model, &request));
    assert_int_equal(generation_limit(world.model, &request), 3);
    struct results results = {0};
    const struct generation_batch nothing = {.sampling = {1, 0, 1}, .done = take, .argument = &results};
    assert_ok(generate_batch(world.model, world.components, NULL, 0, &nothing));
    assert_int_equal(results.count, 0);
}

static enum status stop_at_the_second(void *argument, int64_t request, struct generated *generated)
{
    (void)argument;
    generated_free(generated, 1);
    return request == 1 ? status_set(STATUS_IO, "the disk is full") : STATUS_OK;
}

/* A result that cannot be written ends the batch with its reason; what is under way is released. */
static void a_callee_can_end_the_batch(void **state)
{
    (void)state;
    static struct prompts made;
    make_prompts(6, true, &made);
    for (int64_t i = 0; i < 6; i++)
        made.requests[i].samples = 1;
    const struct generation_batch batch = {.sampling = {1, 0, 1}, .rows = 3, .done = stop_at_the_second};
    assert_fails(generate_batch(world.model, world.components, made.requests, 6, &batch), STATUS_IO, "disk is full");
    free_prompts(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_prompt_has_the_ids_that_it_has_alone),
        cmocka_unit_test(no_sample_ends_before_its_least_length),
        cmocka_unit_test(samples_stop_where_they_are_told),
        cmocka_unit_test(shared_ids_are_those_of_each_prompt),
        cmocka_unit_test(prompts_that_begin_otherwise_are_refused),
        cmocka_unit_test(impossible_requests_are_refused),
        cmocka_unit_test(a_callee_can_end_the_batch),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
