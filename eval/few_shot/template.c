/* A template is a configuration file like any other: unknown keys, wrong values and the like are refused by runtime/io/config. */
#include "eval/few_shot/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const outputs[] = {"text", "speech", "any", NULL}; /* as enum output_modality */
static const char *const letters[] = {"keep", "lower", NULL};         /* as enum template_letters */

#define FIELD(member) offsetof(struct prompt_template, member)

static const struct config_field fields[] = {
    {"shot", CONFIG_STRING, FIELD(shot), NULL, 0, 0, NULL, "a worked example, with {prompt} and {answer}"},
    {"item", CONFIG_STRING, FIELD(item), NULL, 0, 0, NULL, "the item that is to be answered, with {prompt}"},
    {"alone", CONFIG_STRING, FIELD(alone), "", 0, 0, NULL,
     "the item where no example comes before it; empty: as `item`"},
    {"separator", CONFIG_STRING, FIELD(separator), "", 0, 0, NULL, "between two examples"},
    {"last", CONFIG_STRING, FIELD(last), "", 0, 0, NULL, "behind the last example"},
    {"begin", CONFIG_STRING, FIELD(begin), "", 0, 0, NULL, "the answer follows this"},
    {"end", CONFIG_STRING, FIELD(end), "", 0, 0, NULL, "the answer ends before this"},
    {"stop", CONFIG_STRING_LIST, FIELD(stop), "", 0, 0, NULL, "what ends the generation beside EOS and `end`"},
    {"output", CONFIG_CHOICE, FIELD(output), "any", 0, 0, outputs, "which ids may be generated"},
    {"letters", CONFIG_CHOICE, FIELD(letters), "keep", 0, 0, letters, "case of the texts in prompts"},
    {"limit", CONFIG_INT, FIELD(limit), "200", 1, 1 << 20, NULL, "new tokens"},
    {"tries", CONFIG_INT, FIELD(tries), "1", 1, 100, NULL, "generations until one can be decoded"},
    {"temperature", CONFIG_NUMBER, FIELD(temperature), "0", 0, 100, NULL, "0: greedy"},
    {"top_p", CONFIG_NUMBER, FIELD(top_p), "1", 0, 1, NULL, "as for generate"},
    {"top_k", CONFIG_INT, FIELD(top_k), "0", 0, 1 << 20, NULL, "as for generate"},
};

static enum status hash_values(struct prompt_template *prompt)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    enum status result = stream ? config_write(prompt->config, stream) : STATUS_OK;
    if (!stream || fclose(stream) != 0)
        result = status_set(STATUS_INTERNAL, "no memory for a prompt's template");
    if (result == STATUS_OK)
        prompt->hash = sha256_of(text, size);
    free(text);
    return result;
}

/* The next "{prompt}" or "{answer}"; *length: of it. NULL: none is left, or with *length 0 what is no such thing. */
static const char *next_place(const char *text, size_t *length, bool *answer)
{
    static const char *const names[2] = {"{prompt}", "{answer}"};
    const char *at = strpbrk(text, "{}");
    *length = 0;
    for (int i = 0; at && i < 2; i++)
        if (strncmp(at, names[i], strlen(names[i])) == 0) {
            *length = strlen(names[i]);
            *answer = i == 1;
        }
    return at;
}

static enum status check(const struct prompt_template *prompt, const char *key, const char *pattern, bool is_shot)
{
    const char *origin = config_origin(prompt->config, key);
    int places[2] = {0, 0};
    size_t length;
    bool answer = false;
    for (const char *at = pattern; (at = next_place(at, &length, &answer)); at += length) {
        if (length == 0)
            return status_set(STATUS_USAGE, "%s: %s: expected {prompt}%s, found \"%.12s\"", origin, key,
                              is_shot ? " or {answer}" : "", at);
        places[answer]++;
    }
    if (places[0] != 1 || places[1] != is_shot)
        return status_set(STATUS_USAGE, "%s: %s: expected {prompt} once and {answer} %s", origin, key,
                          is_shot ? "once" : "not at all");
    return STATUS_OK;
}

enum status template_read(const char *path, struct prompt_template *prompt)
{
    enum status result = STATUS_OK;
    *prompt = (struct prompt_template){0};
    const struct config_section section = {"prompt", fields, sizeof fields / sizeof *fields, prompt, true};
    TRY(config_load(path, NULL, 0, &section, 1, &prompt->config));
    TRY(check(prompt, "prompt.shot", prompt->shot, true));
    TRY(check(prompt, "prompt.item", prompt->item, false));
    if (*prompt->alone)
        TRY(check(prompt, "prompt.alone", prompt->alone, false));
    const struct sampling sampling = {prompt->temperature, prompt->top_k, prompt->top_p};
    if (sampling_check(&sampling) != STATUS_OK)
        FAIL(STATUS_USAGE, "%s: prompt.%s", path, status_text());
    TRY(hash_values(prompt));
fail:
    return result;
}

void template_free(struct prompt_template *prompt)
{
    config_free(prompt->config);
    *prompt = (struct prompt_template){0};
}

/* Beside the program: in the tree that it was built in, or where it was installed. */
enum status template_find(const char *given, const char *name, char path[static PATH_BYTES])
{
    static const char *const folders[] = {"../../../configs/prompts", "../share/spiritlm/configs/prompts"};
    char program[PATH_BYTES];
    if (*given)
        return path_format(path, "%s", given);
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = 0;
    const char *slash = strrchr(program, '/');
    for (size_t i = 0; slash && i < sizeof folders / sizeof *folders; i++) {
        enum status result = path_format(path, "%.*s/%s/%s.yaml", (int)(slash - program), program, folders[i], name);
        if (result != STATUS_OK || access(path, R_OK) == 0)
            return result;
    }
    return status_set(STATUS_USAGE,
                      "%s.yaml, the prompt of this task, is not where the program is: prompts.%s names it", name, name);
}

enum status template_fill(const char *pattern, const char *prompt, const char *answer, char **out)
{
    char *text = NULL;
    size_t size = 0, length;
    bool is_answer = false;
    FILE *stream = open_memstream(&text, &size);
    *out = NULL;
    if (!stream)
        return status_set(STATUS_INTERNAL, "no memory for a prompt");
    for (const char *at = pattern, *place; *at; at = place + length) {
        place = next_place(at, &length, &is_answer);
        if (!place || length == 0) {
            fputs(at, stream);
            break;
        }
        fwrite(at, 1, (size_t)(place - at), stream);
        fputs(is_answer ? answer : prompt, stream);
    }
    if (fclose(stream) != 0) {
        free(text);
        return status_set(STATUS_INTERNAL, "no memory for a prompt");
    }
    *out = text;
    return STATUS_OK;
}
