/* Manifests are compared as text, lists of what was left out by source and reason: details are for people. */
#include "support/import_files.h"

#include "data/manifest.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "support/files.h"
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void put_file(const char *name, const char *text)
{
    char parent[700];
    snprintf(parent, sizeof parent, "%s", test_path("%s", name));
    *strrchr(parent, '/') = 0;
    assert_ok(make_directories(parent));
    write_text(test_path("%s", name), text);
}

void put_audio(const char *name)
{
    put_file(name, "RIFF");
}

static void set_paths(struct import_options *options, const char *source)
{
    options->source = test_path("%s", source);
    options->output = test_path("%.*s.jsonl", (int)strcspn(source, "/"), source);
}

struct import_counts import_ok(struct import_options options, const char *source)
{
    struct import_counts counts;
    struct manifest manifest;
    set_paths(&options, source);
    assert_ok(import_run(&options, &counts));
    if (options.split)
        return counts;
    assert_ok(manifest_read(options.output, NULL, &manifest));
    for (int64_t i = 0; i < manifest.count; i++)
        if (manifest.rows[i].fault)
            fail_msg("%s: %s", options.output, manifest.rows[i].fault);
    assert_int_equal(manifest.count, counts.rows);
    manifest_free(&manifest);
    return counts;
}

void import_fails(struct import_options options, const char *source, enum status code, const char *part)
{
    struct import_counts counts;
    set_paths(&options, source);
    assert_fails(import_run(&options, &counts), code, part);
}

void expect_file(const char *name, const char *text)
{
    void *data;
    int64_t size;
    assert_ok(file_read(test_path("%s", name), 1 << 20, &data, &size));
    assert_string_equal(data, text);
    free(data);
}

void expect_notes(const char *name, const char *lines)
{
    void *data;
    int64_t size;
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    assert_non_null(stream);
    assert_ok(file_read(test_path("%s", name), 1 << 20, &data, &size));
    for (char *state = NULL, *line = strtok_r(data, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        json_t *root;
        const char *source, *reason;
        assert_ok(jdoc_parse(name, line, (int64_t)strlen(line), &root));
        assert_ok(jdoc_get_string(name, root, "source", &source));
        assert_ok(jdoc_get_string(name, root, "reason", &reason));
        fprintf(stream, "%s: %s\n", source, reason);
        json_decref(root);
    }
    assert_int_equal(fclose(stream), 0);
    assert_string_equal(text, lines);
    free(text);
    free(data);
}
