"""Random graphs, seeded and connected, nodes 0 to n-1. Models of networkx; sources beside each."""

import networkx as nx

from espalier.errors import InputError

INITIALS = ("isolated", "star")


def barabasi_albert(n, attach, seed, initial="isolated", tries=1):
    """Preferential attachment (Barabasi and Albert 1999): each new node brings m = max(1, int(attach * n)) edges.

    initial: `isolated`, what the study's graphs started from: m nodes without edges, all joined by node m, so that nodes
    0..m-1 are the sources; `star`, what networkx starts from since 2.6: a star around node 0, which becomes the only source.
    seed: an int.  tries: not needed, these graphs are connected.
    """
    m = max(1, int(attach * n))
    if initial not in INITIALS:
        raise InputError(f"graph.ba_initial must be one of {', '.join(INITIALS)}, got {initial!r}")
    if not m < n:
        raise InputError(f"graph.attach={attach:g} asks for {m} edges a node, but there are only {n} nodes")
    # networkx takes no empty start, but a star with its centre at node m is what one more step from isolated nodes gives.
    start = nx.Graph()
    start.add_nodes_from(range(m + 1))
    start.add_edges_from((i, m) for i in range(m))
    return nx.barabasi_albert_graph(n, m, seed=seed, initial_graph=start if initial == "isolated" else None)


def watts_strogatz(n, neighbours, rewire, seed, tries=100):
    """A ring whose nodes know their k = max(2, int(neighbours * n)) nearest (an odd k counts as k - 1), each edge rewired with
    probability `rewire` (Watts and Strogatz 1998): small worlds near 0.1, nearly random at 1, as in the study.
    """
    k = max(2, int(neighbours * n))
    if k > n:
        raise InputError(f"graph.neighbours={neighbours:g} asks for {k} neighbours among {n} nodes")
    try:
        return nx.connected_watts_strogatz_graph(n, k, rewire, tries=tries, seed=seed)
    except nx.NetworkXError:
        raise InputError(
            f"no connected Watts-Strogatz graph in graph.tries={tries} (n={n}, k={k}, rewire={rewire:g}); raise neighbours"
        ) from None


def erdos_renyi(n, probability, seed, tries=100):
    """Each pair of nodes is an edge with the given probability (Erdos and Renyi 1959); drawn again until connected."""
    for k in range(tries):
        graph = nx.gnp_random_graph(n, probability, seed=seed + k)
        if nx.is_connected(graph):
            return graph
    raise InputError(
        f"no connected Erdos-Renyi graph in graph.tries={tries} (n={n}, probability={probability:g}); raise the probability"
    )


FAMILIES = {"barabasi_albert": barabasi_albert, "watts_strogatz": watts_strogatz, "erdos_renyi": erdos_renyi}
