/* What the tests of importers share: files of a corpus, and what an import of them leaves. The manifest of the corpus
 * NAME or NAME/... is NAME.jsonl in the test's folder. */
#ifndef SPIRITLM_TESTS_IMPORT_FILES_H
#define SPIRITLM_TESTS_IMPORT_FILES_H

#include "data/prepare/import/import.h"

void put_file(const char *name, const char *text); /* with its folders */
void put_audio(const char *name);                  /* a file that stands for audio: importers look only at names */

/* Imports, and reads the manifest as prepare would: it has as many rows as were counted, and none has a fault. */
struct import_counts import_ok(struct import_options options, const char *source);
void import_fails(struct import_options options, const char *source, enum status code, const char *part);

/* The file has exactly this text. */
void expect_file(const char *name, const char *text);

/* The list has exactly these lines of "source: reason". */
void expect_notes(const char *name, const char *lines);

#endif
