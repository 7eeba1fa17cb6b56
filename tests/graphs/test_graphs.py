import json
import math
import statistics

import networkx as nx
import numpy as np
import pytest

from espalier.errors import InputError
from espalier.graphs import (
    DIRECTED,
    STUDY,
    barabasi_albert,
    erdos_renyi,
    layered,
    properties,
    read,
    read_folder,
    to_dag,
    watts_strogatz,
    write,
)

EDGES = [(0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)]
EXAMPLE = nx.Graph(EDGES)


def test_layers_of_the_studys_example():
    structure = layered(nx.DiGraph(EDGES))
    assert structure.index == {0: 0, 1: 0, 2: 1, 3: 2, 4: 3}
    assert structure.sizes == [2, 1, 1, 1] and structure.sinks == [[], [], [], [0]]
    assert layered(EXAMPLE).layers == structure.layers  # undirected: edges lead from the lower number


def test_edges_lead_from_the_node_that_comes_first():
    graph = nx.Graph()
    graph.add_nodes_from("cab")
    graph.add_edges_from(["ab", "bc", "ca"])
    assert set(to_dag(graph).edges) == {("c", "a"), ("c", "b"), ("a", "b")}
    assert layered(graph).layers == (("c",), ("a",), ("b",))


def test_layer_is_the_longest_path():
    for seed in range(5):
        dag = to_dag(watts_strogatz(30, 0.2, 1, seed))
        for vertex, index in layered(dag).index.items():
            before = dag.subgraph(nx.ancestors(dag, vertex) | {vertex})
            assert index == nx.dag_longest_path_length(before)


def test_layers_take_linear_time():
    graph = nx.path_graph(100_000)
    assert len(layered(graph).layers) == 100_000


@pytest.mark.parametrize(
    "graph, told",
    [
        (nx.Graph([(0, 1), (1, 1)]), "self-loop at node 1"),
        (nx.DiGraph([(0, 1), (1, 2), (2, 0)]), "cycle 0 -> 1 -> 2"),
        (nx.empty_graph(3), "no edge"),
        (nx.empty_graph(1), "1 node"),
        (nx.empty_graph(0), "0 nodes"),
        (nx.Graph([(0, 1), (2, 3)]), "disconnected"),
        (nx.MultiGraph([(0, 1), (0, 1)]), "multigraph"),
        ([(0, 1)], "networkx graph"),
    ],
)
def test_unfit_graphs(graph, told):
    for function in (layered, properties):
        with pytest.raises(InputError, match=told) as error:
            function(graph)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("n, sources, edges", [(10, 1, 9), (25, 2, 46), (50, 5, 225)])
def test_barabasi_albert_starts_from_isolated_nodes(n, sources, edges):
    graph = barabasi_albert(n, 0.1, seed=1)
    assert layered(graph).sizes[0] == sources and graph.number_of_edges() == edges
    star = barabasi_albert(n, 0.1, seed=1, initial="star")
    assert layered(star).sizes[0] == 1 and star.number_of_edges() == edges


def test_random_graphs_are_seeded_connected_and_of_their_kind():
    for make in (
        lambda seed: barabasi_albert(30, 0.1, seed),
        lambda seed: watts_strogatz(30, 0.2, 0.5, seed),
        lambda seed: erdos_renyi(30, 0.15, seed),
    ):
        assert nx.utils.graphs_equal(make(4), make(4)) and not nx.utils.graphs_equal(make(4), make(5))
        assert all(nx.is_connected(make(seed)) and list(make(seed)) == list(range(30)) for seed in range(8))
    # Theory: degrees of G(n, p) have mean (n - 1) p; a ring that is not rewired clusters with 3 (k - 2) / (4 (k - 1)).
    degrees = [degree for seed in range(60) for _, degree in erdos_renyi(40, 0.25, seed).degree]
    assert abs(statistics.mean(degrees) - 39 * 0.25) < 0.25
    assert nx.average_clustering(watts_strogatz(40, 0.15, 0, 0)) == pytest.approx(3 * 4 / (4 * 5))
    assert watts_strogatz(31, 0.23, 1, 0).number_of_edges() == 31 * 3  # an odd k counts as k - 1


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda: erdos_renyi(30, 0.01, 0), "no connected Erdos-Renyi"),
        (lambda: barabasi_albert(5, 1.0, 0), "only 5 nodes"),
        (lambda: barabasi_albert(5, 0.1, 0, "ring"), "must be one of"),
        (lambda: watts_strogatz(5, 2.0, 1, 0), "neighbours"),
    ],
)
def test_impossible_random_graphs(make, told):
    with pytest.raises(InputError, match=told):
        make()


def test_properties_by_hand():
    """A path of four nodes: everything can be counted on paper."""
    found = properties(nx.path_graph(4))
    assert list(found) == [*STUDY, *DIRECTED] and len(STUDY) == 23
    expected = {
        "layers": 4, "nodes": 4, "edges": 3, "source_nodes": 1, "sink_nodes": 1, "diameter": 3, "density": 3 / 12,
        "average_shortest_path_length": 10 / 6, "eccentricity_mean": 2.5, "eccentricity_var": 1 / 3,
        "eccentricity_std": math.sqrt(1 / 3), "degree_mean": 0.5, "degree_var": (4 * (1 / 6) ** 2) / 3,
        "closeness_mean": (0.5 + 0.75) / 2, "closeness_var": 4 * 0.125**2 / 3, "nodes_betweenness_mean": 1 / 3,
        "nodes_betweenness_var": 4 * (1 / 3) ** 2 / 3, "edge_betweenness_mean": (0.5 + 2 / 3 + 0.5) / 3,
        "dead_ends": 0, "reach": 1.0, "skip_share": 0.0, "skip_pairs": 0, "paths": 0.0,
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_directed_properties_by_hand():
    found = properties(EXAMPLE)  # edges 1-3 and 2-4 skip; paths to 4: 0-2-4, 0-2-3-4, 1-2-4, 1-2-3-4, 1-3-4
    assert found["skip_share"] == 2 / 6 and found["skip_pairs"] == 2
    assert found["paths"] == pytest.approx(math.log(5)) and found["reach"] == 1 and found["dead_ends"] == 0
    found = properties(nx.Graph([(0, 1), (0, 2), (1, 3)]))  # 2 feeds nobody and is not in the last layer
    assert found["reach"] == 3 / 4 and found["dead_ends"] == 1


def test_two_nodes_have_no_spread_of_edges():
    assert properties(nx.path_graph(2))["edge_betweenness_var"] == 0.0


def test_a_row_of_the_studys_table():
    """A tree of 14 edges on 15 nodes has these by construction alone; degree_mean is twice density by definition."""
    for seed in range(3):
        found = properties(barabasi_albert(15, 0.1, seed))
        assert found["density"] == 0.06666666666666667 and found["degree_mean"] == pytest.approx(0.13333333333333333, abs=1e-15)
        # Wiener: the betweenness of nodes sums to the inner nodes of all shortest paths.
        inner = (found["average_shortest_path_length"] - 1) / 13
        assert found["nodes_betweenness_mean"] == pytest.approx(inner, abs=1e-12)


def test_files(tmp_path):
    graph = barabasi_albert(12, 0.2, 0)
    write(tmp_path / "barabasi_albert_7.json", graph)
    assert nx.utils.graphs_equal(read(tmp_path / "barabasi_albert_7.json"), graph)
    nx.write_graphml(nx.Graph([("x", "y"), ("y", "z")]), tmp_path / "mine.graphml")
    content = json.loads((tmp_path / "barabasi_albert_7.json").read_text(encoding="utf-8"))
    content["links"] = content.pop("edges")  # as networkx wrote it before 3.4
    (tmp_path / "old_2.json").write_text(json.dumps(content))
    found = read_folder(tmp_path)
    assert [(family, number) for family, number, _ in found] == [("barabasi_albert", 7), ("graph", 0), ("old", 2)]
    assert nx.utils.graphs_equal(found[2][2], graph) and list(found[1][2]) == ["x", "y", "z"]


def test_numbers_of_numpy_and_of_graphml_order_like_numbers(tmp_path):
    """Edges 10-2, 2-3, 3-1, 1-10: by number, 1 and 2 come first and feed 3 and 10."""
    edges = [(10, 2), (2, 3), (3, 1), (1, 10)]
    graph = nx.Graph([(np.int64(u), np.int32(v)) for u, v in edges])
    assert layered(graph).layers == layered(nx.Graph(edges)).layers == ((1, 2), (3, 10))
    nx.set_node_attributes(graph, np.float32(0.5), "weight")
    write(tmp_path / "numpy.json", graph)
    assert nx.utils.edges_equal(read(tmp_path / "numpy.json").edges, edges)
    nx.write_graphml(nx.Graph(edges), tmp_path / "numbers.graphml")
    assert layered(read(tmp_path / "numbers.graphml")).layers == ((1, 2), (3, 10))
    nx.write_graphml(nx.Graph([("1", "01"), ("01", "2")]), tmp_path / "names.graphml")
    assert list(read(tmp_path / "names.graphml")) == ["1", "01", "2"]  # two names of one number stay names


def test_json_that_leaves_out_whether_edges_may_be_parallel(tmp_path):
    content = nx.node_link_data(nx.path_graph(3), edges="edges")
    del content["multigraph"]
    (tmp_path / "path.json").write_text("\ufeff" + json.dumps(content), encoding="utf-8")  # with a byte order mark
    found = read(tmp_path / "path.json")
    assert type(found) is nx.Graph and nx.utils.graphs_equal(found, nx.path_graph(3))
    content["edges"].append(content["edges"][0])
    (tmp_path / "path.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="multigraph"):
        read(tmp_path / "path.json")


def test_bad_files(tmp_path):
    (tmp_path / "text.json").write_text("{not json")
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "bad.graphml").write_text("<graphml")
    (tmp_path / "split.json").write_text(json.dumps(nx.node_link_data(nx.Graph([(0, 1), (2, 3)]), edges="edges")))
    (tmp_path / "graph.txt").write_text("0 1")
    for name, told in (
        ("text.json", "not a graph"), ("list.json", "not a graph"), ("bad.graphml", "not a graph"),
        ("split.json", "disconnected"), ("graph.txt", "ends in"), ("none.json", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=told) as error:
            read(tmp_path / name)
        assert name in str(error.value) and "\n" not in str(error.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.json or \.graphml"):
        read_folder(tmp_path / "empty")
