/* A form is a list of stages, each of which reads the whole text and writes another. One pass per rule is not the fastest way,
 * but it is the only one in which the order of the rules, which decides what a text becomes, can be read off. */
#include "eval/transcripts/text_form.h"

#include "eval/transcripts/characters.h"
#include "eval/transcripts/spellings.h"
#include "eval/transcripts/text_stages.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[TEXT_FORMS] = {"none", "librispeech", "whisper-basic", "whisper-english"};

struct text_normalizer {
    enum text_form form;
    struct spellings *spellings;
};

const char *text_form_name(enum text_form form)
{
    return names[form];
}

bool text_form_find(const char *name, enum text_form *form)
{
    for (int i = 0; i < TEXT_FORMS; i++)
        if (strcmp(name, names[i]) == 0) {
            *form = (enum text_form)i;
            return true;
        }
    return false;
}

const char *text_form_list(void)
{
    return "none, librispeech, whisper-basic, whisper-english";
}

enum status text_normalizer_open(enum text_form form, const char *spellings, struct text_normalizer **normalizer)
{
    enum status result = STATUS_OK;
    struct text_normalizer *made = calloc(1, sizeof *made);
    if (!made)
        FAIL(STATUS_INTERNAL, "no memory for a text form");
    made->form = form;
    if (spellings && form != TEXT_FORM_WHISPER_ENGLISH)
        FAIL(STATUS_USAGE, "spellings (%s) are for the text form whisper-english, found %s", spellings, names[form]);
    if (spellings)
        TRY(spellings_read(spellings, &made->spellings));
    *normalizer = made;
    made = NULL;
fail:
    text_normalizer_free(made);
    return result;
}

void text_normalizer_free(struct text_normalizer *normalizer)
{
    if (!normalizer)
        return;
    spellings_free(normalizer->spellings);
    free(normalizer);
}

enum text_form text_normalizer_form(const struct text_normalizer *normalizer)
{
    return normalizer->form;
}

const char *text_normalizer_protocol(const struct text_normalizer *normalizer)
{
    bool bare = normalizer->form == TEXT_FORM_WHISPER_ENGLISH && !normalizer->spellings;
    return bare ? "whisper-english without spellings" : names[normalizer->form];
}

static void spellings_work(const struct spellings *spellings, struct text_work *work)
{
    if (work->text.result != STATUS_OK)
        return;
    work->next.size = 0;
    text_buffer_add(&work->next, "", 0);
    spellings_apply(spellings, &work->text, &work->next);
    struct text_buffer written = work->next;
    work->next = work->text;
    work->text = written;
}

static void whisper_basic_work(struct text_work *work)
{
    text_work_run(work, lower_case_stage);
    text_work_run(work, brackets_stage);
    text_work_run(work, parentheses_stage);
    text_work_run(work, symbols_to_spaces_stage);
    text_work_run(work, lower_case_stage);
    text_work_run(work, single_spaces_stage);
}

static void whisper_english_work(const struct spellings *spellings, struct text_work *work)
{
    text_work_run(work, lower_case_stage);
    text_work_run(work, brackets_stage);
    text_work_run(work, parentheses_stage);
    english_words_work(work);
    numbers_work(work);
    spellings_work(spellings, work);
    stray_symbols_work(work);
}

enum status text_normalizer_apply(const struct text_normalizer *normalizer, const char *text, char **form)
{
    struct text_work work = {0};
    enum status result = check_utf8(text);
    if (result != STATUS_OK)
        return result;
    text_buffer_add_text(&work.text, text);
    switch (normalizer->form) {
    case TEXT_FORM_LIBRISPEECH:
        text_work_run(&work, librispeech_stage);
        break;
    case TEXT_FORM_WHISPER_BASIC:
        whisper_basic_work(&work);
        break;
    case TEXT_FORM_WHISPER_ENGLISH:
        whisper_english_work(normalizer->spellings, &work);
        break;
    default:
        break;
    }
    result = work.text.result;
    if (result == STATUS_OK) {
        *form = work.text.bytes;
        work.text.bytes = NULL;
    }
    free(work.text.bytes);
    free(work.next.bytes);
    return result;
}
