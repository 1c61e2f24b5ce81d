/* flite's lexicon is the CMU dictionary, with letter-to-sound rules for every other word. Its phones are the
 * dictionary's except for their case, their stress digits and the schwa, which is all that has to be converted. The
 * lexicon has no genitives; the sound of "'s" follows from the last phone by the rules of English. */
#include "data/align/pronounce.h"

#include <flite/flite.h>
#include <pthread.h>
#include <string.h>

cst_lexicon *cmu_lex_init(void); /* of libflite_cmulex, which has no header */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const cst_lexicon *lexicon; /* flite's own static one */

/* Adds one of flite's phones ("ax0", "hh", "aa1") under the dictionary's name ("AH", "HH", "AA"). */
static bool add_phone(char *phones, size_t size, const char *phone)
{
    char name[8];
    size_t length = 0, used = strlen(phones);
    while (phone[length] >= 'a' && phone[length] <= 'z' && length < sizeof name - 1) {
        name[length] = (char)(phone[length] - 'a' + 'A');
        length++;
    }
    name[length] = '\0';
    if (strcmp(name, "AX") == 0) /* the schwa, which the dictionary writes as the vowel of "cut" */
        memcpy(name, "AH", 3);
    if (length == 0 || strcmp(name, "PAU") == 0)
        return true;
    if (used + length + 2 > size)
        return false;
    if (used > 0)
        phones[used++] = ' ';
    memcpy(phones + used, name, length + 1);
    return true;
}

bool pronounce(const char *word, char *phones, size_t size)
{
    char letters[128];
    size_t count = 0;
    bool complete = true;
    phones[0] = '\0';
    for (; *word != '\0' && count < sizeof letters - 1; word++)
        if (*word >= 'a' && *word <= 'z')
            letters[count++] = *word;
    letters[count] = '\0';
    if (count == 0)
        return false;
    /* flite promises nothing about threads, and this is rare. */
    pthread_mutex_lock(&mutex);
    if (lexicon == NULL)
        lexicon = cmu_lex_init();
    cst_val *list = lex_lookup(lexicon, letters, NULL, NULL);
    for (const cst_val *item = list; item != NULL; item = val_cdr(item))
        complete = add_phone(phones, size, val_string(val_car(item))) && complete;
    delete_val(list);
    pthread_mutex_unlock(&mutex);
    if (!complete)
        phones[0] = '\0';
    return complete && phones[0] != '\0';
}

bool pronounce_genitive(char *phones, size_t size)
{
    static const char *const hissing[] = {"S", "Z", "SH", "ZH", "CH", "JH"}, *const voiceless[] = {"P", "T", "K", "F",
                                                                                                   "TH"};
    const char *last = strrchr(phones, ' ');
    last = last == NULL ? phones : last + 1;
    const char *sound = "Z";
    for (size_t i = 0; i < sizeof voiceless / sizeof voiceless[0]; i++)
        if (strcmp(last, voiceless[i]) == 0)
            sound = "S";
    for (size_t i = 0; i < sizeof hissing / sizeof hissing[0]; i++)
        if (strcmp(last, hissing[i]) == 0)
            sound = "AH Z";
    size_t used = strlen(phones), length = strlen(sound);
    if (used + length + 2 > size)
        return false;
    phones[used] = ' ';
    memcpy(phones + used + 1, sound, length + 1);
    return true;
}
