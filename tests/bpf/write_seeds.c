/* SPDX-License-Identifier: Apache-2.0 */
/* write_seeds DIR - the seeds as inputs of tests/fuzz/fuzz_packet.c, one file each; large and repetitive ones left out.
 */
#include <stdio.h>
#include <string.h>

#include "seeds.h"

int main(int argc, char **argv)
{
	size_t written = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: write_seeds DIR\n");
		return 2;
	}
	for (size_t i = 0; i < seeds_length(); i++) {
		const struct seed *s = seeds_get(i);
		uint8_t head[3] = { s->program == HOST_WIRE_INGRESS, 0, 0 };
		char path[4096];
		FILE *f;

		if (s->frame.size > 220 || i % 5)
			continue;
		for (uint8_t e = 0; e < WEB4; e++)
			if (endpoints[e].ifindex == s->ifindex)
				head[1] = e;
		snprintf(path, sizeof(path), "%s/seed-%04zu", argv[1], i);
		f = fopen(path, "wb");
		if (!f || fwrite(head, 1, sizeof(head), f) != sizeof(head) ||
		    fwrite(s->frame.data, 1, s->frame.size, f) != s->frame.size || fclose(f) != 0) {
			perror(path);
			return 1;
		}
		written++;
	}
	printf("%zu files\n", written);
	return 0;
}
