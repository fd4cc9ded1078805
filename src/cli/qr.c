/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/qr.h"

#include <errno.h>
#include <qrencode.h>

#include "lib/cleanup.h"

#define QUIET 2 /* modules of light around it; four by the standard, and readers do with two */

DEFINE_CLEANUP(qr, QRcode *, QRcode_free)

static bool is_dark(const QRcode *q, int x, int y)
{
	return x >= 0 && y >= 0 && x < q->width && y < q->width && q->data[y * q->width + x] & 1;
}

int qr_print(const char *text, bool color, FILE *f)
{
	static const char *const blocks[] = {"\u2588", "\u2580", "\u2584", " "}; /* light; above; below; none */
	_cleanup_(qr) QRcode *q = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);

	if (!q)
		return -errno;
	for (int y = -QUIET; y < q->width + QUIET; y += 2) {
		fputs(color ? "\033[40;97m" : "", f);
		for (int x = -QUIET; x < q->width + QUIET; x++)
			fputs(blocks[(is_dark(q, x, y) ? 2 : 0) + (is_dark(q, x, y + 1) ? 1 : 0)], f);
		fputs(color ? "\033[0m\n" : "\n", f);
	}
	return 0;
}
