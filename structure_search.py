"""Train recurrent networks wired like random graphs, and see what of a graph goes with their accuracy.

python structure_search.py cell=gru
python structure_search.py -m cell=rnn_tanh,rnn_relu,gru,lstm
"""

from espalier.cli import structure_search

if __name__ == "__main__":
    structure_search()
