/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - a tree against the schema table.
 *
 * Every value that does not fit is reported and marked broken; what is left may be read without another look at its
 * type.
 */
#ifndef ISTHMUS_CONF_CHECK_H
#define ISTHMUS_CONF_CHECK_H

#include "conf/report.h"
#include "conf/yaml.h"

/* `runtime`: only `ports` may stand there. */
void check_tree(struct yaml *y, bool runtime, struct report *report);

#endif
