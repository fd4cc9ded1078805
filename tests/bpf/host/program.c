/* SPDX-License-Identifier: Apache-2.0 */
/* program.c - the data plane's source, compiled for the host, and the list of its maps and programs. */
#include "datapath.bpf.c"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host.h"

#define COUNT(declared) (sizeof(*(declared)) / sizeof(int))
#define REGISTER(map)                                                                                                  \
	host_map_register(&(map), #map, COUNT((map).type), sizeof(*(map).key), sizeof(*(map).value),                   \
			  COUNT((map).max_entries))

void host_init(void)
{
	REGISTER(node);
	REGISTER(ports);
	REGISTER(nexthops);
	REGISTER(macs);
	REGISTER(hosts);
	REGISTER(prefixes);
	REGISTER(members);
	REGISTER(floods);
	REGISTER(drops);
	REGISTER(counters);
	REGISTER(samples);
	REGISTER(scratches);
	REGISTER(buckets);
	REGISTER(ways);
	REGISTER(epoch);
	REGISTER(port_memos);
	REGISTER(wire_memos);
}

/* The loader writes .rodata before the program is frozen; here its page is opened for a moment. */
void host_set_decap_flags(bool have)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *start = (void *)((uintptr_t)&have_decap_flags & ~(page - 1));

	if (mprotect(start, page, PROT_READ | PROT_WRITE) < 0) {
		perror("host: mprotect");
		exit(1);
	}
	*(volatile bool *)(uintptr_t)&have_decap_flags = have;
}

int host_program_call(enum host_program program, struct __sk_buff *skb)
{
	switch (program) {
	case HOST_PORT_INGRESS:
		return port_ingress(skb);
	case HOST_PORT_EGRESS:
		return port_egress(skb);
	case HOST_WIRE_INGRESS:
		return wire_ingress(skb);
	case HOST_SECURE_EGRESS:
		return secure_egress(skb);
	default:
		return -EINVAL;
	}
}
