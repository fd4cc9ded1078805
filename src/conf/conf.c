/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "conf/build.h"
#include "conf/check.h"
#include "conf/report.h"
#include "conf/yaml.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(build, struct build *, build_fini)

static int read_all(const struct conf_source *sources, size_t n_sources, struct report *report, struct yaml **yamls)
{
	int r = 0;

	for (size_t i = 0; i < n_sources; i++) {
		int v = yaml_read((unsigned)i, &sources[i], report, &yamls[i]);

		if (v == -ENOMEM)
			return v;
		if (v < 0)
			r = v; /* the other sources are read for their errors */
		else
			check_tree(yamls[i], sources[i].runtime, report);
	}
	return r;
}

/* They are written down together, and together they have to be read again. */
static int check_runtime(const struct build *b, const struct conf_source *sources)
{
	size_t last = b->n_yamls - 1, size_max = sources[last].size_max ? sources[last].size_max : CONF_TEXT_MAX;
	const struct yaml_node *n = build_entries(&b->yamls[last]->root, "ports");
	struct conf_extent e;
	int r = conf_runtime_extent(b->config, &e);

	if (r < 0)
		return r;
	while (n && !n->object)
		n = n->next;
	if (n && !conf_extent_fits(&e, size_max))
		report_key(b->report, n, CONF_TOO_MANY_RUNTIME,
			   "%zu ports added at run time are %zu values in %zu bytes, more than a restart would read again; "
			   "expected at most %zu values in %zu bytes: put some into the configuration file, or start "
			   "isthmusd with a larger --max-config",
			   b->config->n_runtime, e.values, e.size, yaml_nodes_max(size_max), size_max);
	return 0;
}

static int load(const struct conf_source *sources, size_t n_sources, struct yaml **yamls, struct report *report,
		struct config **out, struct conf_errors *errors)
{
	struct build b = {.report = report, .yamls = yamls, .n_yamls = n_sources};
	_cleanup_(build) struct build *cleanup = &b;
	int r = read_all(sources, n_sources, report, yamls);

	/* Without its text nothing can be said of the objects in it, and with a full report nothing more is told. */
	if (r == -EINVAL || report_is_full(report))
		return report_finish(report, errors);
	if (r >= 0)
		r = build_objects(cleanup);
	if (r >= 0)
		r = clash_check(&b);
	if (r >= 0 && report->total == 0 && b.config->n_runtime > 0) /* only what is whole can be written */
		r = check_runtime(&b, sources);
	if (r >= 0)
		r = report_finish(report, errors);
	if (r >= 0)
		*out = TAKE_PTR(b.config);
	return r;
}

size_t conf_text_max(const char *mib)
{
	char *end;
	unsigned long n = strtoul(mib, &end, 10);

	return *mib < '0' || *mib > '9' || *end || n < CONF_TEXT_MAX >> 20 || n > CONF_TEXT_MAX_MIB ? 0 : n << 20;
}

int conf_load(const struct conf_source *sources, size_t n_sources, struct config **out, struct conf_errors *errors)
{
	_cleanup_(free) struct yaml **yamls = calloc(n_sources, sizeof(struct yaml *));
	_cleanup_(free) struct report *report = calloc(1, sizeof(*report));
	struct conf_errors ignored = {};
	int r;

	assert(n_sources > 0);
	*errors = (struct conf_errors){};
	if (!yamls || !report)
		return -ENOMEM;
	report->sources = sources;
	r = load(sources, n_sources, yamls, report, out, errors);
	if (r == -ENOMEM) {
		conf_errors_fini(errors);
		report_finish(report, &ignored);
		conf_errors_fini(&ignored);
	}
	for (size_t i = 0; i < n_sources; i++)
		yaml_free(yamls[i]);
	return r;
}
