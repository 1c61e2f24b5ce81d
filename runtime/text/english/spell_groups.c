/* Tokens of several groups of digits: times, dates, fractions, ranges, telephone numbers, versions. */
#include "text/english/spell_groups.h"

#include <string.h>

enum { GROUPS = 8 };

struct groups {
    const char *digits[GROUPS];
    int count[GROUPS];
    int groups;
    char separator;
    int length; /* bytes they take */
};

/* Digit groups with one kind of separator between them, at the start of the token. */
static bool parse_groups(const char *s, int length, struct groups *groups)
{
    *groups = (struct groups){0};
    int i = 0;
    while (i < length && is_digit(s[i]) && groups->groups < GROUPS) {
        groups->digits[groups->groups] = s + i;
        int begin = i;
        while (i < length && is_digit(s[i]))
            i++;
        groups->count[groups->groups++] = i - begin;
        groups->length = i;
        if (i + 1 < length && strchr(":/-.", s[i]) != NULL && s[i] != '\0' && is_digit(s[i + 1]) &&
            (groups->separator == '\0' || s[i] == groups->separator))
            groups->separator = s[i++];
        else
            break;
    }
    return groups->groups >= 2;
}

static void say_group(struct phrase *phrase, const struct groups *groups, int group, bool by_digit)
{
    const char *digits = groups->digits[group];
    int count = groups->count[group];
    uint64_t value = count <= 4 ? digits_value(digits, count) : 0;
    if (by_digit || count > 4)
        say_digits(phrase, digits, count, false);
    else if (count == 4 && value >= 1000)
        say_year(phrase, (int)value);
    else if (count == 2 && digits[0] == '0')
        say_digits(phrase, digits, count, true);
    else
        say_cardinal(phrase, value, false);
}

static void add_groups(struct readings *readings, const struct groups *groups, const char *between, bool by_digit)
{
    struct phrase phrase;
    phrase_clear(&phrase);
    for (int i = 0; i < groups->groups; i++) {
        if (i > 0)
            phrase_add(&phrase, between);
        say_group(&phrase, groups, i, by_digit);
    }
    readings_add(readings, &phrase);
}

static void add_digits(struct readings *readings, const struct groups *groups, bool oh)
{
    struct phrase phrase;
    phrase_clear(&phrase);
    for (int i = 0; i < groups->groups; i++)
        say_digits(&phrase, groups->digits[i], groups->count[i], oh);
    readings_add(readings, &phrase);
}

static void add_time(struct readings *readings, const struct groups *groups, bool half_day)
{
    bool full_hour = groups->count[1] == 2 && groups->digits[1][0] == '0' && groups->digits[1][1] == '0';
    if (full_hour && groups->groups == 2) {
        struct phrase phrase;
        phrase_clear(&phrase);
        say_group(&phrase, groups, 0, false);
        if (half_day)
            readings_add(readings, &phrase);
        struct phrase full = phrase;
        phrase_add(&full, "o'clock");
        readings_add(readings, &full);
        readings_add(readings, &phrase);
        phrase_add(&phrase, "hundred");
        readings_add(readings, &phrase);
        return;
    }
    add_groups(readings, groups, "", false);
    add_groups(readings, groups, "", true);
}

static void add_fraction(struct readings *readings, const struct groups *groups)
{
    uint64_t above = groups->count[0] <= 4 ? digits_value(groups->digits[0], groups->count[0]) : 0;
    uint64_t below = groups->count[1] <= 3 ? digits_value(groups->digits[1], groups->count[1]) : 0;
    bool fraction = above > 0 && below > 1 && (above < below || below < 5);
    for (int way = 0; way < 2 && fraction; way++) {
        struct phrase phrase;
        phrase_clear(&phrase);
        say_cardinal(&phrase, above, false);
        struct phrase part;
        phrase_clear(&part);
        if (below == 2)
            phrase_add(&part, above == 1 ? "half" : "halves");
        else if (below == 4 && way == 0)
            phrase_add(&part, above == 1 ? "quarter" : "quarters");
        else {
            say_cardinal(&part, below, false);
            phrase_make_ordinal(&part);
            if (above != 1)
                phrase_pluralize(&part);
        }
        phrase_append(&phrase, &part);
        readings_add(readings, &phrase);
    }
    add_groups(readings, groups, "", false);
    add_groups(readings, groups, "over", false);
    add_groups(readings, groups, "slash", false);
}

bool read_digit_groups(const struct written_token *token, struct readings *readings)
{
    struct groups groups;
    char letter;
    if (!parse_groups(token->bytes, token->length, &groups))
        return false;
    const char *rest = token->bytes + groups.length;
    int rest_length = token->length - groups.length;
    bool half_day = groups.separator == ':' && is_half_day(rest, rest_length, &letter);
    if (rest_length > 0 && !half_day)
        return false;
    if (groups.separator == ':') {
        add_time(readings, &groups, half_day);
    } else if (groups.separator == '/') {
        if (groups.groups == 2)
            add_fraction(readings, &groups);
        else
            add_groups(readings, &groups, "", false);
        add_groups(readings, &groups, "slash", false);
    } else if (groups.separator == '-') {
        bool local = groups.groups == 2 && groups.count[0] == 3 && groups.count[1] == 4;
        bool date = groups.groups == 3 && groups.count[0] == 4 && groups.count[1] <= 2 && groups.count[2] <= 2;
        if (groups.groups == 2 && !local)
            add_groups(readings, &groups, "to", false);
        if (date || (groups.groups == 2 && !local))
            add_groups(readings, &groups, "", false);
        add_digits(readings, &groups, false);
        add_digits(readings, &groups, true);
        if (local)
            add_groups(readings, &groups, "to", false);
    } else {
        if (groups.groups < 3)
            return false; /* a decimal */
        add_groups(readings, &groups, "point", false);
        add_groups(readings, &groups, "dot", false);
        add_groups(readings, &groups, "dot", true);
    }
    if (half_day)
        readings_put_half_day_after(readings, letter);
    return true;
}
