/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/native.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void native_fini(struct native *n)
{
	free(n->subnets);
	free(n->gateways);
	*n = (struct native){0};
}

static int compare_prefixes(const void *a, const void *b)
{
	const struct prefix *p = a, *q = b;

	return addr_compare(&p->addr, &q->addr);
}

static int copy(const struct config_tenant *t, struct native *out)
{
	size_t n_subnets = 0, n_gateways = 0;

	for (size_t i = 0; i < t->n_networks; i++) {
		n_subnets += t->networks[i].n_subnets;
		n_gateways += t->networks[i].n_gateways;
	}
	*out = (struct native){.tenant = t->vni};
	out->subnets = calloc(n_subnets + 1, sizeof(*out->subnets));
	out->gateways = calloc(n_gateways + 1, sizeof(*out->gateways));
	if (!out->subnets || !out->gateways) {
		native_fini(out);
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->n_networks; i++) {
		const struct config_network *network = &t->networks[i];

		for (size_t k = 0; k < network->n_subnets; k++)
			out->subnets[out->n_subnets++] = network->subnets[k];
		for (size_t k = 0; k < network->n_gateways; k++)
			out->gateways[out->n_gateways++] = network->gateways[k];
	}
	qsort(out->subnets, n_subnets, sizeof(*out->subnets), compare_prefixes);
	return 0;
}

static bool same_prefixes(const struct native *a, const struct native *b)
{
	for (size_t i = 0; i < a->n_subnets && i < b->n_subnets; i++)
		if (a->subnets[i].length != b->subnets[i].length ||
		    !addr_equal(&a->subnets[i].addr, &b->subnets[i].addr))
			return false;
	return a->n_subnets == b->n_subnets;
}

static bool same_gateways(const struct native *a, const struct native *b)
{
	for (size_t i = 0; i < a->n_gateways && i < b->n_gateways; i++)
		if (!addr_equal(&a->gateways[i], &b->gateways[i]))
			return false;
	return a->n_gateways == b->n_gateways;
}

int native_set(struct native *n, const struct config_tenant *tenant)
{
	struct native next = {0};
	int r = tenant ? copy(tenant, &next) : 0;

	if (r < 0)
		return r;
	if (n->tenant == next.tenant && same_prefixes(n, &next) && same_gateways(n, &next)) {
		native_fini(&next);
		return 0;
	}
	native_fini(n);
	*n = next;
	return 1;
}

bool native_contains(const struct native *n, const struct addr *a)
{
	size_t low = 0, high = n->n_subnets;

	while (low < high) { /* the last that does not begin behind it */
		size_t middle = (low + high) / 2;

		if (addr_compare(&n->subnets[middle].addr, a) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && prefix_contains(&n->subnets[low - 1], a);
}

bool native_is_gateway(const struct native *n, const struct addr *a)
{
	for (size_t i = 0; i < n->n_gateways; i++)
		if (addr_equal(&n->gateways[i], a))
			return true;
	return false;
}
