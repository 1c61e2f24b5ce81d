/* Protocols: the published names, options by word, JSON, and what can be read off scores without another pass. */
#include "support/test_support.h"

#include "eval/scoring/protocol.h"

#include <string.h>

static struct score_protocol named(const char *name)
{
    struct score_protocol protocol;
    assert_true(protocol_find(name, &protocol));
    return protocol;
}

static void names_stand_for_published_protocols(void **state)
{
    (void)state;
    struct score_protocol protocol = named("spiritlm");
    assert_true(protocol.normalize == NORMALIZE_TOKEN && protocol.scope == SCOPE_WHOLE && protocol.bos &&
                !protocol.eos && protocol.tie == TIE_HALF && protocol.mask == MASK_NONE);
    protocol = named("zerospeech");
    assert_true(protocol.normalize == NORMALIZE_SUM && protocol.bos && protocol.eos && protocol.tie == TIE_HALF);
    protocol = named("slamkit");
    assert_true(protocol.normalize == NORMALIZE_TOKEN && protocol.eos && protocol.tag == TAG_ABSENT);
    protocol = named("salmon");
    assert_true(protocol.normalize == NORMALIZE_TOKEN && !protocol.bos);
    protocol = named("lm-eval");
    assert_true(protocol.normalize == NORMALIZE_SUM && protocol.scope == SCOPE_CONTINUATION &&
                protocol.tie == TIE_FIRST && protocol.text == TEXT_EXACT);
    assert_false(protocol_find("other", &protocol));
    for (int i = 0; i < 5; i++)
        assert_true(protocol_find(protocol_name(i), &protocol));
    assert_string_equal(protocol_name(2), "slamkit");
    assert_true(!protocol_name(5) && !protocol_name(-1));
}

static void options_are_set_by_words(void **state)
{
    (void)state;
    struct score_protocol protocol = named("spiritlm");
    assert_ok(protocol_set(&protocol, "normalize", "pmi"));
    assert_ok(protocol_set(&protocol, "bos", "no"));
    assert_ok(protocol_set(&protocol, "eos", "yes"));
    assert_ok(protocol_set(&protocol, "mask", "modality"));
    assert_ok(protocol_set(&protocol, "count", "hubert"));
    assert_ok(protocol_set(&protocol, "scope", "continuation"));
    assert_ok(protocol_set(&protocol, "tag", "scored"));
    assert_ok(protocol_set(&protocol, "tie", "first"));
    assert_true(protocol.normalize == NORMALIZE_PMI && !protocol.bos && protocol.eos);
    assert_true(protocol.mask == MASK_MODALITY && protocol.count == COUNT_HUBERT);
    assert_true(protocol.scope == SCOPE_CONTINUATION && protocol.tag == TAG_SCORED && protocol.tie == TIE_FIRST);
    assert_fails(protocol_set(&protocol, "normalize", "mean"), STATUS_USAGE,
                 "score.normalize: expected sum, token, char, byte, pmi or pmi-token, found \"mean\"");
    assert_fails(protocol_set(&protocol, "bos", "1"), STATUS_USAGE, "score.bos: expected no or yes, found \"1\"");
    assert_fails(protocol_set(&protocol, "length", "1"), STATUS_USAGE, "score.length");
}

static void json_keeps_all_options(void **state)
{
    (void)state;
    static const char *const names[] = {"spiritlm", "zerospeech", "slamkit", "salmon", "lm-eval"};
    for (int i = 0; i < 5; i++) {
        struct score_protocol protocol = named(names[i]), again;
        json_t *json = protocol_json(&protocol);
        assert_int_equal(json_object_size(json), 9);
        memset(&again, 0x55, sizeof again);
        again.bos = again.eos = false;
        assert_ok(protocol_from_json("r.json", json, &again));
        assert_true(again.normalize == protocol.normalize && again.scope == protocol.scope &&
                    again.count == protocol.count && again.mask == protocol.mask && again.tag == protocol.tag &&
                    again.tie == protocol.tie && again.bos == protocol.bos && again.eos == protocol.eos &&
                    again.text == protocol.text);
        json_object_del(json, "tie");
        assert_fails(protocol_from_json("r.json", json, &again), STATUS_CORRUPT, "r.json: the protocol has no \"tie\"");
        json_object_set_new(json, "tie", json_string("coin"));
        assert_fails(protocol_from_json("r.json", json, &again), STATUS_CORRUPT, "r.json: score.tie");
        json_decref(json);
    }
}

static void some_options_need_a_pass(void **state)
{
    (void)state;
    const struct score_protocol pass = named("spiritlm");
    struct score_protocol wanted = pass;
    wanted.normalize = NORMALIZE_SUM;
    wanted.scope = SCOPE_CONTINUATION;
    wanted.mask = MASK_MODALITY;
    wanted.count = COUNT_HUBERT;
    wanted.tie = TIE_STRICT;
    wanted.tag = TAG_SCORED;
    wanted.eos = true;
    assert_ok(protocol_check_rescore(&pass, false, &wanted));
    wanted.bos = false;
    assert_fails(protocol_check_rescore(&pass, false, &wanted), STATUS_USAGE, "score.bos=no needs a pass of its own");
    wanted.bos = true;
    wanted.text = TEXT_EXACT;
    assert_fails(protocol_check_rescore(&pass, false, &wanted), STATUS_USAGE,
                 "score.text=exact needs a pass of its own");
    wanted.text = TEXT_TRIMMED;
    wanted.tag = TAG_ABSENT;
    assert_fails(protocol_check_rescore(&pass, false, &wanted), STATUS_USAGE,
                 "score.tag=absent needs a pass of its own: these scores were computed with given");
    wanted.tag = TAG_GIVEN;
    wanted.normalize = NORMALIZE_PMI;
    assert_fails(protocol_check_rescore(&pass, false, &wanted), STATUS_USAGE, "score.normalize=pmi");
    assert_ok(protocol_check_rescore(&pass, true, &wanted));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stand_for_published_protocols),
        cmocka_unit_test(options_are_set_by_words),
        cmocka_unit_test(json_keeps_all_options),
        cmocka_unit_test(some_options_need_a_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
