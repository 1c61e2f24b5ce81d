/* A prompt is put together line by line, as both programs do. */
#include "eval/zero_shot/mmlu.h"

#include "text/white_space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *group;
    const char *subjects[20]; /* ends with NULL */
} groups[] = {
    {"stem",
     {"abstract_algebra", "anatomy", "astronomy", "college_biology", "college_chemistry", "college_computer_science",
      "college_mathematics", "college_physics", "computer_security", "conceptual_physics", "electrical_engineering",
      "elementary_mathematics", "high_school_biology", "high_school_chemistry", "high_school_computer_science",
      "high_school_mathematics", "high_school_physics", "high_school_statistics", "machine_learning"}},
    {"humanities",
     {"formal_logic", "high_school_european_history", "high_school_us_history", "high_school_world_history",
      "international_law", "jurisprudence", "logical_fallacies", "moral_disputes", "moral_scenarios", "philosophy",
      "prehistory", "professional_law", "world_religions"}},
    {"social sciences",
     {"econometrics", "high_school_geography", "high_school_government_and_politics", "high_school_macroeconomics",
      "high_school_microeconomics", "high_school_psychology", "human_sexuality", "professional_psychology",
      "public_relations", "security_studies", "sociology", "us_foreign_policy"}},
    {"other",
     {"business_ethics", "clinical_knowledge", "college_medicine", "global_facts", "human_aging", "management",
      "marketing", "medical_genetics", "miscellaneous", "nutrition", "professional_accounting", "professional_medicine",
      "virology"}},
};

const char *mmlu_group(const char *subject)
{
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (int i = 0; groups[g].subjects[i]; i++)
            if (!strcmp(groups[g].subjects[i], subject))
                return groups[g].group;
    return NULL;
}

enum status mmlu_check(const struct csv *table)
{
    if (table->column_count != MMLU_FIELDS)
        return status_set(STATUS_CORRUPT, "%s: expected %d fields in a row (question, A, B, C, D, answer), found %lld",
                          table->where, (int)MMLU_FIELDS, (long long)table->column_count);
    for (int64_t row = 0; row < table->row_count; row++) {
        const char *answer = csv_field(table, row, MMLU_FIELDS - 1);
        if (!*answer || answer[1] || *answer < 'A' || *answer > 'D')
            return status_set(STATUS_CORRUPT, "%s:%lld: expected the answer A, B, C or D, found \"%.40s\"",
                              table->where, (long long)csv_line(table, row), answer);
    }
    return STATUS_OK;
}

int mmlu_answer(const struct csv *table, int64_t row)
{
    return *csv_field(table, row, MMLU_FIELDS - 1) - 'A';
}

static void put_question(FILE *out, const struct csv *table, int64_t row, enum mmlu_form form)
{
    const char *question = csv_field(table, row, 0);
    int64_t begin = 0, end = (int64_t)strlen(question);
    if (form == MMLU_LM_EVAL)
        trim_python_space(question, &begin, &end);
    fprintf(out, "%.*s", (int)(end - begin), question + begin);
    for (int c = 0; c < MMLU_CHOICES; c++)
        fprintf(out, "\n%c. %s", 'A' + c, csv_field(table, row, 1 + c));
    fputs("\nAnswer:", out);
}

enum status mmlu_prompt(const char *subject, const struct csv *examples, int64_t shots, const struct csv *table,
                        int64_t row, enum mmlu_form form, char **prompt)
{
    size_t size = 0;
    FILE *out = open_memstream(prompt, &size);
    if (!out)
        return status_set(STATUS_INTERNAL, "no memory for a prompt");
    fputs("The following are multiple choice questions (with answers) about", out);
    for (const char *word = subject, *end; *word; word = *end ? end + 1 : end) {
        end = strchr(word, '_');
        end = end ? end : word + strlen(word);
        fprintf(out, " %s%.*s", word == subject && form == MMLU_ORIGINAL ? " " : "", (int)(end - word), word);
    }
    fputs(".\n\n", out);
    for (int64_t i = 0; i < shots; i++) {
        put_question(out, examples, i, form);
        fprintf(out, " %c\n\n", 'A' + mmlu_answer(examples, i));
    }
    put_question(out, table, row, form);
    bool broken = ferror(out) != 0;
    if (fclose(out) != 0 || broken) {
        free(*prompt);
        *prompt = NULL;
        return status_set(STATUS_INTERNAL, "no memory for a prompt");
    }
    return STATUS_OK;
}
