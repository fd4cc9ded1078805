/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const int allowed[] = {
	/* memory; executable only in the rows below */
	SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap),
	/* descriptors */
	SCMP_SYS(close), SCMP_SYS(dup), SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
	SCMP_SYS(getdents64), SCMP_SYS(lseek), SCMP_SYS(pread64), SCMP_SYS(read), SCMP_SYS(readv),
	SCMP_SYS(write), SCMP_SYS(writev),
	/* names; Landlock says which */
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(lstat), SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat), SCMP_SYS(newfstatat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
	SCMP_SYS(stat), SCMP_SYS(statfs), SCMP_SYS(statx), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	/* sockets; which ones in the rows below */
	SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(getpeername),
	SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(listen), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
	SCMP_SYS(sendto), SCMP_SYS(setsockopt), SCMP_SYS(shutdown),
	/* waiting and time */
	SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2), SCMP_SYS(futex), SCMP_SYS(gettimeofday),
	SCMP_SYS(nanosleep), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(restart_syscall), SCMP_SYS(sched_yield),
	SCMP_SYS(time),
	/* a thread begins with these */
	SCMP_SYS(rseq), SCMP_SYS(set_robust_list),
	/* this process */
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getpid),
	SCMP_SYS(getppid), SCMP_SYS(getrandom), SCMP_SYS(getrlimit), SCMP_SYS(getrusage), SCMP_SYS(gettid),
	SCMP_SYS(getuid), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(sysinfo), SCMP_SYS(umask), SCMP_SYS(uname),
#if SANITIZED
	/* The search for leaks at the end stops this process from a helper that shares its memory. */
	SCMP_SYS(clone), SCMP_SYS(getdents), SCMP_SYS(open), SCMP_SYS(prctl), SCMP_SYS(ptrace), SCMP_SYS(readlink),
	SCMP_SYS(sigaltstack), SCMP_SYS(wait4),
#endif
};

#define ARGUMENTS_MAX 3

#define STREAM {1, SCMP_CMP_MASKED_EQ, (unsigned)~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_STREAM}
#define DATAGRAM {1, SCMP_CMP_MASKED_EQ, (unsigned)~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_DGRAM}

#define NAMESPACES                                                                                                     \
	(CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS)

static const struct row {
	int call;
	unsigned n;
	struct scmp_arg_cmp arguments[ARGUMENTS_MAX];
} rows[] = {
	/* A file that may only be read is not cut either: Landlock sees to that from its version 3 on. */
	{SCMP_SYS(openat), 1, {{2, SCMP_CMP_MASKED_EQ, O_TRUNC, 0}}},
	{SCMP_SYS(openat), 1, {{2, SCMP_CMP_MASKED_EQ, O_ACCMODE, O_WRONLY}}},
	{SCMP_SYS(openat), 1, {{2, SCMP_CMP_MASKED_EQ, O_ACCMODE, O_RDWR}}},
	/* No memory becomes code. */
	{SCMP_SYS(mmap), 1, {{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}}},
	{SCMP_SYS(mprotect), 1, {{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}}},
	{SCMP_SYS(socket), 2, {{0, SCMP_CMP_EQ, AF_NETLINK}, {2, SCMP_CMP_EQ, NETLINK_ROUTE}}},
	{SCMP_SYS(socket), 2, {{0, SCMP_CMP_EQ, AF_NETLINK}, {2, SCMP_CMP_EQ, NETLINK_NETFILTER}}},
	/* To the service manager, and for ioctls of devices; the socket of clients is there already. */
	{SCMP_SYS(socket), 2, {{0, SCMP_CMP_EQ, AF_UNIX}, DATAGRAM}},
	/* BGP; Landlock says to which port. */
	{SCMP_SYS(socket), 3, {{0, SCMP_CMP_EQ, AF_INET}, STREAM, {2, SCMP_CMP_EQ, IPPROTO_TCP}}},
	{SCMP_SYS(socket), 3, {{0, SCMP_CMP_EQ, AF_INET6}, STREAM, {2, SCMP_CMP_EQ, IPPROTO_TCP}}},
	/* Encryption: UDP, and for ioctls of its device; threads of this process, and neither processes nor namespaces. */
	{SCMP_SYS(socket), 3, {{0, SCMP_CMP_EQ, AF_INET}, DATAGRAM, {2, SCMP_CMP_EQ, 0}}},
	{SCMP_SYS(socket), 3, {{0, SCMP_CMP_EQ, AF_INET6}, DATAGRAM, {2, SCMP_CMP_EQ, 0}}},
	{SCMP_SYS(clone), 1, {{0, SCMP_CMP_MASKED_EQ, CLONE_THREAD | NAMESPACES, CLONE_THREAD}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, TUNSETIFF}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, TUNSETOWNER}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, TUNSETPERSIST}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, TUNSETOFFLOAD}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, TUNSETVNETHDRSZ}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, SIOCGIFHWADDR}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, SIOCSIFFLAGS}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, SIOCSIFMTU}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, SIOCSIFTXQLEN}}},
	/* An owner of a descriptor gets signals of its choice, with no capability if root made it so: none is named. */
	{SCMP_SYS(fcntl), 1, {{1, SCMP_CMP_EQ, F_DUPFD_CLOEXEC}}},
	{SCMP_SYS(fcntl), 1, {{1, SCMP_CMP_EQ, F_GETFD}}},
	{SCMP_SYS(fcntl), 1, {{1, SCMP_CMP_EQ, F_SETFD}}},
	{SCMP_SYS(fcntl), 1, {{1, SCMP_CMP_EQ, F_GETFL}}},
	{SCMP_SYS(fcntl), 2, {{1, SCMP_CMP_EQ, F_SETFL}, {2, SCMP_CMP_MASKED_EQ, O_ASYNC, 0}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, SIOCGIFINDEX}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, SIOCGIFNAME}}},
	{SCMP_SYS(ioctl), 1, {{1, SCMP_CMP_EQ, SIOCETHTOOL}}},
	{SCMP_SYS(prlimit64), 2, {{0, SCMP_CMP_EQ, 0}, {2, SCMP_CMP_EQ, 0}}}, /* to look */
};

/* Maps and pins.  Programs were loaded at the start: with one more, an intruder would be in the kernel. */
static const enum bpf_cmd bpf_commands[] = {
	BPF_MAP_CREATE,
	BPF_MAP_LOOKUP_ELEM,
	BPF_MAP_UPDATE_ELEM,
	BPF_MAP_DELETE_ELEM,
	BPF_MAP_GET_NEXT_KEY,
	BPF_MAP_LOOKUP_AND_DELETE_ELEM,
	BPF_MAP_LOOKUP_BATCH,
	BPF_MAP_LOOKUP_AND_DELETE_BATCH,
	BPF_MAP_UPDATE_BATCH,
	BPF_MAP_DELETE_BATCH,
	BPF_OBJ_GET,
	BPF_OBJ_GET_INFO_BY_FD,
	BPF_OBJ_PIN,
};

/* Neither the daemon nor a library of its holds a use for these. */
static const int hostile[] = {
	/* becoming or making something else */
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(chroot), SCMP_SYS(pivot_root), SCMP_SYS(setns),
	SCMP_SYS(unshare), SCMP_SYS(personality),
	/* other processes, and keys */
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(add_key), SCMP_SYS(keyctl), SCMP_SYS(request_key),
#if !SANITIZED
	SCMP_SYS(ptrace),
#endif
	/* the kernel */
	SCMP_SYS(delete_module), SCMP_SYS(finit_module), SCMP_SYS(init_module), SCMP_SYS(kexec_file_load),
	SCMP_SYS(kexec_load), SCMP_SYS(reboot), SCMP_SYS(ioperm), SCMP_SYS(iopl), SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd), SCMP_SYS(syslog),
	/* the host */
	SCMP_SYS(acct), SCMP_SYS(adjtimex), SCMP_SYS(clock_adjtime), SCMP_SYS(clock_settime), SCMP_SYS(open_by_handle_at),
	SCMP_SYS(quotactl), SCMP_SYS(setdomainname), SCMP_SYS(sethostname), SCMP_SYS(settimeofday), SCMP_SYS(swapoff),
	SCMP_SYS(swapon),
};

DEFINE_CLEANUP(filter, scmp_filter_ctx, seccomp_release)

static int add_rows(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rows[i].call, rows[i].n, rows[i].arguments);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < sizeof(bpf_commands) / sizeof(*bpf_commands); i++) {
		int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1,
					 SCMP_A0(SCMP_CMP_EQ, bpf_commands[i]));

		if (r < 0)
			return r;
	}
	/* Its arguments are in memory, where no row can look: the C library makes threads by clone then. */
	if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) < 0)
		return -EINVAL;
	/* abort() signals its own process */
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

static int add_all(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++) {
		int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
		int r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, hostile[i], 0);

		if (r < 0)
			return r;
	}
	return add_rows(filter);
}

int syscalls_restrict(void)
{
	_cleanup_(filter) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!filter)
		return -ENOMEM;
	/* Calls by another architecture's numbers would go round every row. */
	r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a line of comparisons */
	if (r == 0)
		r = add_all(filter);
	return r < 0 ? r : seccomp_load(filter);
}
