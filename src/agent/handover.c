/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/handover.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/cleanup.h"
#include "lib/text.h"

struct owned {
	uint32_t vni;
	const char *by; /* a network's full name, or a tenant's */
	const struct config_tenant *tenant;
};

static int owned_compare(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	return (x->vni > y->vni) - (x->vni < y->vni);
}

static int owned_list(const struct config *c, struct owned **out, size_t *length)
{
	size_t n = c->n_tenants, i = 0;

	for (size_t t = 0; t < c->n_tenants; t++)
		n += c->tenants[t].n_networks;
	*out = calloc(n + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (size_t t = 0; t < c->n_tenants; t++) {
		const struct config_tenant *tenant = &c->tenants[t];

		(*out)[i++] = (struct owned){tenant->vni, tenant->name, tenant};
		for (size_t k = 0; k < tenant->n_networks; k++)
			if (tenant->networks[k].vni)
				(*out)[i++] = (struct owned){tenant->networks[k].vni, tenant->networks[k].full_name, tenant};
	}
	qsort(*out, i, sizeof(**out), owned_compare);
	*length = i;
	return 0;
}

static bool is_renamed(const struct config *before, const struct config *after, const struct config_tenant *from,
		       const struct config_tenant *to)
{
	return !config_tenant(after, from->name) && !config_tenant(before, to->name);
}

int handover_check(const struct config *before, const struct config *after, char **why)
{
	_cleanup_(free) struct owned *old = NULL, *now = NULL;
	size_t n_old, n_now;
	int r = owned_list(before, &old, &n_old);

	if (r == 0)
		r = owned_list(after, &now, &n_now);
	for (size_t i = 0, k = 0; r == 0 && i < n_now; i++) {
		while (k < n_old && old[k].vni < now[i].vni)
			k++;
		if (k == n_old || old[k].vni != now[i].vni ||
		    config_tenant(after, old[k].tenant->name) == now[i].tenant ||
		    is_renamed(before, after, old[k].tenant, now[i].tenant))
			continue;
		r = text_format(why,
				"VNI %u is that of %s (tenant %s), and would at once be that of %s (tenant %s): while nodes "
				"change over, each would get packets of the other; apply the file without %s on all nodes "
				"first",
				now[i].vni, old[k].by, old[k].tenant->name, now[i].by, now[i].tenant->name, now[i].by) < 0 ?
			    -ENOMEM : -EINVAL;
	}
	return r;
}
