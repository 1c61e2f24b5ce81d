/* Cutting a text into the words within which a byte-level BPE model merges: its pre-tokenizer. The patterns are regular
 * expressions; here each is a scanner of its own. */
#ifndef SPIRITLM_TEXT_WORD_CUTTER_H
#define SPIRITLM_TEXT_WORD_CUTTER_H

#include <stdbool.h>
#include <stdint.h>

enum word_pattern {
    WORDS_GPT2,   /* "gpt-2" */
    WORDS_SMOLLM, /* "smollm": each digit alone; GPT-2's in between */
    WORDS_LLAMA3, /* "llama-bpe": up to three digits; also "llama3", "llama-v3" */
    WORD_PATTERNS
};

const char *word_pattern_name(enum word_pattern pattern);
bool word_pattern_find(const char *name, int64_t size, enum word_pattern *pattern);
const char *word_pattern_list(void); /* all names, for errors */

/* The regular expression of WORDS_GPT2 and WORDS_LLAMA3, as tokenizer.json has it. */
const char *word_pattern_expression(enum word_pattern pattern);

struct word_cutter {
    enum word_pattern pattern;
    const char *text;
    int64_t size, at;
    int64_t stretch; /* where the stretch without digits ends, for WORDS_SMOLLM */
};

struct word_cutter word_cutter_start(enum word_pattern pattern, const char *text, int64_t size);

/* The next word text[*begin, *end); false at the end of the text. Words follow each other without a gap. A byte that is not
 * UTF-8 is a symbol. Whether a character is a letter or a number is what Unicode 14 says, as for the regular expressions of
 * tokenizers 0.20; single digits are those of Unicode 15, as in its step "Digits". */
bool word_cutter_next(struct word_cutter *cutter, int64_t *begin, int64_t *end);

#endif
