/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.h - the box that the daemon serves in: what an intruder in this process could still do is what the daemon
 * itself still has to do.
 *
 * sandbox_enter once, when everything is open that takes more rights (directories made, a BPF file system mounted,
 * programs loaded, the socket bound) and before the first event of the loop is looked at.  There is no way back.  It
 * holds for the calling thread and those that it makes from then on, and the daemon has no other.  The paths are looked up now: a directory that is replaced
 * by another of the same name later is out of reach until the next start.
 *
 * What remains: CAP_BPF, CAP_NET_ADMIN and CAP_NET_BIND_SERVICE; reading and writing the state directory, the BPF file
 * system that the pins are on (unless they are at its top) and /proc/sys/net, reading the configuration's directory and
 * /proc, removing from the run directory; netlink, BPF maps, TCP on BGP's port, UDP, a TAP device, threads.  No programs are
 * loaded or run, no processes made, no other socket than netlink's, those of BGP, UDP and datagrams to the service manager.
 */
#ifndef ISTHMUS_SANDBOX_H
#define ISTHMUS_SANDBOX_H

#include <stdint.h>

#define BGP_PORT 179 /* where `bgp:` does not say another */

struct sandbox_paths {
	const char *config_path; /* its directory, and where links lead now */
	const char *run_dir;
	const char *state_dir;
	const char *bpf_dir;
	uint16_t bgp_port; /* the one TCP port to listen on and to connect to */
};

/*
 * Every layer is tried whatever the others do.  0 when all of them hold; else -errno of the first that does not, and
 * *missing (malloc'd) names each that does not, with its reason.
 */
int sandbox_enter(const struct sandbox_paths *paths, char **missing);

/*
 * The directory that has to be readable for the configuration to be found again after it was replaced, when much else
 * lies there: / or one right below it, as /etc.  malloc'd; NULL = there is none, or no memory.
 */
char *sandbox_wide_directory(const char *config_path);

#endif
