/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscalls.h - the system calls of the daemon once it serves; private to the sandbox.
 *
 * syscalls_restrict is the last layer of sandbox_enter: the earlier ones need calls that it takes away.  What is listed
 * is allowed.  What no code of the daemon or its libraries could want ends the process: somebody else is running it, the
 * data plane goes on without, and the service manager starts a clean one.  Everything else answers EPERM, which code
 * that only tries something (a libc newer than this list) can live with.
 */
#ifndef ISTHMUS_SYSCALLS_H
#define ISTHMUS_SYSCALLS_H

int syscalls_restrict(void); /* 0 or -errno: no filter is in force */

#endif
