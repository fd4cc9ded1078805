/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the key reference of isthmus.yaml(5), at build time. */
#include <stdio.h>

#include "conf/conf.h"

int main(void)
{
	return conf_mdoc_reference(stdout) < 0 || fflush(stdout) != 0;
}
