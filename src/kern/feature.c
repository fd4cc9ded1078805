/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/feature.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define FEATURES_MAX 1024 /* kernels have about 60 */
#define BLOCKS(n) (((n) + 31) / 32)

static int ask(int fd, const char *device, void *command)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	request.ifr_data = command;
	int r = ioctl(fd, SIOCETHTOOL, &request);

	return r < 0 ? -errno : r;
}

/* The number of all features, and of this one. */
static int find(int fd, const char *device, const char *feature, uint32_t *count, uint32_t *index)
{
	_cleanup_(free) struct ethtool_sset_info *set = calloc(1, sizeof(*set) + sizeof(set->data[0]));
	_cleanup_(free) struct ethtool_gstrings *names = NULL;
	int r;

	if (!set)
		return -ENOMEM;
	set->cmd = ETHTOOL_GSSET_INFO;
	set->sset_mask = 1ULL << ETH_SS_FEATURES;
	r = ask(fd, device, set);
	if (r < 0)
		return r;
	if (!set->sset_mask || !set->data[0] || set->data[0] > FEATURES_MAX)
		return -EOPNOTSUPP;
	*count = set->data[0];
	names = calloc(1, sizeof(*names) + (size_t)*count * ETH_GSTRING_LEN);
	if (!names)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = *count;
	r = ask(fd, device, names);
	if (r < 0)
		return r;
	for (*index = 0; *index < *count; ++*index)
		if (strncmp((const char *)names->data + (size_t)*index * ETH_GSTRING_LEN, feature, ETH_GSTRING_LEN) == 0)
			return 0;
	return -EOPNOTSUPP;
}

bool kern_feature_is_off(const char *device, const char *feature)
{
	_cleanup_(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* any family does for ioctls of devices */
	_cleanup_(free) struct ethtool_gfeatures *values = NULL;
	uint32_t count, i;

	if (fd < 0 || find(fd, device, feature, &count, &i) < 0)
		return false;
	values = calloc(1, sizeof(*values) + BLOCKS(count) * sizeof(values->features[0]));
	if (!values)
		return false;
	values->cmd = ETHTOOL_GFEATURES;
	values->size = BLOCKS(count);
	return ask(fd, device, values) == 0 && (values->features[i / 32].available >> i % 32 & 1) &&
	       !(values->features[i / 32].active >> i % 32 & 1);
}

int kern_feature_switch_off(const char *device, const char *feature)
{
	_cleanup_(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	_cleanup_(free) struct ethtool_sfeatures *wanted = NULL;
	uint32_t count, i;
	int r;

	if (fd < 0)
		return -errno;
	r = find(fd, device, feature, &count, &i);
	if (r < 0)
		return r == -EOPNOTSUPP ? 0 : r;
	wanted = calloc(1, sizeof(*wanted) + BLOCKS(count) * sizeof(wanted->features[0]));
	if (!wanted)
		return -ENOMEM;
	wanted->cmd = ETHTOOL_SFEATURES;
	wanted->size = BLOCKS(count);
	wanted->features[i / 32].valid = UINT32_C(1) << i % 32;
	r = ask(fd, device, wanted);
	return r > 0 ? -EOPNOTSUPP : r; /* heard, and not done */
}
