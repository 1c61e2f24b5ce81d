/* Configurations: YAML, then, after a byte 0x1e, one override per line. What is read lies in its ranges, and what
 * config_write makes of it is read back as the same values. */
#include "fuzz/fuzz.h"

#include "io/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEPARATOR = 0x1e, OVERRIDES = 16 };

struct values {
    int64_t steps, any;
    double rate;
    bool flag;
    int choice;
    const char *text, *path;
    struct config_list words, folders;
};

static const char *const choices[] = {"none", "light", "block", NULL};
#define AT(member) offsetof(struct values, member)
static const struct config_field fields[] = {
    {"steps", CONFIG_INT, AT(steps), "5", 1, 1000, NULL, "steps"},
    {"any", CONFIG_INT, AT(any), "-3", 0, 0, NULL, "any whole number"},
    {"rate", CONFIG_NUMBER, AT(rate), "0.5", 0, 1, NULL, "a rate"},
    {"flag", CONFIG_BOOL, AT(flag), "false", 0, 0, NULL, "a flag"},
    {"recomputation", CONFIG_CHOICE, AT(choice), "light", 0, 0, choices, "a choice"},
    {"deep.text", CONFIG_STRING, AT(text), "words", 0, 0, NULL, "a text"},
    {"deep.path", CONFIG_PATH, AT(path), "a/b", 0, 0, NULL, "a path"},
    {"words", CONFIG_STRING_LIST, AT(words), "a,b", 0, 0, NULL, "a list"},
    {"folders", CONFIG_PATH_LIST, AT(folders), "", 0, 0, NULL, "a list of paths"},
};

static struct config_section section(struct values *values)
{
    return (struct config_section){"train", fields, sizeof fields / sizeof *fields, values, true};
}

static bool same_list(const struct config_list *a, const struct config_list *b)
{
    bool same = a->count == b->count;
    for (int64_t i = 0; same && i < a->count; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

static void check_values(const struct values *values)
{
    fuzz_require(values->steps >= 1 && values->steps <= 1000, "a whole number is in its range");
    fuzz_require(values->rate >= 0 && values->rate <= 1, "a number is in its range");
    fuzz_require(values->choice >= 0 && values->choice < 3, "a choice is one of the list");
    fuzz_touch(values->text, (int64_t)strlen(values->text));
    fuzz_touch(values->path, (int64_t)strlen(values->path));
}

static void check_written(const struct config *config, const struct values *values)
{
    char *text = NULL;
    size_t size = 0;
    struct values again;
    struct config_section sections[] = {section(&again)};
    struct config *copy = NULL;
    FILE *file = open_memstream(&text, &size);
    fuzz_require(file && config_write(config, file) == STATUS_OK && fclose(file) == 0, "what was read is written");
    const char *path = fuzz_file((const uint8_t *)text, size);
    fuzz_require(config_load(path, NULL, 0, sections, 1, &copy) == STATUS_OK, "what was written is read");
    fuzz_require(again.steps == values->steps && again.any == values->any && again.rate == values->rate &&
                     again.flag == values->flag && again.choice == values->choice &&
                     strcmp(again.text, values->text) == 0 && strcmp(again.path, values->path) == 0 &&
                     same_list(&again.words, &values->words) && same_list(&again.folders, &values->folders),
                 "what was written is read back to the same");
    config_free(copy);
    free(text);
}

/* Cuts the text after the separator into lines; returns their number. */
static int64_t cut_overrides(char *text, const char *overrides[OVERRIDES])
{
    int64_t count = 0;
    for (char *line; count < OVERRIDES && (line = strsep(&text, "\n"));)
        if (*line)
            overrides[count++] = line;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, SEPARATOR, size) : NULL;
    size_t yaml = end ? (size_t)(end - data) : size;
    char *lines = strndup(end ? (const char *)end + 1 : "", end ? size - yaml - 1 : 0);
    const char *overrides[OVERRIDES];
    struct values values;
    struct config_section sections[] = {section(&values)};
    struct config *config = NULL;
    if (!lines)
        return 0;
    int64_t count = cut_overrides(lines, overrides);
    const char *path = fuzz_file(data, yaml);
    enum status status = config_load(path, overrides, count, sections, 1, &config);
    if (status == STATUS_OK) {
        check_values(&values);
        fuzz_touch(config_origin(config, "train.steps"), 4);
        check_written(config, &values);
    } else {
        fuzz_require(config == NULL, "a refused configuration is not given out");
        fuzz_require(status == STATUS_USAGE || status == STATUS_IO, "a configuration is read or refused");
        fuzz_require(*status_text(), "a refusal has a reason");
    }
    config_free(config);
    free(lines);
    return 0;
}

/* Removes, doubles or moves a line, or leaves the mutation to libFuzzer. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 4, 0);
    if (size == 0 || rng_below(&rng, 3))
        return LLVMFuzzerMutate(data, size, limit);
    size_t begin = (size_t)rng_below(&rng, size), end, to = (size_t)rng_below(&rng, size);
    while (begin > 0 && data[begin - 1] != '\n')
        begin--;
    for (end = begin; end < size && data[end] != '\n';)
        end++;
    end += end < size;
    uint8_t *line = malloc(end - begin + 1);
    if (!line)
        return size;
    memcpy(line, data + begin, end - begin);
    if (rng_below(&rng, 3) == 0) {
        size = fuzz_splice(data, size, limit, begin, end - begin, NULL, 0);
    } else {
        while (to > 0 && data[to - 1] != '\n')
            to--;
        size = fuzz_splice(data, size, limit, to, 0, line, end - begin);
    }
    free(line);
    return size;
}
