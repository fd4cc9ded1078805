/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/object.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "datapath.skel.h" /* its struct datapath is the skeleton; ours is not visible here */
#include "dp/error.h"
#include "lib/cleanup.h"
#include "lib/hmap.h"

struct object {
	struct datapath *skeleton;
};

/*
 * Take an IPv4 header off an IPv4-in-IPv4 packet and say that it is IPv4 below: a kernel that does not know the flag
 * answers -EINVAL.  The helper's answer is the program's.
 */
bool object_probe_decap_flags(void)
{
	enum { FLAGS = 1 << 7 /* BPF_F_ADJ_ROOM_DECAP_L3_IPV4 */ };
	static const struct bpf_insn instructions[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = -20},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = BPF_ADJ_ROOM_MAC},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = FLAGS},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_adjust_room},
		{.code = BPF_JMP | BPF_EXIT},
	};
	uint8_t packet[14 + 20 + 20 + 8] = {[12] = 0x08, [14] = 0x45, [23] = 4, [34] = 0x45, [43] = 17};
	_cleanup_(fd) int fd = -1;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet), .repeat = 1);

	fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "probe", "GPL", instructions,
			   sizeof(instructions) / sizeof(*instructions), NULL);
	return fd >= 0 && bpf_prog_test_run_opts(fd, &run) == 0 && run.retval == 0;
}

static int refuse(int r, const char *what)
{
	struct utsname name = {0};

	uname(&name);
	switch (-r) {
	case EPERM:
		if (geteuid() != 0)
			return error_set(r, "%s: not permitted; run as root (CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN)",
					 what);
		return error_set(r, "%s: not permitted although root; a container without CAP_BPF and CAP_SYS_ADMIN, "
				    "a seccomp filter or kernel lockdown forbids bpf()", what);
	case EACCES:
		return error_set(r, "%s: the verifier of kernel %s refused a program; Linux 5.15 or newer is needed, "
				    "else it is a fault of this build: report it with the verifier's words "
				    "(--log-level debug)", what, name.release);
	case ENOSYS:
		return error_set(r, "%s: kernel %s has no bpf(); it needs CONFIG_BPF_SYSCALL", what, name.release);
	case EMFILE:
	case ENFILE:
		return error_set(r, "%s: no file descriptors left (%s); raise LimitNOFILE of the unit, or ulimit -n, to "
				    "1024 or more", what, strerror(-r));
	case ENOMEM:
		return error_set(r, "%s: no memory; the maps need about 100 MB, raise the memory limit (MemoryMax)",
				 what);
	default:
		return error_set(r, "%s: kernel %s refused: %s; Linux 5.15 or newer with CONFIG_BPF_JIT and "
				    "CONFIG_NET_CLS_BPF is needed (--log-level debug shows the verifier's words)",
				 what, name.release, strerror(-r));
	}
}

void object_close(struct object *o)
{
	if (!o)
		return;
	datapath__destroy(o->skeleton);
	free(o);
}

int object_open(struct object **out)
{
	struct object *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return error_set(-ENOMEM, "opening the BPF programs: no memory");
	o->skeleton = datapath__open();
	if (!o->skeleton) {
		r = errno ? -errno : -EINVAL;
		free(o);
		return refuse(r, "opening the BPF programs");
	}
	o->skeleton->rodata->have_decap_flags = object_probe_decap_flags();
	*out = o;
	return 0;
}

int object_load(struct object *o)
{
	int r = datapath__load(o->skeleton);

	return r < 0 ? refuse(r, "loading the BPF programs") : 0;
}

uint64_t object_build(const struct object *o)
{
	size_t size;
	const void *bytes = datapath__elf_bytes(&size);
	uint64_t words[2] = {hash_stable(bytes, size), hash_stable(o->skeleton->rodata, sizeof(*o->skeleton->rodata))};

	return hash_stable(words, sizeof(words)) | 1;
}

struct bpf_object *object_bpf(const struct object *o)
{
	return o->skeleton->obj;
}
