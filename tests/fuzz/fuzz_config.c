/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a configuration; what stands after a NUL byte is a source of run-time ports.  What loads must come out
 * of conf_emit as text that loads as its equal; what does not must name its errors in order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_errors(const struct conf_errors *errors)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	require(f && errors->length > 0 && errors->length <= 100);
	conf_errors_print(errors, f);
	fclose(f);
	for (const char *p = text; *p; p++) /* nothing of the input reaches a terminal but ASCII */
		require((*p >= ' ' && *p < 0x7f) || *p == '\n');
	free(text);
}

static void check_round_trip(const struct config *c)
{
	struct conf_source source = {.name = "again"};
	struct conf_errors errors;
	struct config *again = NULL;
	char *text = NULL;
	FILE *f = open_memstream(&text, &source.size);

	require(f && conf_emit(c, false, f) == 0);
	fclose(f);
	source.text = text;
	if (source.size <= CONF_TEXT_MAX)
		require(conf_load(&source, 1, &again, &errors) == 0 && config_equal(c, again));
	config_free(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *nul = size > 0 ? memchr(data, 0, size) : NULL;
	size_t first = nul ? (size_t)(nul - text) : size;
	const struct conf_source sources[] = {
		{.name = "file", .text = text, .size = first},
		{.name = "ports", .text = nul ? nul + 1 : NULL, .size = nul ? size - first - 1 : 0, .runtime = true},
	};
	struct conf_errors errors;
	struct config *c = NULL;
	int r = conf_load(sources, nul ? 2 : 1, &c, &errors);

	require(r == 0 || r == -EINVAL);
	if (r == 0)
		check_round_trip(c);
	else
		check_errors(&errors);
	conf_errors_fini(&errors);
	config_free(c);
	return 0;
}
