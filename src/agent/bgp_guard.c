/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bgp_guard.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif

#define SYN_MAX 512    /* the headers of a SYN: 60 + 60, or 40 and extensions */
#define TTL_OFFSET 8   /* RFC 791 3.1 */
#define HOPS_OFFSET 7  /* RFC 8200 3 */

int bgp_guard_key(int fd, const struct sockaddr_storage *remote, const char *key)
{
	struct tcp_md5sig md5 = {.tcpm_keylen = (uint16_t)strlen(key)};
	int r;

	memcpy(&md5.tcpm_addr, remote, sizeof(md5.tcpm_addr));
	memcpy(md5.tcpm_key, key, md5.tcpm_keylen);
	r = setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &md5, sizeof(md5)) < 0 ? -errno : 0;
	explicit_bzero(&md5, sizeof(md5));
	if (r == -ENOENT && !*key)
		return 0;
	return r == -ENOMEM ? -ENOBUFS : r; /* of the socket's own memory, not of the machine's */
}

int bgp_guard_distance(int fd, bool v4, uint8_t hops)
{
	int least = hops ? BGP_GUARD_TTL + 1 - hops : 0;

	return setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MINTTL : IPV6_MINHOPCOUNT, &least, sizeof(least)) < 0
		       ? -errno : 0;
}

int bgp_guard_remember(int fd)
{
	int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_SAVE_SYN, &on, sizeof(on)) < 0 ? -errno : 0;
}

bool bgp_guard_came_near(int fd, bool v4, uint8_t hops)
{
	uint8_t syn[SYN_MAX];
	socklen_t size = sizeof(syn);
	size_t offset = v4 ? TTL_OFFSET : HOPS_OFFSET;

	if (getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, syn, &size) < 0 || size <= offset)
		return false;
	return syn[offset] >= BGP_GUARD_TTL + 1 - hops;
}
