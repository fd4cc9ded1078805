# SPDX-License-Identifier: Apache-2.0
"""The lab: clouds in network namespaces, with real daemons, real peers and taps on every cable.

    fabric = Fabric()                          # what the configuration file says, in Python (fabric.py)
    fabric.node("dc1", site="dc")
    fabric.tenant("red", vni=5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24"])
    fabric.port("web1", "dc1", "red/web", ["10.0.1.11"])
    with Lab(fabric) as lab:                   # builds and starts it (room.py); removes it at the end, whatever happens
        lab.host("web1").ping("10.0.1.12")

Layers, each knowing only those above it in this list:

    run      commands, wait_until, what to undo and the record that a later run cleans up by
    netns    namespaces and `ip -batch`
    packet   frames by hand
    capture  taps on links
    talker   the traffic program that runs inside a host; speaks JSON lines
    host     a workload: ping, sockets, traffic
    node     a machine with isthmusd
    peer     machines that do not run isthmusd: kernel VXLAN with a bridge, Open vSwitch
    fabric   the configuration
    room     sites, the WAN, nodes, hosts and cables, from a fabric
    demo     `make demo`

Only the standard library; nothing here sleeps: everything waits for a condition.
"""
