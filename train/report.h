/* RUN/report.html: what was run and its curves, from run.json and metrics.jsonl, in one page that needs nothing else: no
 * network, no script. */
#ifndef SPIRITLM_TRAIN_REPORT_H
#define SPIRITLM_TRAIN_REPORT_H

#include "core/status.h"

/* Draws the page anew. `title` stands at its head, `facts` (a sentence, may be "") below; both as text, whatever is in
 * them. Without run.json nothing is said of starts. */
enum status report_write(const char *run, const char *title, const char *facts);

#endif
