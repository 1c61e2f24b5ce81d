/* RUN/report.html: the run's curves, drawn from metrics.jsonl into one page that needs no network. */
#ifndef SPIRITLM_TRAIN_REPORT_H
#define SPIRITLM_TRAIN_REPORT_H

#include "core/status.h"

/* Draws the page anew. `title` stands at its head; `facts_html` (may be "") follows it as it is. */
enum status report_write(const char *run, const char *title, const char *facts_html);

#endif
