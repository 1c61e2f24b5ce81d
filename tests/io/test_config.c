/* Configurations: every type, extends, overrides, the resolved file's round trip, and one clear line for what is
 * wrong. */
#include "support/files.h"
#include "support/test_support.h"

#include "io/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct train {
    int64_t steps;
    double rate;
    bool cosine;
    const char *note;
    const char *weights;
    int mode;
    struct config_list names, paths;
    double text_weight;
};

struct other {
    int64_t seed;
    const char *needed;
};

static const char *const modes[] = {"none", "light", "block", NULL};

static const struct config_field train_fields[] = {
    {"steps", CONFIG_INT, offsetof(struct train, steps), "10", 1, 1000000, NULL, "steps to take"},
    {"learning_rate", CONFIG_NUMBER, offsetof(struct train, rate), "3.0e-5", 0, 1, NULL, "peak learning rate"},
    {"cosine", CONFIG_BOOL, offsetof(struct train, cosine), "false", 0, 0, NULL, "decay"},
    {"note", CONFIG_STRING, offsetof(struct train, note), "", 0, 0, NULL, "free text"},
    {"weights.file", CONFIG_PATH, offsetof(struct train, weights), "", 0, 0, NULL, "where to begin"},
    {"recompute", CONFIG_CHOICE, offsetof(struct train, mode), "none", 0, 0, modes, "what is computed twice"},
    {"names", CONFIG_STRING_LIST, offsetof(struct train, names), "a,b", 0, 0, NULL, "names"},
    {"data", CONFIG_PATH_LIST, offsetof(struct train, paths), "", 0, 0, NULL, "folders"},
    {"weights.text", CONFIG_NUMBER, offsetof(struct train, text_weight), "1", 0, 0, NULL, "share of text"},
};
static const struct config_field other_fields[] = {
    {"seed", CONFIG_INT, offsetof(struct other, seed), "-7", 0, 0, NULL, "seed"},
    {"needed", CONFIG_STRING, offsetof(struct other, needed), NULL, 0, 0, NULL, "must be given"},
};

static struct train train;
static struct other other;

static const struct config_section sections[] = {
    {"train", train_fields, sizeof train_fields / sizeof *train_fields, &train, true},
    {"other", other_fields, sizeof other_fields / sizeof *other_fields, &other, false},
};

static const char *put(const char *name, const char *text)
{
    const char *path = test_path("%s", name);
    write_text(path, text);
    return path;
}

static enum status load(const char *path, const char *const *overrides, int64_t count, struct config **config)
{
    memset(&train, 0, sizeof train);
    memset(&other, 0, sizeof other);
    return config_load(path, overrides, count, sections, 2, config);
}

static void defaults_fill_every_type(void **state)
{
    (void)state;
    struct config *config;
    assert_ok(load(NULL, NULL, 0, &config));
    assert_int_equal(train.steps, 10);
    assert_true(train.rate == 3.0e-5 && !train.cosine && train.mode == 0 && train.text_weight == 1);
    assert_string_equal(train.note, "");
    assert_string_equal(train.weights, "");
    assert_int_equal(train.names.count, 2);
    assert_string_equal(train.names.items[1], "b");
    assert_int_equal(train.paths.count, 0);
    assert_int_equal(other.seed, -7);
    assert_null(other.needed);
    assert_string_equal(config_origin(config, "train.steps"), "default");
    config_free(config);
}

static void files_and_overrides_set_values(void **state)
{
    (void)state;
    setenv("CONFIG_TEST_ROOT", "/data here", 1);
    unsetenv("CONFIG_TEST_UNSET");
    put("base.yaml", "train:\n  steps: 99\n  note: base\n  names: [x, y, z]\n  data: ${CONFIG_TEST_UNSET}\n");
    const char *path = put("top.yaml", "# a comment\n"
                                       "train:\n"
                                       "  note: 'it''s \"quoted\", with: colons'\n"
                                       "  learning_rate: 1e-3   # peak\n"
                                       "  cosine: true\n"
                                       "  recompute: block\n"
                                       "  names: one,two\n"
                                       "  weights: {file: \"${CONFIG_TEST_ROOT}/w $5 $${HOME}\", text: .25}\n"
                                       "extends: base.yaml\n"
                                       "other:\n"
                                       "  # nothing yet\n");
    const char *const overrides[] = {"train.data=a b,${CONFIG_TEST_ROOT}/c", "other.seed=12", "train.note=a=b"};
    struct config *config;
    assert_ok(load(path, overrides, 3, &config));
    assert_int_equal(train.steps, 99);
    assert_true(train.rate == 1e-3 && train.cosine && train.mode == 2 && train.text_weight == 0.25);
    assert_string_equal(train.note, "a=b");
    assert_string_equal(train.weights, "/data here/w $5 ${HOME}");
    assert_int_equal(train.names.count, 1);
    assert_string_equal(train.names.items[0], "one,two");
    assert_int_equal(train.paths.count, 2);
    assert_string_equal(train.paths.items[0], "a b");
    assert_string_equal(train.paths.items[1], "/data here/c");
    assert_int_equal(other.seed, 12);
    char origin[1100];
    snprintf(origin, sizeof origin, "%s/base.yaml:2", test_directory());
    assert_string_equal(config_origin(config, "train.steps"), origin);
    snprintf(origin, sizeof origin, "%s/top.yaml:4", test_directory());
    assert_string_equal(config_origin(config, "train.learning_rate"), origin);
    snprintf(origin, sizeof origin, "%s/top.yaml:8", test_directory());
    assert_string_equal(config_origin(config, "train.weights.text"), origin);
    assert_string_equal(config_origin(config, "train.note"), "command line");
    config_free(config);
}

static void marks_and_home_folders_are_understood(void **state)
{
    (void)state;
    struct config *config;
    setenv("HOME", "/home/somebody", 1);
    setenv("CONFIG_TEST_ROOT", "~", 1);
    put("base.yaml", "\xef\xbb\xbftrain:\n  steps: 99\n");
    const char *path = put("mark.yaml", "\xef\xbb\xbf"
                                        "extends: base.yaml\ntrain:\n  data: ~/audio/${CONFIG_TEST_ROOT}\n"
                                        "  weights: {file: \"~\"}\n  note: ~/x\n");
    assert_ok(load(path, NULL, 0, &config));
    assert_int_equal(train.steps, 99);
    assert_string_equal(train.paths.items[0], "/home/somebody/audio/~");
    assert_string_equal(train.weights, "/home/somebody");
    assert_string_equal(train.note, "~/x"); /* not a path */
    config_free(config);
    static const char *const overrides[] = {"train.data=~/a,b/~,~c,${CONFIG_TEST_ROOT}/d"};
    assert_ok(load(path, overrides, 1, &config));
    assert_int_equal(train.paths.count, 4);
    assert_string_equal(train.paths.items[0], "/home/somebody/a");
    assert_string_equal(train.paths.items[1], "b/~");
    assert_string_equal(train.paths.items[2], "~c");
    assert_string_equal(train.paths.items[3], "~/d"); /* what a variable holds is taken as it is */
    config_free(config);
    static const char *const others[] = {"train.data=~root/a"};
    assert_fails(load(path, others, 1, &config), STATUS_USAGE, "command line: train.data: ~root/a: expected a path");
    put("far.yaml", "extends: ~/no/such/file.yaml\n");
    assert_fails(load(put("far.yaml", "extends: ~/no/such/file.yaml\n"), NULL, 0, &config), STATUS_USAGE,
                 "/home/somebody/no/such/file.yaml");
    unsetenv("HOME");
    assert_fails(load(path, overrides, 1, &config), STATUS_USAGE, "HOME is not set");
    setenv("HOME", "/home/somebody", 1);
}

/* Random values, hostile texts among them, through config_write and back. */
static void resolved_file_reads_back_the_same(void **state)
{
    (void)state;
    static const char *const pieces[] = {"\"",           "\\",   "\n",       "\t",   "${HOME}",      "$", "${", "é",
                                         "\xe2\x80\xa8", "\x7f", "\xc2\x85", "😀",    ": ",           "#", " ",  "x",
                                         "- ",           "{",    "'",        "\x01", "\xef\xbb\xbf", "$$"};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 0, 0);
    for (int round = 0; round < 300; round++) {
        char note[256] = "train.note=", file[256] = "train.weights.file=", rate[64], names[256] = "train.names=";
        for (uint64_t i = rng_below(&rng, 8); i > 0; i--) {
            strcat(note, pieces[rng_below(&rng, 22)]);
            strcat(file, pieces[rng_below(&rng, 22)]);
            strcat(names, pieces[rng_below(&rng, 22)]);
            strcat(names, rng_below(&rng, 2) ? "," : "");
        }
        snprintf(rate, sizeof rate, "train.learning_rate=%.17g", rng_uniform(&rng));
        const char *const overrides[] = {note, file, rate, names};
        struct config *first, *second;
        assert_ok(load(NULL, overrides, 4, &first));
        struct train expected = train;
        char path[1100];
        snprintf(path, sizeof path, "%s/resolved.yaml", test_directory());
        FILE *stream = fopen(path, "w");
        assert_non_null(stream);
        assert_ok(config_write(first, stream));
        assert_int_equal(fclose(stream), 0);
        assert_ok(load(path, NULL, 0, &second));
        assert_string_equal(train.note, expected.note);
        assert_string_equal(train.note, note + strlen("train.note="));
        assert_string_equal(train.weights, expected.weights);
        assert_true(train.rate == expected.rate && train.steps == expected.steps);
        assert_int_equal(train.names.count, expected.names.count);
        for (int64_t i = 0; i < train.names.count; i++)
            assert_string_equal(train.names.items[i], expected.names.items[i]);
        assert_int_equal(train.paths.count, 0);
        assert_null(other.needed);
        config_free(first);
        config_free(second);
    }
}

static void wrong_files_get_one_clear_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"train:\n  setps: 3\n", "bad.yaml:2: unknown key train.setps; did you mean train.steps?"},
        {"train:\n\n  learningrate: 3\n",
         "bad.yaml:3: unknown key train.learningrate; did you mean train.learning_rate?"},
        {"learning_rate: 3\n", "bad.yaml:1: unknown key learning_rate; did you mean train.learning_rate?"},
        {"train:\n  lr: 3\n", "bad.yaml:2: unknown key train.lr; did you mean train.learning_rate?"},
        {"train:\n  max_steps: 3\n", "bad.yaml:2: unknown key train.max_steps; did you mean train.steps?"},
        {"train:\n  rate: 3\n", "bad.yaml:2: unknown key train.rate; did you mean train.learning_rate?"},
        {"other:\n  lr: 3\n", "bad.yaml:2: unknown key other.lr; did you mean train.learning_rate?"},
        {"train:\n  le_ra: 3\n", "bad.yaml:2: unknown key train.le_ra; did you mean train.learning_rate?"},
        {"trian: {steps: 3}\n", "bad.yaml:1: unknown key trian; did you mean"},
        {"other:\n  steps: 3\n", "bad.yaml:2: unknown key other.steps; did you mean train.steps?"},
        {"train:\n  steps: {a: 3}\n", "bad.yaml:2: train.steps has no value"},
        {"train: 3\n", "bad.yaml:1: train is a group of keys such as train.steps"},
        {"train: [3]\n", "bad.yaml:1: train is a group of keys"},
        {"train:\n  weights: x\n", "bad.yaml:2: train.weights is a group of keys such as train.weights.file"},
        {"train:\n  steps:\n", "bad.yaml:2: train.steps has no value"},
        {"train:\n  note: null\n", "bad.yaml:2: train.note has no value (write \"\" for an empty text)"},
        {"train:\n  note: ~\n", "bad.yaml:2: train.note has no value"},
        {"train:\n  steps: many\n", "bad.yaml:2: train.steps is \"many\", expected a whole number"},
        {"train:\n  steps: 1.5\n", "expected a whole number"},
        {"train:\n  steps: 1_000\n", "expected a whole number"},
        {"train:\n  steps: 64k\n", "expected a whole number"},
        {"train:\n  steps: 0x10\n", "expected a whole number"},
        {"train:\n  steps: ''\n", "expected a whole number"},
        {"other:\n  seed: 9223372036854775808\n", "expected a whole number"},
        {"train:\n  steps: 0\n", "bad.yaml:2: train.steps is 0, expected 1 to 1000000"},
        {"train:\n  steps: 1000001\n", "expected 1 to 1000000"},
        {"train:\n  learning_rate: fast\n", "bad.yaml:2: train.learning_rate is \"fast\", expected a finite number"},
        {"train:\n  learning_rate: nan\n", "expected a finite number"},
        {"train:\n  learning_rate: .inf\n", "expected a finite number"},
        {"train:\n  learning_rate: 1e999\n", "expected a finite number"},
        {"train:\n  learning_rate: 1.5\n", "expected 0 to 1"},
        {"train:\n  learning_rate: -1e-9\n", "expected 0 to 1"},
        {"train:\n  cosine: yes\n", "bad.yaml:2: train.cosine is \"yes\", expected true or false"},
        {"train:\n  recompute: heavy\n",
         "bad.yaml:2: train.recompute is \"heavy\", expected one of none, light, block"},
        {"train:\n  steps: [1]\n", "bad.yaml:2: train.steps: expected one value, found a list"},
        {"train:\n  names: [a, [b]]\n", "bad.yaml:2: the list train.names may hold only plain values"},
        {"train:\n  names:\n    - a\n    - b: 1\n", "bad.yaml:4: the list train.names may hold only plain values"},
        {"train:\n  names: [a, ~]\n", "bad.yaml:2: train.names has no value"},
        {"train:\n  steps: 1\n  note: x\n  steps: 2\n", "bad.yaml:4: key train.steps is already on line 2"},
        {"train:\n  steps: 1\ntrain:\n  note: x\n", "bad.yaml:3: key train is already on line 1"},
        {"train:\n  weights.text: 1\n  weights: {text: 2}\n",
         "bad.yaml:3: key train.weights.text is already on line 2"},
        {"extends: a\nextends: b\n", "bad.yaml:2: key extends is already on line 1"},
        {"train:\n  note: &x y\n", "bad.yaml:2: anchors and aliases (&x) are not accepted"},
        {"train: &x\n  note: y\n", "bad.yaml:1: anchors"},
        {"train:\n  names: [*x]\n", "bad.yaml:2: anchors"},
        {"train:\n  <<: *x\n", "bad.yaml:2: anchors"},
        {"train:\n  steps: !!int 3\n", "bad.yaml:2: tags (tag:yaml.org,2002:int) are not accepted"},
        {"train: !x {}\n", "bad.yaml:1: tags (!x) are not accepted"},
        {"train:\n  names: !!set [a]\n", "bad.yaml:2: tags"},
        {"? [a]\n: b\n", "bad.yaml:1: a key must be a plain word"},
        {"train:\n  ? {a: b}\n  : c\n", "bad.yaml:2: a key must be a plain word"},
        {"'': 3\n", "bad.yaml:1: a key is empty or too long"},
        {"- a\n- b\n", "bad.yaml:1: expected keys and values"},
        {"just words\n", "bad.yaml:1: expected keys and values"},
        {"train: {}\n---\ntrain: {}\n", "bad.yaml:2: expected one document, found a second one"},
        {"train:\n  note: \"open\n", "bad.yaml:3: not valid YAML: found unexpected end of stream"},
        {"train:\n\tsteps: 1\n", "bad.yaml:2: not valid YAML: found character that cannot start any token"},
        {"train:\n  note: a\n note: b\n", "bad.yaml:3: not valid YAML"},
        {"train:\n  note: \"a\\0b\"\n", "bad.yaml:2: a value holds a NUL character"},
        {"train:\n  steps: 3\n  note: \xff\xfe\n", "bad.yaml:3: not valid YAML: invalid leading UTF-8 octet"},
        {"train:\n  note: a\x01z\n", "bad.yaml:2: not valid YAML: control characters are not allowed"},
        {"extends: none.yaml\n", "bad.yaml:1: extends: "},
        {"extends: bad.yaml\n", "bad.yaml:1: extends: more than 8 files deep (does a file extend itself?)"},
        {"extends: [a, b]\n", "bad.yaml:1: extends: expected the name of one file"},
        {"extends: ''\n", "bad.yaml:1: extends: expected the name of one file"},
        {"train:\n  data: ${CONFIG_TEST_UNSET}/x\n",
         "bad.yaml:2: train.data: the environment variable CONFIG_TEST_UNSET is not set"},
    };
    struct config *config;
    unsetenv("CONFIG_TEST_UNSET");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_fails(load(put("bad.yaml", cases[i].text), NULL, 0, &config), STATUS_USAGE, cases[i].part);
        assert_null(config);
        assert_true(strncmp(status_text(), test_directory(), strlen(test_directory())) == 0);
    }
    assert_fails(load("/nonexistent/x.yaml", NULL, 0, &config), STATUS_USAGE, "/nonexistent/x.yaml: cannot open");
    assert_ok(load(put("empty.yaml", ""), NULL, 0, &config));
    config_free(config);
    assert_ok(load(put("comment.yaml", "# nothing\n"), NULL, 0, &config));
    config_free(config);
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    struct config *config;
    char *text = malloc(2 << 20), *end = text;
    for (int i = 0; i < 15; i++)
        end += sprintf(end, "%*s%c:\n", i, "", 'a' + i);
    sprintf(end, "%*sz: 1\n", 15, "");
    assert_fails(load(put("deep.yaml", text), NULL, 0, &config), STATUS_USAGE, "deep.yaml:1: unknown key a;");
    sprintf(end, "%*sy:\n%*sz: 1\n", 15, "", 16, "");
    assert_fails(load(put("deep.yaml", text), NULL, 0, &config), STATUS_USAGE,
                 "deep.yaml:17: more than 16 nested levels");
    memset(text, '[', 200000);
    text[200000] = 0;
    assert_fails(load(put("deep.yaml", text), NULL, 0, &config), STATUS_USAGE, "deep.yaml:1: ");
    memset(text, '{', 200000);
    assert_fails(load(put("deep.yaml", text), NULL, 0, &config), STATUS_USAGE, "deep.yaml:1: ");
    end = text;
    for (int i = 0; i < 5000; i++)
        end += sprintf(end, "k%d: 1\n", i);
    assert_fails(load(put("many.yaml", text), NULL, 0, &config), STATUS_USAGE, "many.yaml:4097: more than 4096 keys");
    memset(text, '#', (1 << 20) + 1);
    text[(1 << 20) + 1] = 0;
    assert_fails(load(put("large.yaml", text), NULL, 0, &config), STATUS_USAGE,
                 "expected at most 1048576 bytes, found 1048577");
    sprintf(text, "%01500d: 1\n", 1);
    assert_fails(load(put("long.yaml", text), NULL, 0, &config), STATUS_USAGE, "long.yaml:1: ");
    free(text);
}

static void wrong_overrides_get_one_clear_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"train.steps", "command line: \"train.steps\": expected key=value"},
        {"=3", "expected key=value"},
        {"train.stpes=3", "command line: unknown key train.stpes; did you mean train.steps?"},
        {"train=3", "command line: train is a group of keys such as train.steps"},
        {"train.steps=", "command line: train.steps is \"\", expected a whole number"},
        {"train.steps=1e3", "expected a whole number"},
        {"train.note=\xff", "command line: train.note is not valid UTF-8"},
        {"extends=x", "command line: unknown key extends"},
    };
    struct config *config;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(load(NULL, &cases[i][0], 1, &config), STATUS_USAGE, cases[i][1]);
}

static void required_keys_are_asked_for(void **state)
{
    (void)state;
    const struct config_section required = {"other", other_fields, 2, &other, true};
    struct config *config;
    assert_fails(config_load(NULL, NULL, 0, &required, 1, &config), STATUS_USAGE,
                 "command line: other.needed is missing (must be given)");
    const char *const empty[] = {"other.needed="};
    assert_fails(config_load(NULL, empty, 1, &required, 1, &config), STATUS_USAGE, "other.needed is missing");
    const char *const given[] = {"other.needed=yes"};
    assert_ok(config_load(NULL, given, 1, &required, 1, &config));
    assert_string_equal(other.needed, "yes");
    config_free(config);
}

static void keys_are_listed(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    config_print_keys(sections, 2, stream);
    fclose(stream);
    assert_non_null(strstr(text, "  train.steps = 10\n      steps to take [whole number, 1 to 1000000]\n"));
    assert_non_null(strstr(text, "  train.recompute = none\n      what is computed twice [none|light|block]\n"));
    assert_non_null(strstr(text, "  other.needed (required)\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_fill_every_type),
        cmocka_unit_test(files_and_overrides_set_values),
        cmocka_unit_test(marks_and_home_folders_are_understood),
        cmocka_unit_test(resolved_file_reads_back_the_same),
        cmocka_unit_test(wrong_files_get_one_clear_line),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(wrong_overrides_get_one_clear_line),
        cmocka_unit_test(required_keys_are_asked_for),
        cmocka_unit_test(keys_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
