/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native.h - the tenant whose networks have no encapsulation: which addresses are its own.
 *
 * There is one at most, and it shares the underlay's address space.  So its subnets are the bounds of what unicast routes
 * of others may say: a host in them is an endpoint of this tenant; everything else belongs to the underlay, whose routes
 * are none of ours, and no address in them is one that packets of the fabric are sent to.
 *
 * Call order: native_set any number of times on zeroes, native_fini.  It copies what it keeps.  Any thread, one at a time.
 */
#ifndef ISTHMUS_RIB_NATIVE_H
#define ISTHMUS_RIB_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "model/config.h"

struct native {
	uint32_t tenant; /* VNI; 0 = there is none */
	struct prefix *subnets; /* in order; they do not overlap */
	size_t n_subnets;
	struct addr *gateways;
	size_t n_gateways;
};

/* As the tenant is now; NULL = there is none.  1 it was another, 0 it was so, -ENOMEM and it is as it was. */
int native_set(struct native *n, const struct config_tenant *tenant);
void native_fini(struct native *n);

bool native_contains(const struct native *n, const struct addr *a); /* in one of its subnets */
bool native_is_gateway(const struct native *n, const struct addr *a);

#endif
