/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_view.h - what the tables of the fake kernel mean, as sorted text: numbers of next hops and slots of lists,
 * which may differ between two runs that forward alike, are replaced by whom they stand for.
 *
 * Reads the maps by itself and not through src/dp, whose work it judges.  The text is the caller's.
 */
#ifndef ISTHMUS_KERNEL_VIEW_H
#define ISTHMUS_KERNEL_VIEW_H

char *kernel_view(void);

#endif
