/* The datasets that a configuration lists, opened together. */
#ifndef SPIRITLM_DATA_DATASETS_H
#define SPIRITLM_DATA_DATASETS_H

#include "data/shard.h"
#include "io/config.h"
#include "package/components.h"

/* Opens one dataset per folder, in their order, and refuses those whose units the components did not make (STATUS_USAGE,
 * naming both sources). *datasets is the caller's, for datasets_close. */
enum status datasets_open(const struct config_list *folders, const struct components *components,
                          struct dataset ***datasets);
void datasets_close(struct dataset **datasets, int64_t count); /* NULL is fine */

#endif
